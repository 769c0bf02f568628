"""Immutable Parquet parts: named by what they hold, written once, never overwritten."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvdata.errors import WorkspaceError
from cvdata.storage import Store, digest

ROW_GROUP_ROWS = 131_072
_REMOTE_THREADS = 8
_RECORDED = (
    "cvdata",
    "numpy",
    "pillow",
    "pyarrow",
    "opencv-python-headless",
    "simplejpeg",
    "numba",
    "scipy",
    "ray",
    "torch",
    "torchvision",
    "onnxruntime",
    "faiss-gpu",
    "faiss-cpu",
    "scikit-learn",
)


@dataclass(frozen=True)
class Part:
    """A receipt: one part, its rows and bytes, and how many rows are errors, by code."""

    path: str
    rows: int
    size_bytes: int
    sha256: str
    errors: Mapping[str, int] = field(default_factory=dict)
    tag: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Part":
        """The part that `to_json` wrote."""
        return Part(**value)


@dataclass(frozen=True)
class PartSpec:
    """Where the parts of a table go and what they look like. Small; it travels to workers."""

    table: str
    fingerprint: str
    schema: pa.Schema

    @property
    def folder(self) -> str:
        """`<table>/<fingerprint8>`; the name of a measure set ends with it already."""
        short = self.fingerprint[:8]
        return self.table if self.table.endswith(f"/{short}") else f"{self.table}/{short}"

    @property
    def kind(self) -> str:
        """The table's name without a fingerprint: `measures`, `embeddings/<model>`."""
        return self.table.removesuffix(f"/{self.fingerprint[:8]}")

    def path_of_keys(self, rows: pa.Table) -> str:
        """The path of the part that holds just these (image_id, revision) rows, sorted by id."""
        hasher = hashlib.blake2b(self.fingerprint.encode(), digest_size=16)
        for image_id, revision in zip(
            rows["image_id"].to_pylist(), rows["revision"].to_pylist(), strict=True
        ):
            hasher.update(image_id + (revision or "").encode() + b"\0")
        return f"{self.folder}/part-{hasher.hexdigest()}.parquet"


@cache
def versions() -> dict[str, str]:
    """The libraries that can move a value, with their installed versions."""
    found = {"python": python_version()}
    for name in _RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def sort_rows(table: pa.Table) -> pa.Table:
    """Rows in the order of the table's key: by image_id, then revision, where it has them."""
    if "image_id" not in table.column_names:
        return table
    keys = [(k, "ascending") for k in ("image_id", "revision") if k in table.column_names]
    return table.take(pc.sort_indices(table, sort_keys=keys))


def encode(spec: PartSpec, rows: pa.Table) -> bytes:
    """Parquet bytes of `rows`: zstd, statistics, the spec's schema; the same rows, same bytes."""
    note = {"table": spec.table, "fingerprint": spec.fingerprint, "versions": versions()}
    schema = spec.schema.with_metadata({"cvdata": json.dumps(note, sort_keys=True)})
    sink = io.BytesIO()
    pq.write_table(
        rows.select(schema.names).cast(schema),
        sink,
        compression="zstd",
        write_statistics=True,
        row_group_size=ROW_GROUP_ROWS,
    )
    return sink.getvalue()


def error_counts(rows: pa.Table) -> dict[str, int]:
    """How many rows carry each error code."""
    if "error" not in rows.column_names:
        return {}
    counted = pc.value_counts(pc.drop_null(rows["error"].combine_chunks()))
    return dict(sorted((c["values"].as_py(), c["counts"].as_py()) for c in counted))


def write_keyed(store: Store, spec: PartSpec, rows: pa.Table) -> Part:
    """Write the part of these keyed rows, or find it written: the same receipt either way."""
    rows = sort_rows(rows)
    path = spec.path_of_keys(rows)
    data = encode(spec, rows)
    if not store.put_new(path, data):
        found = receipt(store, path)
        if found is not None:
            return found
        store.delete(path)
        store.put_new(path, data)
    return Part(path, len(rows), len(data), digest(data), error_counts(rows))


def write_content(store: Store, spec: PartSpec, rows: pa.Table, tag: str = "") -> Part:
    """Write a part of a derived table, named by its content."""
    rows = sort_rows(rows)
    data = encode(spec, rows)
    name = digest(data)
    path = f"{spec.folder}/part-{name[:32]}.parquet"
    store.put_new(path, data)
    return Part(path, len(rows), len(data), name, error_counts(rows), tag)


def receipt(store: Store, path: str, tag: str = "") -> Part | None:
    """The receipt of a part that may be there already; None where it is absent or unreadable."""
    try:
        data = store.get(path)
        rows = pq.read_table(pa.BufferReader(data))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    return Part(path, len(rows), len(data), digest(data), error_counts(rows), tag)


def parts_digest(parts: Iterable[Part]) -> str:
    """Hex digest of which parts these are: what a table says that it was computed from."""
    return digest("\n".join(sorted(part.path for part in parts)).encode())


def open_part(store: Store, path: str) -> pq.ParquetFile:
    """The part as a Parquet file: columns are read as they are asked for."""
    full = store.path(path)

    def opened() -> pq.ParquetFile:
        try:
            if store.is_local:
                return pq.ParquetFile(full, memory_map=True)
            return pq.ParquetFile(store.fs.open(full, "rb"))
        except FileNotFoundError as error:
            raise WorkspaceError(f"part {path} is missing; run `cvdata verify`") from error
        except pa.ArrowInvalid as error:
            raise WorkspaceError(
                f"part {path} is damaged ({error}); run `cvdata verify`"
            ) from error

    return store.asked(f"reading part {path}", opened)


def read_columns(
    store: Store,
    parts: Iterable[Part],
    schema: pa.Schema,
    columns: list[str] | None = None,
    id_range: tuple[bytes, bytes | None] | None = None,
) -> pa.Table:
    """These columns of all parts, concatenated; `id_range` keeps ids in [low, high)."""
    names = schema.names if columns is None else columns
    asked = names if id_range is None or "image_id" in names else ["image_id", *names]

    def read(file: pq.ParquetFile) -> pa.Table:
        if id_range is None:
            return file.read(columns=asked)
        low, high = id_range
        if high is not None and _is_narrow(file.metadata.num_rows, low, high):
            return _matching(file, asked, "image_id", (low, high), partial(_in_range, low, high))
        rows = file.read(columns=asked)
        return rows.filter(_in_range(low, high, rows["image_id"]))

    return _each(store, parts, read, pa.schema([schema.field(n) for n in names]))


def find_rows(
    store: Store,
    parts: Iterable[Part],
    schema: pa.Schema,
    column: str,
    values: pa.Array,
    columns: list[str] | None = None,
) -> pa.Table:
    """Rows whose `column` is one of `values` (ids): for a few of them little is read.

    `column` is read first, of row groups whose statistics allow a hit; the others only of those
    that have one. `columns` chooses what is given.
    """
    names = schema.names if columns is None else columns
    wanted = pa.schema([schema.field(n) for n in names])
    ids = sorted(values.to_pylist())
    if not ids:
        return wanted.empty_table()

    def read(file: pq.ParquetFile) -> pa.Table:
        return _matching(file, names, column, (ids[0], ids[-1]), partial(_is_one_of, values))

    return _each(store, parts, read, wanted)


def _each(
    store: Store,
    parts: Iterable[Part],
    read: Callable[[pq.ParquetFile], pa.Table],
    wanted: pa.Schema,
) -> pa.Table:
    """What `read` gives of each part, as `wanted`, in their order."""

    def of(path: str) -> pa.Table:
        with open_part(store, path) as file:
            return read(file)

    def kept(part: Part) -> pa.Table:
        table = store.asked(f"reading part {part.path}", lambda: of(part.path))
        return table.select(wanted.names).replace_schema_metadata(None).cast(wanted)

    if store.is_local:
        tables = [kept(part) for part in parts]
    else:  # a part costs a few round trips, and they may wait side by side
        with ThreadPoolExecutor(_REMOTE_THREADS, thread_name_prefix="parts") as threads:
            tables = list(threads.map(kept, parts))
    return pa.concat_tables(tables) if tables else wanted.empty_table()


def _matching(
    file: pq.ParquetFile,
    names: list[str],
    column: str,
    bounds: tuple[bytes, bytes],
    is_wanted: Callable[[pa.ChunkedArray], pa.ChunkedArray],
) -> pa.Table:
    """`names` of the rows that are wanted by their `column`, which lies in `bounds`, ends too."""
    found = [file.schema_arrow.empty_table().select(names)]
    low, high = bounds
    at = [file.metadata.schema.column(i).path for i in range(file.metadata.num_columns)]
    leaf = at.index(column)
    for group in range(file.num_row_groups):
        known = file.metadata.row_group(group).column(leaf).statistics
        if known is not None and known.has_min_max and (known.max < low or known.min > high):
            continue
        mask = is_wanted(file.read_row_group(group, columns=[column])[column])
        if pc.any(mask).as_py():
            found.append(file.read_row_group(group, columns=names).select(names).filter(mask))
    return pa.concat_tables(found)


def _is_narrow(rows: int, low: bytes, high: bytes) -> bool:
    """Whether none of so many ids is likely to be in [low, high): ids spread evenly."""
    return rows * (int.from_bytes(high, "big") - int.from_bytes(low, "big")) < 2**128


def _is_one_of(values: pa.Array, ids: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.is_in(ids, value_set=values)


def _in_range(low: bytes, high: bytes | None, ids: pa.ChunkedArray) -> pa.ChunkedArray:
    kept = pc.greater_equal(ids, pa.scalar(low, pa.binary(16)))
    return kept if high is None else pc.and_(kept, pc.less(ids, pa.scalar(high, pa.binary(16))))
