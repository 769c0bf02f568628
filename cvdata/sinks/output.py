"""Files below a target on any fsspec filesystem, each with its size and sha256 as it is written."""

import hashlib
import os
import secrets
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from cvdata.errors import StorageError
from cvdata.sources.retry import Retry, world

TEMP_PREFIX = ".tmp-"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_REMOTE_THREADS, _REMOTE_WAITING = 16, 64


class Written(NamedTuple):
    """One file of an export."""

    path: str
    size_bytes: int
    sha256: str


@dataclass
class HashingFile:
    """A binary file that is written from start to end and hashed on the way."""

    file: Any
    size_bytes: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)
    closed: bool = False  # pyarrow asks

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")
        self.file.write(view)
        self.sha256.update(view)
        self.size_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size_bytes

    def flush(self) -> None:
        """Nothing: the file is flushed when it is closed."""

    def close(self) -> None:
        """Nothing: who opened the file closes it."""

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False


@dataclass
class Output:
    """What is written below `url`, in the order it was asked for: `files` says what, `finish` ends.

    Small files on a remote store are written by threads, at most 64 waiting. Nothing is fsynced,
    as `cp` does not: a receipt that outlived its files is found out by their sizes. `notes` counts
    what a sink had to leave out, in words for the card.
    """

    url: str
    files: list[Written] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    _folders: set[str] = field(default_factory=set)
    _waiting: deque["Future[None]"] = field(default_factory=deque)
    _pool: ThreadPoolExecutor | None = None

    @cached_property
    def _where(self) -> tuple[Any, str]:
        fs, root = fsspec.core.url_to_fs(self.url)
        return fs, str(root).rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether files go to this machine."""
        return isinstance(self._where[0], LocalFileSystem)

    def full(self, path: str) -> str:
        """The full path of a relative one, which must stay inside; `StorageError` otherwise."""
        if path.startswith("/") or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise StorageError(f"path {path!r} leaves the target")
        return f"{self._where[1]}/{path}"

    def put(self, path: str, data: bytes) -> None:
        """Write a whole small file; what lies there is replaced."""
        full = self.full(path)
        self.files.append(Written(path, len(data), hashlib.sha256(data).hexdigest()))
        if self.is_local:
            with world(f"writing {path}"):
                self._make_folder(full)
                _write(full, data)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_REMOTE_THREADS, thread_name_prefix="put")
        while len(self._waiting) >= _REMOTE_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._pipe, path, full, data))

    def _pipe(self, path: str, full: str, data: bytes) -> None:
        fs = self._where[0]
        Retry().call(f"writing {path}", lambda: fs.pipe_file(full, data))

    @contextmanager
    def stream(self, path: str) -> Iterator[HashingFile]:
        """A large file, which has its name once it is whole."""
        full = self.full(path)
        if self.is_local:
            with world(f"writing {path}"):
                self._make_folder(full)
                temp = (
                    f"{full.rpartition('/')[0]}/{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
                )
                try:
                    with open(temp, "xb", buffering=0) as raw:  # noqa: PTH123  hot path
                        file = HashingFile(_Whole(raw))
                        yield file
                    os.replace(temp, full)  # noqa: PTH105
                finally:
                    if os.path.lexists(temp):
                        os.unlink(temp)  # noqa: PTH108
        else:
            with world(f"writing {path}"), self._where[0].open(full, "wb") as raw:
                file = HashingFile(raw)
                yield file
        self.files.append(Written(path, file.size_bytes, file.sha256.hexdigest()))

    def _make_folder(self, full: str) -> None:
        folder = full.rpartition("/")[0]
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103  hot path
            self._folders.add(folder)

    def finish(self) -> list[Written]:
        """Wait for what is being written; the files, in the order they were asked for."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self.close()
        return self.files

    def close(self) -> None:
        """Drop what was asked for and not begun."""
        for future in self._waiting:
            future.cancel()
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def size(self, path: str) -> int | None:
        """Size of a file below the target; None where there is none."""
        full = self.full(path)
        if self.is_local:
            try:
                return os.lstat(full).st_size
            except (FileNotFoundError, NotADirectoryError):
                return None
        fs = self._where[0]
        try:
            info = Retry().call(f"looking for {path}", lambda: fs.info(full))
        except FileNotFoundError:
            return None
        return int(info.get("size") or 0)


@dataclass(frozen=True)
class _Whole:
    """Writes all of what it is given: a raw file may write less."""

    raw: Any

    def write(self, view: memoryview) -> None:
        while view:
            view = view[self.raw.write(view) :]


def _write(full: str, data: bytes) -> None:
    """Never through a link: what lies there is replaced by a file of its own."""
    descriptor = os.open(full, _FLAGS, 0o666)
    try:
        n = os.write(descriptor, data)
        while n < len(data):
            n += os.write(descriptor, memoryview(data)[n:])
    finally:
        os.close(descriptor)
