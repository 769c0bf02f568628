"""Files that are hashed and written by threads while their next bytes are made."""

import hashlib
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE_BYTES, _PIECES_WAITING, _PIECES_A_CALL = 1 << 20, 8, 1000
"""What waits should still lie in a processor's cache when it is hashed and written."""


class Written(NamedTuple):
    """One file of an export."""

    path: str
    size_bytes: int
    sha256: str


def write_whole(full: str, data: bytes) -> None:
    """Write a local file, never through a link."""
    descriptor = os.open(full, _FLAGS, 0o666)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however little a system call takes."""
    n = os.write(descriptor, data)
    while n < len(data):
        n += os.write(descriptor, memoryview(data)[n:])


@dataclass
class RawFile:
    """A new local file without a buffer; what lies there is replaced, never followed."""

    full: str
    descriptor: int = -1

    def __enter__(self) -> "RawFile":
        self.descriptor = os.open(self.full, _FLAGS, 0o666)
        return self

    def writelines(self, pieces: list[bytes]) -> None:
        """Write all of each: without a copy, and by one system call where it takes all."""
        for start in range(0, len(pieces), _PIECES_A_CALL):
            some = pieces[start : start + _PIECES_A_CALL]
            n = os.writev(self.descriptor, some)
            if n < sum(map(len, some)):
                write_all(self.descriptor, b"".join(some)[n:])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.descriptor)


@dataclass
class BehindFile:
    """A binary file written from start to end: one thread hashes what it was given, one writes it.

    About 8 MB wait at most. What a thread could not do is raised by the next call.
    """

    raw: Any
    size_bytes: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)
    closed: bool = False  # pyarrow asks
    _held: list[bytes] = field(default_factory=list)
    _held_bytes: int = 0
    _waiting: deque["Future[None]"] = field(default_factory=deque)
    _pools: tuple[ThreadPoolExecutor, ...] = ()

    def __enter__(self) -> "BehindFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._submit()
                while self._waiting:
                    self._waiting.popleft().result()
        finally:
            for pool in self._pools:
                pool.shutdown(wait=True, cancel_futures=True)

    def write(self, data: Any) -> int:
        """Take all of `data`."""
        piece = data if isinstance(data, bytes) else bytes(data)
        self.writelines([piece])
        return len(piece)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        """Take all of each."""
        n_bytes = sum(map(len, pieces))
        self._held += pieces
        self._held_bytes += n_bytes
        self.size_bytes += n_bytes
        if self._held_bytes >= _PIECE_BYTES:
            self._submit()

    def _submit(self) -> None:
        if not self._held:
            return
        if not self._pools:
            self._pools = tuple(
                ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("hash", "write")
            )
        while len(self._waiting) >= 2 * _PIECES_WAITING:
            self._waiting.popleft().result()
        for pool, action in zip(self._pools, (self._hash, self.raw.writelines), strict=True):
            self._waiting.append(pool.submit(action, self._held))
        self._held, self._held_bytes = [], 0

    def _hash(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.sha256.update(piece)

    def tell(self) -> int:
        """Bytes taken so far."""
        return self.size_bytes

    def flush(self) -> None:
        """Nothing: it is written in its own time."""

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
