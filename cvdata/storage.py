"""One folder on any fsspec filesystem, with the three writes that the protocol needs.

Every write is atomic and exclusive: a reader sees a whole file or none, and of two writers of one
name one is told that it came second. Locally that is temp file, fsync, hard link, fsync of the
folder; on an object store it is one conditional PUT.
"""

import errno
import hashlib
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from cvdata import durable
from cvdata.durable import TEMP_PREFIX as TEMP_PREFIX
from cvdata.errors import ConfigError, StorageError
from cvdata.retry import Retry, answer_of

T = TypeVar("T")
RETRY = Retry()


@dataclass(frozen=True)
class Entry:
    """One file below the root: its relative path, its size and when it was last modified."""

    path: str
    size_bytes: int
    modified: float


class Store:
    """The folder at `url`; paths in every call are relative, with forward slashes."""

    def __init__(self, url: str, *, single_writer: bool = False) -> None:
        self.url = url.rstrip("/") or url
        self.single_writer = single_writer
        # Without fsspec's cache of listings, which does not see what other machines write.
        self.fs, self.root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.url, self.single_writer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.__reduce__())

    def path(self, relative: str) -> str:
        """The full path of `relative`, which must stay inside the folder."""
        if relative.startswith("/") or ".." in relative.split("/"):
            raise StorageError(f"path {relative!r} leaves the workspace")
        return f"{self.root}/{relative}"

    def get(self, relative: str) -> bytes:
        """The bytes of a file; `FileNotFoundError` where there is none."""
        path = self.path(relative)
        data: bytes = self.asked(f"reading {relative}", lambda: self.fs.cat_file(path))
        return data

    def asked(self, doing: str, action: Callable[[], T]) -> T:
        """`action()`; on a store in the net again after a fault, with backoff and jitter."""
        with _world(doing):
            return action() if self.is_local else RETRY.call(doing, action)

    def exists(self, relative: str) -> bool:
        """Whether the file is there."""
        path = self.path(relative)
        return bool(self.asked(f"looking for {relative}", lambda: self.fs.exists(path)))

    def put_new(self, relative: str, data: bytes) -> bool:
        """Write the whole file if the name is free; False, and no change, if it is taken.

        On a store in the net also False where it was written but the answer was lost: names are
        digests of what they hold, and a commit knows its own run id.
        """
        path = self.path(relative)
        if self.is_local:
            return self.asked(f"writing {relative}", lambda: durable.put_new(Path(path), data))
        return self.asked(f"writing {relative}", lambda: self._put_remote(path, data))

    def put_content(self, relative: str, data: bytes) -> None:
        """Write a file that is named by the digest of `data`; durable once `settle` returns."""
        if self.is_local:
            path = Path(self.path(relative))
            self.asked(f"writing {relative}", lambda: durable.put_content(path, data))
        else:
            self.put_new(relative, data)

    def settle(self) -> None:
        """Make what `put_content` wrote outlast a power cut; stores in the net do so at once."""
        if self.is_local and (root := Path(self.root)).exists():
            self.asked(f"flushing {self.root}", lambda: durable.settle(root))

    def _put_remote(self, path: str, data: bytes) -> bool:
        if self.single_writer:
            if self.fs.exists(path):
                return False
            self.fs.pipe_file(path, data)
            return True
        try:
            self.fs.pipe_file(path, data, mode="create")
        except OSError as error:
            if not _is_taken(error):
                raise
            return False
        return True

    def put_file(self, relative: str, source: Path) -> bool:
        """`put_new` of what the local file `source` holds, never whole in memory."""
        path = self.path(relative)
        if self.is_local:
            return self.asked(f"writing {relative}", lambda: durable.put_new(Path(path), source))
        return self.asked(f"writing {relative}", lambda: self._put_remote_file(path, source))

    def _put_remote_file(self, path: str, source: Path) -> bool:
        if self.single_writer:
            if self.fs.exists(path):
                return False
            self.fs.put_file(str(source), path)
            return True
        try:
            self.fs.put_file(str(source), path, mode="create")
        except OSError as error:
            if not _is_taken(error):
                raise
            return False
        return True

    def sha256(self, relative: str) -> str:
        """Hex sha256 of a file, read block by block."""

        def read() -> str:
            with self.fs.open(self.path(relative), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        return self.asked(f"reading {relative}", read)

    @contextmanager
    def local_copy(self, relative: str) -> Iterator[Path]:
        """The file where libraries can open it: itself, or a copy that goes when the block ends."""
        if self.is_local:
            yield Path(self.path(relative))
            return
        with tempfile.TemporaryDirectory(prefix="cvdata-") as folder:
            copy = Path(folder) / "copy"
            path = self.path(relative)
            self.asked(f"reading {relative}", lambda: self.fs.get_file(path, str(copy)))
            yield copy

    def put(self, relative: str, data: bytes) -> None:
        """Write or replace the file: for views that can be made again, never for parts."""
        if not self.is_local:
            full = self.path(relative)
            self.asked(f"writing {relative}", lambda: self.fs.pipe_file(full, data))
            return
        with _world(f"writing {relative}"):
            path = Path(self.path(relative))
            path.parent.mkdir(parents=True, exist_ok=True)
            temp = path.with_name(durable.temp_name())
            try:
                temp.write_bytes(data)
                temp.replace(path)
            finally:
                temp.unlink(missing_ok=True)

    def delete(self, relative: str) -> None:
        """Remove the file; nothing happens where there is none."""
        path = self.path(relative)
        with suppress(FileNotFoundError):
            self.asked(f"deleting {relative}", lambda: self.fs.rm_file(path))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every finished file below `prefix`, sorted by path."""
        base = self.path(prefix) if prefix else self.root

        def find() -> dict[str, Any]:
            self.fs.invalidate_cache(base)
            return dict(self.fs.find(base, detail=True)) if self.fs.exists(base) else {}

        found = self.asked(f"listing {prefix or self.url}", find)
        for full in sorted(found):
            relative = full[len(self.root) :].lstrip("/")
            if not relative.rsplit("/", 1)[-1].startswith(TEMP_PREFIX):
                info = found[full]
                yield Entry(relative, int(info["size"] or 0), _modified(info))

    def temporaries(self) -> Iterator[Entry]:
        """Unfinished local writes: of a run that is still working, or of a killed one."""
        if self.is_local:
            for path in sorted(Path(self.root).rglob(f"{TEMP_PREFIX}*")):
                with suppress(FileNotFoundError):
                    found = path.stat()
                    relative = str(path.relative_to(self.root))
                    yield Entry(relative, found.st_size, found.st_mtime)

    def probe(self) -> None:
        """Refuse a store that would let two writers take one name."""
        if self.single_writer:
            return
        name = f"_probe/{secrets.token_hex(8)}"
        try:
            self.put_new(name, b"1")
            second = self.put_new(name, b"2")
            kept = self.get(name)
        except (TypeError, ValueError, NotImplementedError, StorageError) as error:
            # a store may refuse the argument itself; asked again, that comes as the cause
            if isinstance(error, StorageError) and not isinstance(error.__cause__, ValueError):
                raise
            raise ConfigError(_NOT_EXCLUSIVE.format(url=self.url)) from error
        finally:
            self.delete(name)
        # The first may say False where the answer to it was lost; the content tells.
        if second or kept != b"1":
            raise ConfigError(_NOT_EXCLUSIVE.format(url=self.url))


_NOT_EXCLUSIVE = (
    "{url} ignores create-if-absent, so two runs could overwrite each other's commit; "
    "use another store, or pass --single-writer and make sure that only one run writes"
)


def _is_taken(error: OSError) -> bool:
    """Whether an exclusive write failed because the name is in use.

    By the answer's number too: s3fs knows it by a word that not every store puts into a 412.
    """
    if isinstance(error, FileExistsError):
        return True
    return answer_of(error)[1] == HTTPStatus.PRECONDITION_FAILED


def _reopen(kind: type[Store], url: str, single_writer: bool) -> Store:
    return kind(url, single_writer=single_writer)


def _modified(info: dict[str, Any]) -> float:
    value = info.get("mtime", info.get("LastModified", info.get("created", 0.0)))
    return float(value.timestamp() if hasattr(value, "timestamp") else value or 0.0)


class _world:  # noqa: N801
    """Turn an operating system's or store's failure into a `StorageError` that says what to do."""

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, FileNotFoundError):
            return
        hint = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "; free some space and run the same command again: finished parts are kept"
        elif isinstance(error, PermissionError):
            hint = "; check who owns the folder, or the store's credentials"
        raise StorageError(f"{self.doing} failed: {error}{hint}") from error


def digest(data: bytes) -> str:
    """Hex sha256 of `data`."""
    return hashlib.sha256(data).hexdigest()
