"""A lock on a workspace that a dead run does not hold: a lease that its run keeps renewing.

Each grant is a file `_lock/<n>.json`, created only if absent; the highest number holds the lock.
Only its run writes it again: with each beat, and once at the end to say that it is free. A run
takes over by creating the next number, so of two that find the same dead holder one wins. It
saves wasted work and no more: what makes two runs at once correct is the commit protocol.
"""

import json
import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from cvdata.errors import LockHeld, StorageError, WorkspaceError
from cvdata.storage import Store

log = logging.getLogger("cvdata")
FOLDER = "_lock"
LEASE_SECONDS, BEAT_SECONDS = 60.0, 10.0
POLL_SECONDS, REMOTE_POLL_SECONDS = 0.5, 5.0
LONG_SILENT_SECONDS = 600.0
"""Silent for so long by our own clock: dead, however far the two clocks are apart."""
Progress = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, when it took it and last showed life (seconds since 1970), how far it is.

    `place` names the machine since its last start, and the container; pids mean the same there.
    """

    generation: int
    token: str
    job: str
    host: str
    place: str
    pid: int
    born: float
    taken: float
    beat: float
    n_beats: int = 0
    is_released: bool = False
    progress: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The file's bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, default=str).encode()

    @property
    def silent_seconds(self) -> float:
        """Time since its last beat, by the clocks of both machines."""
        return max(0.0, time.time() - self.beat)

    @property
    def is_over(self) -> bool:
        """Whether it surely is at work no more: it said so, its process is gone, long silent."""
        if self.is_released or self.silent_seconds > LONG_SILENT_SECONDS:
            return True
        return self.place == place() and not _is_alive(self.pid, self.born)

    def line(self) -> str:
        """Who it is, for a person."""
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.taken))
        return (
            f"{self.job} (process {self.pid} on {self.host}, since {when}, "
            f"last sign of life {self.silent_seconds:,.0f} s ago)"
        )


@lru_cache(maxsize=1)
def place() -> str:
    """Names the machine since its last start, and the container: where a pid is one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        boot, space = f"{psutil.boot_time():.0f}", ""
    return f"{platform.node()} {boot} {space}".strip()


def _is_alive(pid: int, born: float) -> bool:
    """Whether the process that was started then is still there; a pid may have been given anew."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - born) < 1.0
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def holder(store: Store) -> Holder | None:
    """The newest grant, of whatever state; None where there never was one."""
    while True:
        entries = [e.path for e in store.list(FOLDER) if e.path.endswith(".json")]
        if not entries:
            return None
        try:
            return Holder(**json.loads(store.get(entries[-1])))
        except FileNotFoundError:  # the next holder tidied up between the two looks
            continue
        except (ValueError, TypeError) as error:
            raise WorkspaceError(
                f"{entries[-1]} is no lock of ours ({error}): remove it if no run is at work"
            ) from error


def _path(generation: int) -> str:
    return f"{FOLDER}/{generation:020d}.json"


def take(store: Store, job: str, wait_seconds: float = 0.0, progress: Progress = dict) -> "Lease":
    """Hold the workspace's lock; `LockHeld` where a live run has it for longer than the wait.

    A holder that cannot be seen to be dead, on another machine, is watched: without a beat for
    60 s of our own clock it is taken to be dead, so clocks need not agree.
    """
    deadline = time.monotonic() + wait_seconds
    first = found = holder(store)
    seen_at = time.monotonic()
    while True:
        now = time.monotonic()
        if found is None or found.is_over or now - seen_at > LEASE_SECONDS:
            if (lease := _grant(store, job, found, progress)) is not None:
                return lease
        elif now >= deadline and (
            _is_alive_by(first, found) or found.silent_seconds < LEASE_SECONDS
        ):
            raise LockHeld(
                f"another run is at work on {store.url}: {found.line()}. Wait for it with "
                "--wait-for-lock SECONDS, or run beside it with --lock off: the tables stay "
                "right, but work may be done twice"
            )
        time.sleep(POLL_SECONDS if store.is_local else REMOTE_POLL_SECONDS)
        before, found = found, holder(store)
        if _is_alive_by(before, found):
            seen_at = time.monotonic()


def _is_alive_by(before: Holder | None, after: Holder | None) -> bool:
    """Whether something happened between two looks."""
    return (before and (before.token, before.n_beats)) != (after and (after.token, after.n_beats))


def _grant(store: Store, job: str, found: Holder | None, progress: Progress) -> "Lease | None":
    """The next grant; None where another run was faster."""
    now, me = time.time(), psutil.Process()
    mine = Holder(
        generation=found.generation + 1 if found else 1,
        token=secrets.token_hex(8),
        job=job,
        host=platform.node(),
        place=place(),
        pid=os.getpid(),
        born=me.create_time(),
        taken=now,
        beat=now,
    )
    if not store.put_new(_path(mine.generation), mine.encode()):
        newest = holder(store)
        if newest is None or newest.token != mine.token:  # else only the answer was lost
            return None
    if found is not None and not found.is_released:
        log.info("the lock of a dead run is taken over: %s", found.line())
    for entry in list(store.list(FOLDER)):
        if entry.path < _path(mine.generation):
            store.delete(entry.path)
    return Lease(store, mine, progress)


class Lease:
    """A lock that is held, and kept by a thread until `release`."""

    def __init__(self, store: Store, mine: Holder, progress: Progress) -> None:
        self.store, self.mine, self._progress = store, mine, progress
        self.is_lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="cvdata-lock", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self.renew()
            except StorageError as error:
                log.warning("the lock could not be renewed: %s", error)
            if self.is_lost:
                return

    def renew(self) -> None:
        """Show life, and how far the run is; notice where another run took over."""
        newest = holder(self.store)
        if newest is None or newest.token != self.mine.token:
            self.is_lost = True
            who = newest.line() if newest else "somebody removed it"
            log.warning("this run was silent for too long and lost its lock: %s", who)
            return
        self.mine = replace(
            self.mine,
            beat=time.time(),
            n_beats=self.mine.n_beats + 1,
            progress=dict(self._progress()),
        )
        self.store.put(_path(self.mine.generation), self.mine.encode())

    def release(self) -> None:
        """Say that the lock is free. Where that fails it expires by itself."""
        self._ended.set()
        self._thread.join()
        if self.is_lost:
            return
        try:
            done = replace(self.mine, is_released=True, beat=time.time(), progress={})
            self.store.put(_path(done.generation), done.encode())
        except StorageError as error:
            log.warning("the lock could not be released and will expire: %s", error)
