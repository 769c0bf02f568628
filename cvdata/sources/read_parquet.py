"""Bytes of rows of a Parquet file, decoded a few rows at a time."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cvdata.errors import ErrorCode, ImageError
from cvdata.retry import Retry
from cvdata.sources.parquet_file import BadParquet, decoding, open_parquet
from cvdata.sources.read_local import OpenFile
from cvdata.sources.remote import remote_revision
from cvdata.sources.uris import ParquetRow, filesystem, scheme_of

_BATCH_ROWS = 32
_BATCH_BYTES = 64 * 1024 * 1024
"""Rows decoded at once hold about this many bytes, or are 32."""


class ParquetReader:
    """Reads rows of one file and column; quickest in ascending order.

    A row group is decoded as a stream: a row behind the last one starts its group again.
    """

    def __init__(self, reference: ParquetRow, retry: Retry) -> None:
        self.reference = reference
        self.raw, self.revision, size_bytes = _open(reference.file, retry)
        try:
            self.file: pq.ParquetFile = open_parquet(self.raw, size_bytes)
        except BadParquet as error:
            self.raw.close()
            raise ImageError(ErrorCode.ARCHIVE_DENIED, str(error)) from error
        self.starts = _starts(self.file)
        columns = [self.file.schema.column(n).path for n in range(len(self.file.schema))]
        if reference.column not in columns:
            self.raw.close()
            raise ImageError(ErrorCode.CHANGED, f"no column {reference.column!r} any more")
        self.group = -1
        self.batches: Iterator[pa.RecordBatch] = iter(())
        self.next_row = 0
        self.batch: pa.Array | None = None
        self.batch_start = 0

    def close(self) -> None:
        """Close the file."""
        self.raw.close()

    def read(self, row: int, revision: str, max_bytes: int) -> bytes:
        """The bytes in a row; raises `ImageError`, or OSError (the world)."""
        if revision and revision != self.revision:
            raise ImageError(ErrorCode.CHANGED, f"listed as {revision}, now {self.revision}")
        if not 0 <= row < self.starts[-1]:
            raise ImageError(ErrorCode.CHANGED, f"row {row} of {self.starts[-1]}")
        try:
            value = self._value(row)
        except (pa.ArrowException, OSError) as error:
            self.group = -1
            problem = decoding(error)
            if isinstance(problem, BadParquet):
                raise ImageError(ErrorCode.ARCHIVE_DENIED, str(problem)) from error
            raise problem from error
        if not value.is_valid:
            raise ImageError(ErrorCode.NOT_FOUND, "no bytes in this row")
        n_bytes = value.as_buffer().size
        if n_bytes > max_bytes:
            raise ImageError(ErrorCode.TOO_LARGE_FILE, f"{n_bytes} bytes, at most {max_bytes}")
        data: bytes = value.as_py()
        return data

    def _value(self, row: int) -> Any:
        group = bisect_right(self.starts, row) - 1
        if group != self.group or row < self.batch_start:
            self.batches = self.file.iter_batches(
                batch_size=self._batch_rows(group),
                row_groups=[group],
                columns=[self.reference.column],
                use_threads=False,
            )
            self.group = group
            self.batch_start = self.next_row = self.starts[group]
            self.batch = None
        while self.batch is None or row >= self.next_row:
            batch = next(self.batches, None)
            if batch is None:
                self.group = -1
                raise pa.ArrowInvalid("the row group ends early")
            self.batch_start, self.next_row = self.next_row, self.next_row + batch.num_rows
            self.batch = _leaf(batch, self.reference.column)
        return self.batch[row - self.batch_start]

    def _batch_rows(self, group: int) -> int:
        found = self.file.metadata.row_group(group)
        n_bytes: int = max(
            found.column(n).total_uncompressed_size
            for n in range(found.num_columns)
            if found.column(n).path_in_schema == self.reference.column
        )
        return max(1, min(_BATCH_ROWS, _BATCH_BYTES * int(found.num_rows) // max(1, n_bytes)))


def _leaf(batch: pa.RecordBatch, column: str) -> pa.Array:
    if batch.num_columns != 1:
        raise pa.ArrowInvalid(f"no column {column}")
    array = batch.column(0)
    if pa.types.is_struct(array.type):
        # flatten() keeps the nulls of the struct itself
        array = array.flatten()[0]
    return array


def _starts(file: pq.ParquetFile) -> list[int]:
    starts = [0]
    for n in range(file.metadata.num_row_groups):
        starts.append(starts[-1] + file.metadata.row_group(n).num_rows)
    return starts


def _open(uri: str, retry: Retry) -> tuple[Any, str, int]:
    """A file, its revision and its size."""
    if scheme_of(uri) == "file":
        checked = OpenFile.open(uri)
        try:
            raw = open(checked.descriptor, "rb", closefd=True)  # noqa: PTH123, SIM115
        except BaseException:
            checked.close()
            raise
        return raw, checked.revision, checked.size_bytes
    fs, path = filesystem(uri)
    info = retry.call(f"asking for {uri}", lambda: fs.info(path))
    return fs.open(path, "rb"), remote_revision(info), int(info.get("size") or 0)
