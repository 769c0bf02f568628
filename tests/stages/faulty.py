"""Callables that really crash, hang and swell on marked bytes: what the sandbox is tested with."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cvdata.errors import ErrorCode, ImageError


@dataclass(frozen=True)
class Faulty:
    """Sums bytes; `marker` is a folder in which a callable that dies only once leaves a note."""

    marker: str = ""

    def __call__(self) -> Callable[[bytes, str], Any]:
        kept: list[np.ndarray] = []

        def call(data: bytes, name: str) -> Any:
            kind = data[:6]
            if kind in _DEADLY:
                _DEADLY[kind]()
            if kind == b"!once!":
                note = Path(self.marker) / name
                if not note.exists():
                    note.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            if kind == b"!leak!":
                # A fresh child affords one of these, no child affords two.
                kept.append(np.empty(600 << 20, np.uint8))
            if kind == b"!bad!!":
                raise ImageError(ErrorCode.CORRUPT, "as marked")
            if kind == b"!bug!!":
                raise ZeroDivisionError("as marked")
            if kind == b"!type!":
                return Path(name)
            return name, len(data), int(np.frombuffer(data, np.uint8).sum())

        return call


def _abort() -> None:
    os.write(2, b"free(): invalid pointer\n")
    os.abort()


def _spin() -> None:
    while True:
        pass


def _opencv() -> None:
    import cv2

    cv2.resize(np.zeros((9, 9), np.uint8), (100_000, 100_000))


_DEADLY: dict[bytes, Callable[[], Any]] = {
    b"!segv!": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"!kill!": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"!exit!": lambda: os._exit(3),
    b"!abrt!": _abort,
    b"!hang!": lambda: time.sleep(1000),
    b"!spin!": _spin,
    b"!8gb!!": lambda: np.ones(8 << 30, np.uint8),
    b"!cv2!!": _opencv,
}


@dataclass(frozen=True)
class Sick:
    """A factory that fails in its own way."""

    how: str

    def __call__(self) -> Callable[[bytes, str], Any]:
        if self.how == "raise":
            raise RuntimeError("no weights")
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError


@dataclass(frozen=True)
class Surroundings:
    """Tells what a child sees and may do."""

    def __call__(self) -> Callable[[bytes, str], Any]:
        import cv2

        def call(data: bytes, name: str) -> Any:
            import resource
            import socket
            import sys

            try:
                Path(name).write_bytes(b"x" * 10)
                wrote = True
            except OSError:
                wrote = False
            try:
                with socket.create_connection(("127.0.0.1", int(data)), timeout=1):
                    connected = True
            except OSError:
                connected = False
            return {
                "environment": dict(os.environ),
                "modules": sorted({m.split(".")[0] for m in sys.modules}),
                "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
                "threads": cv2.getNumThreads(),
                "wrote": wrote,
                "connected": connected,
                "pid": os.getpid(),
            }

        return call
