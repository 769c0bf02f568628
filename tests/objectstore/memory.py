"""fsspec's memory store, exclusive and with faults: what a store does that has no emulator."""

import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from fsspec.implementations.memory import MemoryFileSystem

from tests.objectstore.server import Faults

T = TypeVar("T")
MESSAGES = {
    "refused": "500 Internal Server Error",
    "throttled": "503 Slow Down",
    "conflict": "409 Conflict",
    "reset": "connection reset by peer",
}


class FaultyMemory(MemoryFileSystem):  # type: ignore[misc]
    """`faulty://`: each operation may fail before it is done, or after."""

    protocol = "faulty"
    store: ClassVar[dict[str, Any]] = {}
    faults: ClassVar[Faults] = Faults()
    lock: ClassVar[Any] = threading.RLock()

    def _asked(self, method: str, action: Callable[[], T], *, is_exclusive: bool = False) -> T:
        fault = self.faults.draw(method, is_exclusive=is_exclusive)
        if fault in MESSAGES:
            raise OSError(MESSAGES[fault])
        if fault == "slow":
            time.sleep(0.3)
        with self.lock:
            done = action()
        if fault == "lost":
            raise TimeoutError("no answer")
        if fault == "taken":
            raise FileExistsError("412 Precondition Failed")
        return done

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return self._asked("GET", lambda: super(FaultyMemory, self).cat_file(path, *args, **kwargs))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        write = super().pipe_file
        self._asked(
            "PUT", lambda: write(path, value, mode=mode, **kwargs), is_exclusive=mode == "create"
        )

    def rm_file(self, path: str) -> None:
        remove = super().rm_file
        self._asked("DELETE", lambda: remove(path))

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        find = super().find
        return self._asked("GET", lambda: find(path, *args, **kwargs))
