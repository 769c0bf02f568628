"""The parent's side of one sandboxed child process: start it, hand it batches, hear its answers."""

import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cvdata.errors import printable
from cvdata.stages.isolation_answers import read_answers
from cvdata.stages.isolation_child import ENTRY, FRAME, HEART, IDLE, ORDER, STARTING, Answer

LANES = 3
_KEEP_LANE_BYTES = 16 << 20
_KEEP_STDERR_BYTES = 1 << 20
_MAX_FRAME_BYTES = 1 << 30
_START_SECONDS = 600.0
_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_PREFIXES = ("LC_", "PYTHON", "NUMBA_", "COV_", "COVERAGE_")
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)
_BOOT = (
    "import sys, json; a = json.loads(sys.argv[1]); sys.path[:] = a['path'];"
    " from cvdata.stages.isolation_child import main; main(sys.argv[1])"
)


@dataclass(frozen=True)
class Confinement:
    """What a child may use.

    `isolate`, for hostile sources, adds: no file written, few files open, CPU time limited, no new
    privileges and, where the kernel allows it, no network.
    """

    time_limit_seconds: float = 20.0
    memory_limit_bytes: int = 4 << 30
    isolate: bool = False


@dataclass(frozen=True)
class Task:
    """One image on its way through a child. Numbers count from 2."""

    number: int
    data: bytes
    name: str


class ChildGone(Exception):
    """The child died; `number` is the image it was at, `STARTING` or `IDLE`; `reason` says how."""

    def __init__(self, number: int, reason: str, is_timeout: bool = False) -> None:
        super().__init__(number, reason)
        self.number, self.reason, self.is_timeout = number, reason, is_timeout


@lru_cache(maxsize=1)
def _spawner(pid: int) -> ThreadPoolExecutor:
    """The one thread that starts children, as long-lived as the process `pid`.

    Linux kills a child (PR_SET_PDEATHSIG) when the thread that started it ends.
    """
    return ThreadPoolExecutor(1, thread_name_prefix="cvdata-sandbox")


def _shared_file(name: str) -> int:
    """A file in memory that both processes hold open."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Child:
    """One child process and the wires to it. Not thread-safe."""

    def __init__(
        self, factory: bytes, limits: Confinement, result_types: Sequence[type] = ()
    ) -> None:
        self.limits = limits
        self.sent = 0
        self._allowed = frozenset((t.__module__, t.__qualname__) for t in result_types)
        self._buffer = bytearray()
        self._started = time.monotonic()
        self._lanes = [_shared_file(f"cvdata-lane-{i}") for i in range(LANES)]
        self._heart = _shared_file("cvdata-heart")
        self._stderr = _shared_file("cvdata-stderr")
        fcntl.fcntl(self._stderr, fcntl.F_SETFL, os.O_APPEND)
        os.ftruncate(self._heart, mmap.PAGESIZE + len(factory))
        self._page = mmap.mmap(self._heart, mmap.PAGESIZE)
        os.pwrite(self._heart, factory, mmap.PAGESIZE)
        child_down, self._down = os.pipe()
        self._up, child_up = os.pipe()
        for pipe in (self._up, self._down):
            os.set_blocking(pipe, True)
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._up, fcntl.F_SETPIPE_SZ, 1 << 20)
        self._process = self._start(len(factory), child_down, child_up)
        os.close(child_down)
        os.close(child_up)
        self._poll = select.poll()
        self._poll.register(self._up, select.POLLIN)

    def _start(self, factory_bytes: int, down: int, up: int) -> "subprocess.Popen[bytes]":
        wires = {
            "path": [p or str(Path.cwd()) for p in sys.path],
            "parent": os.getpid(),
            "down": down,
            "up": up,
            "lanes": self._lanes,
            "heart": self._heart,
            "factory_bytes": factory_bytes,
            **vars(self.limits),
        }
        return (
            _spawner(os.getpid())
            .submit(
                subprocess.Popen,
                [sys.executable, "-c", _BOOT, json.dumps(wires)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(down, up, self._heart, *self._lanes),
                env=_environment(),
            )
            .result()
        )

    def send(self, lane: int, tasks: Sequence[Task]) -> None:
        """Put a batch into shared file `lane`, which must be free, and tell the child."""
        names = [task.name.encode("utf-8", "surrogateescape") for task in tasks]
        table = b"".join(
            ENTRY.pack(task.number, len(task.data), len(name))
            for task, name in zip(tasks, names, strict=True)
        )
        fd, offset = self._lanes[lane], 0
        parts = [table]
        for task, name in zip(tasks, names, strict=True):
            parts += [name, task.data]
        for part in parts:
            view = memoryview(part)
            while view:
                written = os.pwrite(fd, view, offset)
                view, offset = view[written:], offset + written
        self.sent += len(tasks)
        with contextlib.suppress(BrokenPipeError):
            # A child that is gone is noticed where its answers are awaited.
            os.write(self._down, ORDER.pack(lane, len(tasks)))

    def release(self, lane: int) -> None:
        """The batch in `lane` is answered: a large one gives its memory back."""
        if os.fstat(self._lanes[lane]).st_size > _KEEP_LANE_BYTES:
            os.ftruncate(self._lanes[lane], 0)

    def receive(self) -> list[Answer]:
        """The next answers; raises `ChildGone` when it dies, or is ended for want of one."""
        while True:
            frame = self._frame()
            if frame is not None:
                return frame
            if not self._poll.poll(max(1.0, self._patience() * 1000)):
                self._check_time()
                continue
            data = os.read(self._up, 1 << 20)
            if not data:
                raise self._gone()
            self._buffer += data

    def _frame(self) -> list[Answer] | None:
        if len(self._buffer) < FRAME.size:
            return None
        (length,) = FRAME.unpack_from(self._buffer)
        end = FRAME.size + length
        if length > _MAX_FRAME_BYTES:
            raise self._gone("it sent a message beyond all bounds")
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[FRAME.size : end])
        del self._buffer[:end]
        return read_answers(body, self._allowed)

    def _beat(self) -> tuple[int, float]:
        """(number, since when) from the shared page; the factory's time is under `STARTING`."""
        number, since = HEART.unpack_from(self._page)
        return (number, since) if number != STARTING else (STARTING, self._started)

    def _patience(self) -> float:
        """Seconds until the image in work has had its time; a second where there is none."""
        number, since = self._beat()
        if number in (STARTING, IDLE):
            return 1.0
        return min(1.0, since + self.limits.time_limit_seconds - time.monotonic())

    def _check_time(self) -> None:
        number, since = self._beat()
        if number == IDLE:
            return
        limit = _START_SECONDS if number == STARTING else self.limits.time_limit_seconds
        time.sleep(0.001)
        # Read twice: the page is written in two words.
        if self._beat() != (number, since):
            return
        if time.monotonic() - since >= limit:
            self._process.kill()
            reason = f"over the limit of {limit:g} s"
            raise ChildGone(number, reason, is_timeout=True)

    def _gone(self, reason: str = "") -> ChildGone:
        """What is to be said of a child that hung up."""
        number, _ = self._beat()
        self._process.kill() if reason else None
        status = self._process.wait()
        if not reason:
            reason = f"exit status {status}" if status >= 0 else _signal_name(-status)
        tail = self._last_words()
        is_timeout = -status in (signal.SIGALRM, signal.SIGXCPU)
        return ChildGone(number, f"{reason}: {tail}" if tail else reason, is_timeout)

    def _last_words(self) -> str:
        size = os.fstat(self._stderr).st_size
        text = os.pread(self._stderr, 2000, max(0, size - 2000)).decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return printable(lines[-1], 120) if lines else ""

    def tidy(self) -> None:
        """Forget what libraries wrote to stderr once it has grown."""
        if os.fstat(self._stderr).st_size > _KEEP_STDERR_BYTES:
            os.ftruncate(self._stderr, 0)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def close(self) -> None:
        """End the child at once and let go of every file."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._page.close()
        for fd in (self._down, self._up, self._heart, self._stderr, *self._lanes):
            os.close(fd)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment() -> dict[str, str]:
    """The parent's environment without its credentials, and one thread for every library."""
    kept = {k: v for k, v in os.environ.items() if k in _ENVIRONMENT or k.startswith(_PREFIXES)}
    return kept | _ONE_THREAD
