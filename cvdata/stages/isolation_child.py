"""What runs inside the child process of a `Sandbox`: the dangerous work, and nothing else.

The child reads batches of encoded images from shared files, writes what it is doing into a shared
page (so that the parent knows whom to blame when it dies) and sends results up a pipe. It imports
only what its factory needs.
"""

import contextlib
import ctypes
import json
import mmap
import os
import pickle
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from cvdata.errors import ImageError

HEART = struct.Struct("=Qd")
"""What the shared page holds: the number of the image being worked on, and since when."""
STARTING, IDLE = 0, 1
"""Numbers in the page that are no image's; images count from 2."""
ORDER = struct.Struct("=BI")
"""A message down: which shared file holds a batch, and of how many images. An empty read ends."""
ENTRY = struct.Struct("=QQI")
"""One line of a batch's table: image number, bytes of data, bytes of name."""
FRAME = struct.Struct("=Q")
"""Length before each message up."""

_FLUSH_SECONDS = 0.05
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_ISOLATED_FILES = 64

Call = Callable[[bytes, str], Any]
Answer = tuple[int, str, Any]


class _Link:
    """The child's ends of the wires."""

    def __init__(self, wires: dict[str, Any]) -> None:
        self._down, self._up = wires["down"], wires["up"]
        self.lanes: list[int] = wires["lanes"]
        self._page = mmap.mmap(wires["heart"], mmap.PAGESIZE)
        self.answers: list[Answer] = []
        self._flushed = time.monotonic()

    def beat(self, number: int) -> float:
        now = time.monotonic()
        HEART.pack_into(self._page, 0, number, now)
        return now

    def order(self) -> tuple[int, int] | None:
        """The next batch, or None once the parent has closed its end."""
        message = _read(self._down, ORDER.size)
        if len(message) < ORDER.size:
            return None
        lane, count = ORDER.unpack(message)
        return lane, count

    def answer(self, answer: Answer, now: float) -> None:
        """Keep an answer; results go up together, but never later than a blink."""
        self.answers.append(answer)
        if now - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the answers kept. While the pipe is full no image is to blame and no clock runs."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._flushed = self.beat(IDLE)
        body = pickle.dumps(self.answers, protocol=5)
        self.answers = []
        for part in (FRAME.pack(len(body)), body):
            view = memoryview(part)
            while view:
                view = view[os.write(self._up, view) :]


def _read(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _pread(fd: int, size: int, offset: int) -> bytes:
    """`size` bytes at `offset` of a shared file: one copy, however large."""
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            raise EOFError("shared file is shorter than its table says")
        data += more
    return data


def main(argument: str) -> None:
    """Serve batches until the parent closes the wire. `argument` is JSON: wires and limits."""
    wires = json.loads(argument)
    if wires["isolate"]:
        _cut_off()
    _tie_to(wires["parent"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    link = _Link(wires)
    try:
        factory = pickle.loads(_pread(wires["heart"], wires["factory_bytes"], mmap.PAGESIZE))  # noqa: S301
        call = factory()
    except BaseException:  # noqa: BLE001 - told to the parent, which raises it
        link.answers = [(STARTING, "bug", traceback.format_exc())]
        link.flush()
        return
    _confine(wires)
    link.answers = [(STARTING, "ready", None)]
    link.flush()
    while (order := link.order()) is not None:
        _serve(link, call, order, wires)


def _serve(link: _Link, call: Call, order: tuple[int, int], wires: dict[str, Any]) -> None:
    lane, count = order
    fd = link.lanes[lane]
    table = list(ENTRY.iter_unpack(_pread(fd, ENTRY.size * count, 0)))
    offset = ENTRY.size * count
    for number, data_bytes, name_bytes in table:
        name = _pread(fd, name_bytes, offset).decode("utf-8", "surrogateescape")
        data = _pread(fd, data_bytes, offset + name_bytes)
        offset += name_bytes + data_bytes
        _arm(wires)
        link.beat(number)
        kind, value = attempt(call, data, name)
        link.answer((number, kind, value), link.beat(number))
        if kind == "memory":
            # Whatever is still allocated must not fall on the next image: leave, be replaced.
            link.flush()
            sys.exit(0)
    link.flush()


def attempt(call: Call, data: bytes, name: str) -> tuple[str, Any]:
    """(kind, value): `ok` and the result, `bad` and (code, detail), `memory`, or `bug` and text."""
    try:
        return "ok", call(data, name)
    except ImageError as error:
        is_memory = error.code == "out_of_memory"
        return ("memory", error.detail) if is_memory else ("bad", (str(error.code), error.detail))
    except MemoryError as error:
        return "memory", str(error)
    except Exception as error:  # noqa: BLE001 - a bug is told to the parent, which raises it
        if _is_opencv_memory(error):
            return "memory", str(error)
        return "bug", f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"


def _is_opencv_memory(error: Exception) -> bool:
    """OpenCV has one exception type; -4 is its code for memory that could not be had."""
    return type(error).__module__.split(".")[0] == "cv2" and getattr(error, "code", 0) == -4


def _cut_off() -> None:
    """Leave the network, where the kernel lets an unprivileged process do so."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _tie_to(parent: int) -> None:
    """Die with the parent, even while a decoder hangs. Linux only; elsewhere the alarm does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(0)


def _confine(wires: dict[str, Any]) -> None:
    """Limits are set after the factory, so that imports and compilation do not count."""
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    limit = _address_space() + int(wires["memory_limit_bytes"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if not wires["isolate"]:
        return
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_ISOLATED_FILES, _ISOLATED_FILES))


def _address_space() -> int:
    """Bytes of address space in use now."""
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * mmap.PAGESIZE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _arm(wires: dict[str, Any]) -> None:
    """A last resort, should the parent be unable to end a decoder that hangs: the kernel does."""
    seconds = float(wires["time_limit_seconds"])
    signal.setitimer(signal.ITIMER_REAL, 2 * seconds + 5)
    if wires["isolate"]:
        used = time.process_time()
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 2, hard))
