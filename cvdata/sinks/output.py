"""Files below a target on any fsspec filesystem, each with its size and sha256 as it is written."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from cvdata.durable import temp_name
from cvdata.errors import StorageError
from cvdata.retry import Retry
from cvdata.sinks.behind import BehindFile, RawFile, Written, write_whole
from cvdata.sources.threads import world

_LOCAL_THREADS, _REMOTE_THREADS = 2, 16
_BATCH_BYTES, _BATCH_FILES = 1 << 20, 16
_LOCAL_WAITING_BYTES, _REMOTE_WAITING_BYTES = 8 << 20, 64 << 20
"""Local: what waits should still lie in a processor's cache when it is hashed and written."""


@dataclass
class Output:
    """What is written below `url`, in the order it was asked for; `finish` says what was.

    Threads hash and write while the next images are read; what waits is bounded. Nothing is
    fsynced, as `cp` does not: a receipt that outlived its files is found out by their sizes.
    `notes` counts what a sink had to leave out, in words for the card. A large file is begun in the
    folder `scratch` below `url`, so that whoever owns that sweeps up what a killed run began.
    """

    url: str
    scratch: str = ""
    notes: Counter[str] = field(default_factory=Counter)
    _files: list[Written] = field(default_factory=list)
    _folders: set[str] = field(default_factory=set)
    _batch: list[tuple[str, bytes]] = field(default_factory=list)
    _batch_bytes: int = 0
    _waiting: deque[tuple["Future[list[Written]]", int]] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _pool: ThreadPoolExecutor | None = None

    @cached_property
    def _where(self) -> tuple[Any, str]:
        fs, root = fsspec.core.url_to_fs(self.url)
        return fs, str(root).rstrip("/")

    @cached_property
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
        self.full(path)
        self._batch.append((path, data))
        self._batch_bytes += len(data)
        most = _BATCH_FILES if self.is_local else 1
        if self._batch_bytes >= _BATCH_BYTES or len(self._batch) >= most:
            self._submit()

    def _submit(self) -> None:
        if not self._batch:
            return
        if self._pool is None:
            threads = _LOCAL_THREADS if self.is_local else _REMOTE_THREADS
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="put")
        batch, n_bytes = self._batch, self._batch_bytes
        self._batch, self._batch_bytes = [], 0
        most = _LOCAL_WAITING_BYTES if self.is_local else _REMOTE_WAITING_BYTES
        while self._waiting and self._waiting_bytes + n_bytes > most:
            self._take()
        self._waiting.append((self._pool.submit(self._write, batch), n_bytes))
        self._waiting_bytes += n_bytes

    def _take(self) -> None:
        future, n_bytes = self._waiting.popleft()
        self._waiting_bytes -= n_bytes
        self._files += future.result()

    def _write(self, batch: list[tuple[str, bytes]]) -> list[Written]:
        return [self._write_one(path, data) for path, data in batch]

    def _write_one(self, path: str, data: bytes) -> Written:
        full = self.full(path)
        if self.is_local:
            with world(f"writing {path}"):
                self._make_folder(full)
                write_whole(full, data)
        else:
            fs = self._where[0]
            Retry().call(f"writing {path}", lambda: fs.pipe_file(full, data))
        return Written(path, len(data), hashlib.sha256(data).hexdigest())

    @contextmanager
    def stream(self, path: str) -> Iterator[BehindFile]:
        """A large file, which has its name once it is whole."""
        full = self.full(path)
        with world(f"writing {path}"), self._raw(full) as raw, BehindFile(raw) as file:
            yield file
        self._submit()
        done: Future[list[Written]] = Future()
        done.set_result([Written(path, file.size_bytes, file.sha256.hexdigest())])
        self._waiting.append((done, 0))

    @contextmanager
    def _raw(self, full: str) -> Iterator[Any]:
        if not self.is_local:
            with self._where[0].open(full, "wb") as raw:
                yield raw
            return
        self._make_folder(full)
        own = temp_name()
        temp = self.full(f"{self.scratch}/{own}" if self.scratch else own)
        self._make_folder(temp)
        try:
            with RawFile(temp) as raw:
                yield raw
            os.replace(temp, full)  # noqa: PTH105
        finally:
            if os.path.lexists(temp):
                os.unlink(temp)  # noqa: PTH108

    def _make_folder(self, full: str) -> None:
        folder = full.rpartition("/")[0]
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103  hot path
            self._folders.add(folder)

    def finish(self) -> list[Written]:
        """Wait for what is being written; every file so far, in the order it was asked for."""
        try:
            self._submit()
            while self._waiting:
                self._take()
        finally:
            self.close()
        return self._files

    def close(self) -> None:
        """Drop what was asked for and not begun."""
        for future, _ in self._waiting:
            future.cancel()
        self._waiting.clear()
        self._batch.clear()
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
