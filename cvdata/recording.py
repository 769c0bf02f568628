"""What a run did, counted as it goes: for its commit, its summary, its metrics and its watchers.

Recorders nest: what a change records, the run around it records too.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Effort:
    """What one chunk cost: seconds of workers by step, and which workers they were.

    `idle_seconds`: how long a worker that holds a model did not run it before this chunk was done.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    idle_seconds: float = 0.0
    workers: tuple[str, ...] = ()
    host: str = ""


@dataclass
class StageRecord:
    """One pass over images: what went in, what came out, what it cost."""

    n_images: int = 0
    n_chunks: int = 0
    seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    steps: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    idle_seconds: float = 0.0
    cpus: float = 1.0
    gpus: float = 0.0
    workers: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    def add(self, cost: Effort) -> None:
        """What one chunk cost."""
        for step, seconds in cost.seconds.items():
            self.steps[step] += seconds
        self.idle_seconds += cost.idle_seconds
        self.workers.update(cost.workers)
        self.hosts.add(cost.host)

    @property
    def cpu_seconds(self) -> float:
        """How long CPUs were taken: the time of the workers, by the CPUs that each has."""
        return self.cpus * sum(self.steps.values())

    @property
    def model_seconds(self) -> float:
        """How long models computed."""
        return self.steps.get("model", 0.0)

    @property
    def model_idle_share(self) -> float | None:
        """Share of its time in which a worker that holds a model did not run it; None without."""
        busy = self.model_seconds
        return self.idle_seconds / (self.idle_seconds + busy) if busy else None

    def to_json(self) -> dict[str, Any]:
        """For a commit."""
        return {
            "n_images": self.n_images,
            "n_chunks": self.n_chunks,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.n_images / max(self.seconds, 1e-9), 1),
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "errors": dict(sorted(self.errors.items())),
            "worker_seconds": {k: round(v, 3) for k, v in sorted(self.steps.items())},
            "cpus_per_worker": self.cpus,
            "gpus_per_worker": self.gpus,
            "model_idle_share": _rounded(self.model_idle_share),
            "n_workers": len(self.workers),
            "n_hosts": len(self.hosts),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass
class Live:
    """How far the pass is that runs now."""

    stage: str
    unit: str
    total: int
    done: int = 0
    errors: int = 0
    n_chunks: int = 0
    total_chunks: int = 0
    started: float = field(default_factory=time.monotonic)

    def to_json(self) -> dict[str, Any]:
        """For a heartbeat or a log line."""
        rate = self.done / max(1e-9, time.monotonic() - self.started)
        return {
            "stage": self.stage,
            "unit": self.unit,
            "total": self.total,
            "done": self.done,
            "errors": self.errors,
            "n_chunks": self.n_chunks,
            "total_chunks": self.total_chunks,
            "rate": round(rate, 1),
        }


class Recorder:
    """Counts of one run, or of one change in it."""

    def __init__(self, parent: "Recorder | None" = None) -> None:
        self.parent = parent
        self.started = time.monotonic()
        self.stages: dict[str, StageRecord] = {}
        self.live: Live | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started

    @property
    def n_images(self) -> int:
        """Images that went through any pass."""
        return sum(stage.n_images for stage in self.stages.values())

    @property
    def errors(self) -> dict[str, int]:
        """Bad images by code, of all passes."""
        total: Counter[str] = Counter()
        for stage in self.stages.values():
            total.update(stage.errors)
        return dict(sorted(total.items()))

    def each(self) -> "Iterator[Recorder]":
        """Itself, then those around it."""
        found: Recorder | None = self
        while found is not None:
            yield found
            found = found.parent

    def stage(self, name: str) -> StageRecord:
        """The record of a pass, new or old."""
        return self.stages.setdefault(name, StageRecord())

    def progress(self) -> dict[str, Any]:
        """How far the pass is that runs now; empty between two."""
        return self.live.to_json() if self.live is not None else {}

    def to_json(self) -> dict[str, Any]:
        """For a commit."""
        return {
            "seconds": round(self.seconds, 3),
            "stages": {name: stage.to_json() for name, stage in sorted(self.stages.items())},
        }


_current: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recording() -> Iterator[Recorder]:
    """A recorder for what the block does."""
    found = Recorder(_current.get())
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)


def recorder() -> Recorder:
    """The innermost recorder; one that nobody reads where nothing is recorded."""
    return _current.get() or Recorder()
