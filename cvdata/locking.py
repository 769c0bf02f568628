"""Which lock a run takes: none, one that only warns, or one that it must have."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from cvdata.errors import LockHeld
from cvdata.lease import Lease, Progress, take
from cvdata.storage import Store

log = logging.getLogger("cvdata")
Mode = Literal["off", "warn", "require"]


@dataclass
class Locking:
    """The locks of one run, taken when it first begins to change a workspace."""

    job: str
    mode: Mode = "warn"
    wait_seconds: float = 0.0
    progress: Progress = dict
    leases: dict[str, Lease | None] = field(default_factory=dict)

    def hold(self, store: Store) -> None:
        """Have this workspace's lock; asked again, nothing happens."""
        if self.mode == "off" or store.url in self.leases:
            return
        try:
            self.leases[store.url] = take(store, self.job, self.wait_seconds, self.progress)
        except LockHeld as error:
            if self.mode == "require":
                raise
            self.leases[store.url] = None
            log.warning("%s", error)

    def release(self) -> None:
        """Give every lock back."""
        for lease in self.leases.values():
            if lease is not None:
                lease.release()
        self.leases.clear()


_current: ContextVar[Locking | None] = ContextVar("locking", default=None)


@contextmanager
def locking(
    job: str, mode: Mode, wait_seconds: float = 0.0, progress: Progress = dict
) -> Iterator[Locking]:
    """Every workspace that the block changes is locked until it ends."""
    found = Locking(job, mode, wait_seconds, progress)
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)
        found.release()


def hold(store: Store) -> None:
    """The lock of the run that this is part of, if it is part of one that locks."""
    if (found := _current.get()) is not None:
        found.hold(store)


def progress_of(value: Mapping[str, Any]) -> str:
    """`scan: 120 of 515 images, 410/s, 2 errors` of what a holder last told."""
    if not value:
        return ""
    total = f" of {value['total']:,}" if value.get("total") else ""
    return (
        f"{value['stage']}: {value['done']:,}{total} {value['unit']}, "
        f"{value['rate']:,.0f}/s, {value['errors']:,} errors"
    )
