"""Which vectors an index is of, where they lie, and one pass over them in slices."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.errors import ConfigError
from cvdata.index.exact import SPARE, Nearest, nearest, within
from cvdata.index.trained import U8, Template
from cvdata.kernels.neighbors import F32, I64, unit_rows
from cvdata.keys import KeySet, id_words, key_columns
from cvdata.parts import Part, open_part, read_columns
from cvdata.schema import RECORDS
from cvdata.storage import Store, digest
from cvdata.tables import KEY_COLUMNS
from cvdata.vectors import matrix

SLICE_BYTES = 64 << 20
"""Vectors that a worker holds at once."""
KEYS = pa.schema([RECORDS.field(name) for name in KEY_COLUMNS])


@dataclass(frozen=True)
class Rows:
    """Every live image that has a vector, in the order of the index.

    `keys` are (image_id, revision); row i lies at `at[i]` of the part `part[i]` of `parts`.
    """

    keys: pa.Table
    parts: tuple[Part, ...]
    part: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, order: I64) -> "Rows":
        """The same in another order, or some of them."""
        keys = self.keys.take(pa.array(order))
        return Rows(keys, self.parts, self.part[order], self.at[order])

    @cached_property
    def chance(self) -> npt.NDArray[np.uint64]:
        """(N,) a number for each image that says nothing of it: half of its id, a digest."""
        return np.asarray(id_words(self.keys["image_id"])[:, 1])


def live_rows(store: Store, head: Commit, table: str) -> Rows:
    """The rows of `table` that have a vector and whose image is there still, by image_id."""
    state = head.tables[table]
    records = read_columns(store, head.tables["records"].parts, RECORDS, KEY_COLUMNS)
    live = KeySet.of(records["image_id"], records["revision"])
    tables, part, at = [KEYS.empty_table()], [], []
    columns = pa.schema([*KEYS, pa.field("error", pa.string())])
    for number, one in enumerate(state.parts):
        rows = read_columns(store, [one], columns)
        is_live = live.contains(*key_columns(rows["image_id"], rows["revision"]))
        kept = np.flatnonzero(is_live & np.asarray(pc.is_null(rows["error"])))
        tables.append(rows.select(KEY_COLUMNS).take(pa.array(kept)).cast(KEYS))
        part.append(np.full(len(kept), number, np.int32))
        at.append(kept)
    none = np.empty(0, np.int64)
    found = Rows(
        pa.concat_tables(tables).combine_chunks(),
        state.parts,
        np.concatenate([none.astype(np.int32), *part]),
        np.concatenate([none, *at]),
    )
    return found.take(np.asarray(pc.sort_indices(found.keys["image_id"]), np.int64))


@dataclass(frozen=True)
class Slice:
    """Some rows: `at[i]` of the part `paths[i]` are the rows `rows[i]` of the index."""

    paths: tuple[str, ...]
    at: tuple[npt.NDArray[np.int64], ...]
    rows: tuple[I64, ...]

    def read(self, store: Store, dimension: int) -> tuple[I64, F32]:
        """(row numbers, unit vectors), by row number within each part."""
        vectors = np.empty((sum(map(len, self.at)), dimension), np.float32)
        start = 0
        for path, at in zip(self.paths, self.at, strict=True):
            with open_part(store, path) as file:
                column = file.read(columns=["embedding"])["embedding"]
            vectors[start : start + len(at)] = matrix(column.take(pa.array(at)))
            start += len(at)
        return np.concatenate([np.empty(0, np.int64), *self.rows]), unit_rows(vectors)


def slices(rows: Rows, some: I64, dimension: int, slice_bytes: int = SLICE_BYTES) -> list[Slice]:
    """`some` rows of the index in slices of whole parts, each of about `slice_bytes`."""
    most = max(1, slice_bytes // (4 * dimension))
    order = some[np.lexsort((rows.at[some], rows.part[some]))]
    numbers = rows.part[order]
    edges = np.flatnonzero(np.diff(numbers)) + 1
    made: list[Slice] = []
    waiting: list[I64] = []
    n_waiting = 0
    for group in np.split(order, edges) if len(order) else []:
        waiting.append(group)
        n_waiting += len(group)
        if n_waiting >= most:
            made.append(_slice(rows, waiting))
            waiting, n_waiting = [], 0
    if waiting:
        made.append(_slice(rows, waiting))
    return made


def _slice(rows: Rows, groups: Sequence[I64]) -> Slice:
    return Slice(
        tuple(rows.parts[int(rows.part[g[0]])].path for g in groups),
        tuple(rows.at[g] for g in groups),
        tuple(groups),
    )


@dataclass(frozen=True)
class Shared:
    """Bytes that every worker needs, in a file of the workspace until the run ends."""

    store: Store
    path: str

    @staticmethod
    def put(store: Store, folder: str, data: bytes) -> "Shared":
        """Write them; the name is their digest."""
        path = f"{folder}/{digest(data)}"
        store.put_new(path, data)
        return Shared(store, path)

    def get(self) -> bytes:
        """The bytes; `ConfigError` never, for nobody but this run knows the name."""
        return self.store.get(self.path)

    def delete(self) -> None:
        """The run is over."""
        self.store.delete(self.path)


@dataclass(frozen=True)
class ReadVectors:
    """Slice -> (row numbers, vectors): a sample to train on, the queries."""

    store: Store
    dimension: int

    def __call__(self, one: Slice) -> tuple[I64, F32]:
        """See `Slice.read`."""
        return one.read(self.store, self.dimension)


@dataclass(frozen=True)
class Shard:
    """What one slice adds: codes of the rows that are new, and what is near the queries."""

    n_rows: int
    rows: I64
    codes: U8
    nearest: Nearest
    query: I64
    row: I64


@dataclass(frozen=True)
class MakeShard:
    """Slice -> `Shard`: each vector is read once, encoded where it is new, shown to the queries.

    Rows from `n_answers` on are no answers: in a graph they are the queries themselves. Queries
    without a row of their own (-1), which come last, are asked for pairs alone. `is_new` has a
    bit for each row of the index.
    """

    store: Store
    dimension: int
    template: Shared | None
    factory: str
    queries: Shared
    k: int
    threshold: float
    n_answers: int
    is_new: Shared

    def __call__(self, one: Slice) -> Shard:
        """Read, encode, compare."""
        queries, own = _load_queries(self.queries)
        rows, vectors = one.read(self.store, self.dimension)
        new = np.unpackbits(np.frombuffer(_held(self.is_new), np.uint8))[rows].astype(bool)
        codes = np.empty((0, 0), np.uint8)
        if self.template is not None:
            codes = _load_template(self.template, self.factory).encode(vectors[new])
        is_answer = rows < self.n_answers
        answers, numbers = vectors[is_answer], rows[is_answer]
        held = slice(int((own >= 0).sum()))
        near = nearest(queries[held], own[held], answers, numbers, self.k + SPARE)
        query, row = within(queries, own, answers, numbers, self.threshold)
        return Shard(len(rows), rows[new], codes, near, query, row)


_kept: dict[tuple[int, str], object] = {}
"""What this process read of `Shared` files: those of one run."""


def _held(shared: Shared) -> bytes:
    data = _kept.get((os.getpid(), shared.path))
    if not isinstance(data, bytes):
        data = shared.get()
        _keep(shared, data)
    return data


def _keep(shared: Shared, value: object) -> None:
    folder = shared.path.rpartition("/")[0]
    for key in [k for k in _kept if not k[1].startswith(folder)]:
        del _kept[key]
    _kept[os.getpid(), shared.path] = value


def _load_template(shared: Shared, factory: str) -> Template:
    held = _kept.get((os.getpid(), shared.path))
    if not isinstance(held, Template):
        held = Template.from_bytes(factory, shared.get())
        _keep(shared, held)
    return held


def pack_queries(queries: F32, own: I64) -> bytes:
    """Both arrays as one file."""
    out = io.BytesIO()
    np.savez(out, queries=queries, own=own)
    return out.getvalue()


def _load_queries(shared: Shared) -> tuple[F32, I64]:
    with np.load(io.BytesIO(_held(shared)), allow_pickle=False) as arrays:
        return arrays["queries"], arrays["own"]


def dimension_of(store: Store, head: Commit, table: str) -> int:
    """Length of the vectors of `table`; `ConfigError` where it holds none."""
    state = head.tables.get(table)
    if state is None:
        known = ", ".join(n for n in head.tables if n.startswith("embeddings/")) or "none yet"
        model = table.partition("/")[2]
        raise ConfigError(
            f"no table {table!r} in {store.url}; there are: {known}. "
            f"Run `cvdata infer --model {model} --workspace {store.url}` first"
        )
    with open_part(store, state.parts[0].path) as file:
        kind = file.schema_arrow.field("embedding").type
    return int(kind.list_size)


def read_vectors(store: Store, rows: Rows, some: I64, dimension: int) -> Iterator[tuple[I64, F32]]:
    """(row numbers, vectors) of `some` rows, slice by slice, in this process."""
    for one in slices(rows, some, dimension):
        yield one.read(store, dimension)
