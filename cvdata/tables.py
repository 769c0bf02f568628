"""A table is its own checkpoint: work to do = inputs minus the rows that complete parts hold."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import TableState
from cvdata.errors import WorkspaceError
from cvdata.keys import KeySet, key_columns
from cvdata.parts import Part, PartSpec, read_columns, receipt, write_keyed
from cvdata.schema import RECORDS
from cvdata.storage import Store

KEY_COLUMNS = ["image_id", "revision"]
CHUNK_ROWS = 1024
SMALLEST_CHUNK = 64
CHUNKS_PER_TABLE = 32


@dataclass(frozen=True)
class Chunk:
    """Rows of one records part, by position, that some tables still lack; bytes of their files."""

    part: Part
    rows: npt.NDArray[np.uint32]
    tables: tuple[str, ...]
    n_bytes: int = 0


@dataclass
class KeyedTable:
    """The table of one fingerprint while a run fills it: what it holds, what this run added."""

    store: Store
    spec: PartSpec
    meta: Mapping[str, Any]
    committed: tuple[Part, ...] = ()
    added: list[Part] = field(default_factory=list)
    keys: KeySet = field(default_factory=KeySet.empty)

    @property
    def name(self) -> str:
        """The table's name."""
        return self.spec.table

    def load(self) -> "KeyedTable":
        """Read the keys of the committed parts and adopt complete parts that no commit names.

        Such parts were left by a killed run. One that overlaps what is held already (an older
        plan cut its chunks otherwise) stays an orphan, so that each key stands in one part.
        """
        schema = pa.schema([self.spec.schema.field(n) for n in KEY_COLUMNS])
        table = read_columns(self.store, self.committed, schema)
        self.keys = KeySet.of(table["image_id"], table["revision"])
        if repeated := self.keys.n_repeated():
            raise WorkspaceError(f"{repeated} keys stand twice in {self.name}; run `cvdata verify`")
        known = {part.path for part in self.committed}
        for entry in self.store.list(self.spec.folder):
            if entry.path in known or not entry.path.endswith(".parquet"):
                continue
            if (found := receipt(self.store, entry.path)) is not None:
                self._adopt(found, schema)
        return self

    def _adopt(self, part: Part, schema: pa.Schema) -> None:
        table = read_columns(self.store, [part], schema)
        keys = KeySet.of(table["image_id"], table["revision"])
        if not self.keys.overlaps(keys):
            self.keys = self.keys.union(keys)
            self.added.append(part)

    def add(self, part: Part) -> None:
        """Take the receipt of a part that a worker wrote."""
        self.added.append(part)

    def leave_columns(self) -> None:
        """Where nothing has rows, write a part without any: readers still learn the columns."""
        if not self.committed and not self.added:
            self.add(write_keyed(self.store, self.spec, self.spec.schema.empty_table()))

    def state(self) -> TableState:
        """What a commit of this table would name."""
        parts = {part.path: part for part in (*self.committed, *self.added)}
        return TableState(
            self.spec.fingerprint, tuple(parts[p] for p in sorted(parts)), dict(self.meta)
        )


def chunk_rows_for(n_records: int) -> int:
    """Rows a chunk where none is asked for: a power of two, 64 … 1,024, from the table's size.

    It depends on nothing that a restart can change, so that a resumed run cuts the same chunks.
    """
    wanted = max(1.0, n_records / CHUNKS_PER_TABLE)
    return min(CHUNK_ROWS, max(SMALLEST_CHUNK, 1 << round(math.log2(wanted))))


@dataclass(frozen=True)
class Plan:
    """The chunks to compute, and how many rows they hold, in all and by the tables they feed."""

    chunks: tuple[Chunk, ...]
    n_records: int
    pending_bytes: int

    @property
    def n_rows(self) -> int:
        """Rows to compute."""
        return sum(len(chunk.rows) for chunk in self.chunks)

    def groups(self) -> dict[tuple[str, ...], list[Chunk]]:
        """The chunks by the set of tables that they feed."""
        grouped: dict[tuple[str, ...], list[Chunk]] = defaultdict(list)
        for chunk in self.chunks:
            grouped[chunk.tables].append(chunk)
        return dict(grouped)


def plan(
    store: Store, records: Sequence[Part], tables: Sequence[KeyedTable], chunk_rows: int = 0
) -> Plan:
    """Records anti-join each table on (image_id, revision), cut into chunks by (uri, offset).

    One records part is in memory at a time; the keys of the tables are, at 16 bytes a row.
    """
    n_records = sum(part.rows for part in records)
    size = chunk_rows or chunk_rows_for(n_records)
    chunks: list[Chunk] = []
    pending_bytes = 0
    for part in records:
        rows = read_columns(store, [part], RECORDS, [*KEY_COLUMNS, "uri", "offset", "size_bytes"])
        lacking = _lacking(rows, tables)
        if not lacking.any():
            continue
        sizes = np.asarray(pc.fill_null(rows["size_bytes"], 0), np.int64)
        pending_bytes += int(sizes[lacking != 0].sum())
        order = _reading_order(rows)
        for mask in np.unique(lacking[lacking != 0]):
            positions = order[lacking[order] == mask]
            names = tuple(t.name for i, t in enumerate(tables) if int(mask) >> i & 1)
            chunks.extend(
                Chunk(part, cut.astype(np.uint32), names, int(sizes[cut].sum()))
                for cut in (positions[at : at + size] for at in range(0, len(positions), size))
            )
    return Plan(tuple(chunks), n_records, pending_bytes)


def _lacking(rows: pa.Table, tables: Sequence[KeyedTable]) -> npt.NDArray[np.uint64]:
    """(N,) bit i is set where table i lacks the row."""
    high, low = key_columns(rows["image_id"], rows["revision"])
    mask = np.zeros(len(rows), np.uint64)
    for i, table in enumerate(tables):
        mask[~table.keys.contains(high, low)] |= np.uint64(1 << i)
    return mask


def _reading_order(rows: pa.Table) -> npt.NDArray[np.int64]:
    keys = [(n, "ascending") for n in ("uri", "offset", "image_id")]
    order = pc.sort_indices(rows, sort_keys=keys)
    return np.asarray(order, np.int64)


def check_complete(table: KeyedTable, planned: Iterable[Chunk], store: Store) -> None:
    """Every planned key now stands in exactly one part of `table`; raises `WorkspaceError`."""
    schema = pa.schema([table.spec.schema.field(n) for n in KEY_COLUMNS])
    held = read_columns(store, table.state().parts, schema)
    keys = KeySet.of(held["image_id"], held["revision"])
    if repeated := keys.n_repeated():
        raise WorkspaceError(f"{repeated} rows of {table.name} stand in two parts")
    n_missing = sum(
        int((~keys.contains(*_chunk_keys(store, part, rows))).sum())
        for part, rows in _by_part(c for c in planned if table.name in c.tables)
    )
    if n_missing:
        raise WorkspaceError(f"{n_missing} planned rows of {table.name} are in no part")


def _by_part(chunks: Iterable[Chunk]) -> Iterator[tuple[Part, npt.NDArray[np.uint32]]]:
    grouped: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        grouped[chunk.part.path].append(chunk)
    for group in grouped.values():
        yield group[0].part, np.concatenate([chunk.rows for chunk in group])


def _chunk_keys(store: Store, part: Part, rows: npt.NDArray[np.uint32]) -> Any:
    table = read_columns(store, [part], RECORDS, KEY_COLUMNS).take(pa.array(rows))
    return key_columns(table["image_id"], table["revision"])
