"""The bytes of images, in the order of their rows."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from cvdata.errors import ErrorCode, ImageError
from cvdata.retry import Retry
from cvdata.sources.ahead import Fetched, ReadAhead, attempt
from cvdata.sources.read_local import OpenFile
from cvdata.sources.read_parquet import ParquetReader
from cvdata.sources.read_remote import RemoteReader
from cvdata.sources.uris import SCHEMES, Inside, ParquetRow, scheme_of

MAX_BYTES = 256 * 1024 * 1024
BYTES_AHEAD = 64 * 1024 * 1024
"""Bytes of remote files being read ahead or waiting, at most."""
_GUESSED_BYTES = 1024 * 1024
_COLUMNS = ("uri", "offset", "length", "revision", "error", "error_detail")


class Want(NamedTuple):
    """What a row asks for."""

    uri: str
    offset: int | None
    length: int | None
    revision: str
    error: str | None = None
    error_detail: str | None = None
    size_bytes: int | None = None

    @property
    def shard_revision(self) -> str:
        """The revision of the file that holds a member: the part before the last colon."""
        return self.revision.rpartition(":")[0]


class Fetcher:
    """Reads images. One thread at a time may use it; it can be pickled before its first use.

    `max_bytes`: a larger file is `too_large_file`, and none of it is read. `threads` read remote
    files ahead, `bytes_ahead` bounds what they hold; local files are read in the caller's thread.
    `schemes`: any other is `path_denied`.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        threads: int = 4,
        retries: Retry = Retry(),
        bytes_ahead: int = BYTES_AHEAD,
        schemes: frozenset[str] = SCHEMES,
    ) -> None:
        self.max_bytes = max_bytes
        self.threads = threads
        self.retries = retries
        self.bytes_ahead = bytes_ahead
        self.schemes = schemes
        self._remote = RemoteReader(retries, max_bytes)
        self._shard: OpenFile | None = None
        self._parquet: ParquetReader | None = None

    def fetch(self, rows: pa.Table) -> Iterator[Fetched]:
        """The bytes of each row of `schema.RECORDS`, or why there are none, in row order.

        Needs the columns uri, offset, length, revision, error and error_detail; `size_bytes`,
        where present, sharpens the read-ahead. A row that carries an error yields it without any
        read. An empty file is `b""`. Raises `StorageError` where the storage fails, after retries.
        """
        ahead = ReadAhead(self.threads, self.bytes_ahead)
        self._remote.forget()
        try:
            for want in _wants(rows):
                if want.error is None and not _is_read_here(want.uri):
                    n_bytes = want.length or want.size_bytes or _GUESSED_BYTES
                    yield from ahead.put(partial(self.read, want), n_bytes)
                else:
                    yield from ahead.drain()
                    yield attempt(partial(self.read, want))
            yield from ahead.drain()
        finally:
            ahead.close()
            self._close()

    def read(self, want: Want) -> bytes:
        """The bytes of one row; raises `ImageError`, `StorageError`."""
        if want.error is not None:
            raise ImageError(ErrorCode(want.error), want.error_detail or "")
        want = _unfolded(want)
        parquet = ParquetRow.parse(want.uri)
        scheme = scheme_of(want.uri if parquet is None else parquet.file)
        if scheme not in self.schemes:
            raise ImageError(ErrorCode.PATH_DENIED, f"scheme {scheme!r} is not allowed")
        if parquet is not None:
            return self._parquet_row(parquet, want)
        if scheme == "file":
            return self._local(want)
        return self._remote.read(want.uri, want.offset, want.length, want.revision)

    def _parquet_row(self, reference: ParquetRow, want: Want) -> bytes:
        if want.offset is None:
            raise ImageError(ErrorCode.PATH_DENIED, "a Parquet file without a row number")
        row = want.offset

        def once() -> bytes:
            if self._parquet is None or self._parquet.reference != reference:
                self._close()
                self._parquet = ParquetReader(reference, self.retries)
            return self._parquet.read(row, want.shard_revision, self.max_bytes)

        try:
            return self.retries.call(f"reading {reference.file}", once)
        except FileNotFoundError as error:
            raise ImageError(ErrorCode.NOT_FOUND, str(error)) from error
        except PermissionError as error:
            raise ImageError(ErrorCode.ACCESS_DENIED, str(error)) from error

    def _local(self, want: Want) -> bytes:
        try:
            return self._local_once(want)
        except OSError:
            self._close()
        return self.retries.call(f"reading {want.uri}", lambda: self._local_once(want))

    def _local_once(self, want: Want) -> bytes:
        if want.offset is not None and want.length is not None:
            self._check_size(want.length)
            file = self._open_shard(want.uri)
            file.check(want.shard_revision)
            return file.read(want.offset, want.length)
        file = OpenFile.open(want.uri)
        try:
            file.check(want.revision)
            self._check_size(file.size_bytes)
            return file.read(0, file.size_bytes)
        finally:
            file.close()

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self.max_bytes:
            raise ImageError(
                ErrorCode.TOO_LARGE_FILE, f"{n_bytes} bytes, at most {self.max_bytes} are read"
            )

    def _open_shard(self, uri: str) -> OpenFile:
        if self._shard is None or self._shard.uri != uri:
            self._close()
            self._shard = OpenFile.open(uri)
        return self._shard

    def close(self) -> None:
        """Close the shard or Parquet file that is held open after `read`."""
        self._close()

    def _close(self) -> None:
        if self._shard is not None:
            self._shard.close()
        if self._parquet is not None:
            self._parquet.close()
        self._shard = self._parquet = None


def _unfolded(want: Want) -> Want:
    """The same with the offset and length that its uri may hold."""
    inside = Inside.parse(want.uri)
    if inside is None:
        return want
    return want._replace(uri=inside.uri, offset=inside.offset, length=inside.length)


def _is_read_here(uri: str) -> bool:
    """Whether a row is read in the caller's thread: local files, and rows of Parquet files."""
    if (inside := Inside.parse(uri)) is not None:
        uri = inside.uri
    return ParquetRow.parse(uri) is not None or scheme_of(uri) == "file"


def _wants(rows: pa.Table) -> Iterator[Want]:
    names = [*_COLUMNS, "size_bytes"] if "size_bytes" in rows.column_names else list(_COLUMNS)
    for batch in rows.select(names).to_batches(max_chunksize=4096):
        yield from map(Want, *(column.to_pylist() for column in batch.columns))
