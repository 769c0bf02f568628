"""Which rows go out and what they say: kept images, their splits, labels, boxes and weights."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.errors import ErrorCode
from cvdata.keys import KeySet, key_columns, locate
from cvdata.parts import Part, open_part, read_columns
from cvdata.runs.export_copies import read_rows
from cvdata.schema import MERGED, RECORDS, SELECTION, SPLITS
from cvdata.storage import Store

Bools = npt.NDArray[np.bool_]
Paths = tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What the selection keeps, by (image_id, revision).

    `is_all`: nothing was selected; `keys` are then those of images that could not be read.
    """

    keys: KeySet
    weights: npt.NDArray[np.float32]
    is_all: bool
    n_decided: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def of(self, rows: pa.Table) -> tuple[Bools, npt.NDArray[np.float32]]:
        """(N,) which rows go out, and (N,) the weight of each; a copy goes with its parent."""
        at = _located(self.keys, rows)
        if self.is_all:
            return at < 0, np.ones(len(rows), np.float32)
        weights = np.zeros(len(rows), np.float32)
        weights[at >= 0] = self.weights[at[at >= 0]]
        return at >= 0, weights


def read_kept(store: Store, head: Commit) -> Kept:
    """The selection of a commit, one part in memory at a time and 20 bytes a kept image."""
    state = head.tables.get("selection")
    if state is None:
        return Kept(_unreadable(store, head), np.empty(0, np.float32), is_all=True)
    high, low, weights = [], [], []
    reasons: Counter[str] = Counter()
    n_decided = 0
    for part in state.parts:
        rows = read_columns(store, [part], SELECTION)
        n_decided += len(rows)
        for row in rows.filter(pc.invert(rows["keep"]))["reasons"].to_pylist():
            reasons.update({short_reason(reason) for reason in row})
        kept = rows.filter(rows["keep"])
        words = key_columns(kept["image_id"], kept["revision"])
        high.append(words[0])
        low.append(words[1])
        weights.append(kept["weight"].to_numpy())
    keys, order = _sorted(np.concatenate(high), np.concatenate(low))
    return Kept(keys, np.concatenate(weights)[order], False, n_decided, reasons)


def short_reason(reason: str) -> str:
    """A reason without the id of the keeper: `duplicate:phash:<id>` -> `duplicate:phash`."""
    parts = reason.split(":")
    return ":".join(parts[:2]) if parts[0] == "duplicate" else reason


def _sorted(
    high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]
) -> tuple[KeySet, npt.NDArray[np.int64]]:
    order = np.lexsort((low, high))
    return KeySet(high[order], low[order]), order


def _unreadable(store: Store, head: Commit) -> KeySet:
    """Images that a scan found broken; a measure or model that failed breaks none."""
    found = KeySet.empty()
    schema = pa.schema([RECORDS.field(n) for n in ("image_id", "revision", "error")])
    fine = pa.array([str(ErrorCode.MEASURE_FAILED), str(ErrorCode.MODEL_FAILED)])
    for name, state in head.tables.items():
        for part in state.parts if name.startswith("measures/") else ():
            if part.errors:
                rows = read_columns(store, [part], schema)
                failed = pc.is_in(rows["error"], fine)
                bad = rows.filter(pc.and_(pc.is_valid(rows["error"]), pc.invert(failed)))
                found = found.union(KeySet.of(bad["image_id"], bad["revision"]))
    return found


def _located(keys: KeySet, rows: pa.Table) -> npt.NDArray[np.int64]:
    """(N,) where the parent of each row stands among the keys; -1: nowhere."""
    return locate(keys.high, keys.low, *key_columns(rows["parent_id"], rows["parent_revision"]))


@dataclass(frozen=True)
class Overlay:
    """What later tables say in place of `records`: `splits`, and `merged` labels and boxes.

    `names` are the splits by the number of each key. Held are 20 bytes an assigned image, and the
    merged rows.
    """

    keys: KeySet
    numbers: npt.NDArray[np.int32]
    names: pa.Array
    merged: Paths = ()

    @property
    def has_splits(self) -> bool:
        """Whether images were assigned to splits."""
        return len(self.names) > 0

    def over(self, store: Store, rows: pa.Table) -> pa.Table:
        """Rows as they are exported; copies stay in the split of their parent."""
        rows = with_merged(store, self.merged, rows)
        if not self.has_splits:
            return rows
        at = _located(self.keys, rows)
        numbers = pa.array(self.numbers[np.maximum(at, 0)], mask=at < 0)
        splits = pc.coalesce(self.names.take(numbers), rows["split"])
        return rows.set_column(rows.schema.get_field_index("split"), "split", splits)


def read_overlay(store: Store, head: Commit) -> Overlay:
    """The `splits` and `merged` of a commit."""
    merged = head.tables.get("merged")
    paths = tuple(part.path for part in merged.parts) if merged else ()
    state = head.tables.get("splits")
    if state is None or not state.rows:
        return Overlay(KeySet.empty(), np.empty(0, np.int32), pa.array([], pa.string()), paths)
    rows = read_columns(store, state.parts, SPLITS)
    splits = rows["split"].combine_chunks().dictionary_encode()
    keys, order = _sorted(*key_columns(rows["image_id"], rows["revision"]))
    numbers = np.asarray(splits.indices, np.int32)[order]
    return Overlay(keys, numbers, splits.dictionary, paths)


def with_merged(store: Store, paths: Paths, rows: pa.Table) -> pa.Table:
    """Rows with the labels and boxes that their copies gave them."""
    if not paths:
        return rows
    merged, keys, order = _merged(store, paths)
    at = locate(keys.high, keys.low, *key_columns(rows["image_id"], rows["revision"]))
    is_merged = pa.array(at >= 0)
    if not (at >= 0).any():
        return rows
    found = merged.take(pa.array(order[np.maximum(at, 0)]))
    for name in ("label", "boxes"):
        values = _chosen(is_merged, found[name], rows[name])
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return rows


def _chosen(mask: pa.Array, yes: pa.ChunkedArray, no: pa.ChunkedArray) -> pa.ChunkedArray:
    """`if_else`, which Arrow does not have for lists of structs."""
    n = len(mask)
    places = np.where(np.asarray(mask), np.arange(n), np.arange(n) + n)
    return pa.chunked_array([*yes.chunks, *no.chunks]).take(pa.array(places))


@lru_cache(maxsize=1)
def _merged(store: Store, paths: Paths) -> tuple[pa.Table, KeySet, npt.NDArray[np.int64]]:
    table = read_columns(store, [Part(path, 0, 0, "") for path in paths], MERGED)
    keys, order = _sorted(*key_columns(table["image_id"], table["revision"]))
    return table, keys, order


def in_order(store: Store, parts: Sequence[Part]) -> list[Part]:
    """Parts in the order of their first uri: parts of one source follow each other."""
    return sorted(parts, key=lambda part: (part.tag, _first_uri(store, part), part.path))


def _first_uri(store: Store, part: Part) -> str:
    with open_part(store, part.path) as file:
        uris = file.read(columns=["uri"])["uri"]
    return str(pc.min(uris).as_py() or "")


def reading_order(rows: pa.Table) -> npt.NDArray[np.int64]:
    """(N,) places of the rows by (uri, offset, image_id)."""
    keys = [(name, "ascending") for name in ("uri", "offset", "image_id")]
    return np.asarray(pc.sort_indices(rows, sort_keys=keys), np.int64)


@lru_cache(maxsize=4)
def part_rows(store: Store, path: str) -> pa.Table:
    """All rows of a part of `records` or of augmented copies, as `export_copies.ROWS`."""
    return read_rows(store, path)
