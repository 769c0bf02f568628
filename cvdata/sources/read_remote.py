"""Bytes of files on object stores, with retries, whole or by range."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from cvdata.errors import ErrorCode, ImageError
from cvdata.retry import Retry
from cvdata.sources.remote import remote_revision
from cvdata.sources.uris import filesystem

_REMEMBERED = 64


@dataclass
class RemoteReader:
    """Reads from any fsspec filesystem; may be used by several threads."""

    retry: Retry
    max_bytes: int
    _filesystems: dict[str, Any] = field(default_factory=dict)
    _shards: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteReader, (self.retry, self.max_bytes)  # connections and locks do not travel

    def read(self, uri: str, offset: int | None, length: int | None, revision: str) -> bytes:
        """The file's bytes, or a range of them; raises `ImageError`, `StorageError`."""
        try:
            if offset is None or length is None:
                return self._whole(uri, revision)
            return self._range(uri, offset, length, revision.rpartition(":")[0])
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ImageError(ErrorCode.NOT_FOUND, str(error)) from error
        except PermissionError as error:
            raise ImageError(ErrorCode.ACCESS_DENIED, str(error)) from error
        except IsADirectoryError as error:
            raise ImageError(ErrorCode.PATH_DENIED, str(error)) from error

    def forget(self) -> None:
        """Ask again for the revision of every shard."""
        with self._lock:
            self._shards.clear()

    def info(self, uri: str) -> dict[str, Any]:
        """What the store says of a file now."""
        fs, path = self._filesystem(uri)
        found: dict[str, Any] = self.retry.call(f"asking for {uri}", lambda: fs.info(path))
        if found.get("type") == "directory":
            raise IsADirectoryError(f"{uri} is a folder")
        return found

    def _whole(self, uri: str, revision: str) -> bytes:
        info = self.info(uri)
        _check(remote_revision(info), revision)
        size = int(info.get("size") or 0)
        self._check_size(size)
        data = self._cat(uri, 0, size)
        if len(data) != size:
            raise ImageError(ErrorCode.CHANGED, f"{size} bytes were listed, {len(data)} came")
        return data

    def _range(self, uri: str, offset: int, length: int, revision: str) -> bytes:
        self._check_size(length)
        _check(self._shard_revision(uri), revision)
        data = self._cat(uri, offset, offset + length)
        if len(data) != length:
            raise ImageError(ErrorCode.CHANGED, f"the shard ends {length - len(data)} bytes early")
        return data

    def _cat(self, uri: str, start: int, end: int) -> bytes:
        if start == end:
            return b""
        fs, path = self._filesystem(uri)
        data: bytes = self.retry.call(
            f"reading {uri}", lambda: fs.cat_file(path, start=start, end=end)
        )
        return data

    def _shard_revision(self, uri: str) -> str:
        known = self._shards.get(uri)
        if known is None:
            known = remote_revision(self.info(uri))
            with self._lock:
                if len(self._shards) >= _REMEMBERED:
                    self._shards.clear()
                self._shards[uri] = known
        return known

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self.max_bytes:
            raise ImageError(
                ErrorCode.TOO_LARGE_FILE, f"{n_bytes} bytes, at most {self.max_bytes} are read"
            )

    def _filesystem(self, uri: str) -> tuple[Any, str]:
        protocol = uri.partition("://")[0]
        with self._lock:
            if protocol not in self._filesystems:
                self._filesystems[protocol] = filesystem(uri)[0]
            fs = self._filesystems[protocol]
        return fs, fs._strip_protocol(uri)


def _check(now: str, listed: str) -> None:
    if listed and now != listed:
        raise ImageError(ErrorCode.CHANGED, f"listed as {listed}, now {now}")
