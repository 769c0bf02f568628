"""What a pass over images will cost: from what earlier ones did, told before anything starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvdata.commits import Commit
from cvdata.config import Prices
from cvdata.engine.capacity import (
    Capacity,
    Needs,
    describe,
    refuse_full_disk,
    refuse_full_spill,
    refuse_too_few,
)
from cvdata.storage import Store

LEAST_MEASURED, COMMITS_LOOKED_AT = 100, 30
STARTUP_SECONDS = 6.0
"""Until the first part of an embedded Ray (docs/benchmarks.md)."""
SHIPPED = "the rate that cvdata was measured at (docs/benchmarks.md): this workspace has none yet"


@dataclass(frozen=True)
class Cost:
    """What images cost: CPU seconds by image and by byte, seconds of the model, bytes of a row."""

    seconds: float
    row_bytes: int
    n_columns: int
    byte_seconds: float = 0.0
    model_seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.seconds + other.seconds,
            self.row_bytes + other.row_bytes,
            self.n_columns + other.n_columns,
            self.byte_seconds + other.byte_seconds,
            self.model_seconds + other.model_seconds,
        )

    def worker_seconds(self, n_images: int, n_bytes: int) -> float:
        """Time of workers, the model's too."""
        per_image = self.seconds + self.model_seconds
        return n_images * per_image + n_bytes * self.byte_seconds


@dataclass(frozen=True)
class Rate:
    """How this workspace's own runs compare with the shipped cost; `source` says which run."""

    factor: float = 1.0
    model_seconds: float | None = None
    row_bytes: float | None = None
    source: str = SHIPPED


def measured_rate(commits: Sequence[Commit], kind: str, cost: Cost) -> Rate:
    """The rate of the newest commit that ran this pass on 100 images or more."""
    for commit in reversed(commits[-COMMITS_LOOKED_AT:]):
        stage: Mapping[str, Any] = commit.stats.get("run", {}).get("stages", {}).get(kind, {})
        n = int(stage.get("n_images", 0))
        busy = sum(stage.get("worker_seconds", {}).values()) * stage.get("cpus_per_worker", 1.0)
        if n < LEAST_MEASURED or busy <= 0:
            continue
        expected = cost.worker_seconds(n, int(stage["bytes_read"]))
        model = stage["worker_seconds"].get("model", 0.0) / n
        return Rate(
            busy / max(expected, 1e-9),
            model or None,
            stage["bytes_written"] / n,
            f"commit {commit.seq}: {n:,} images, {busy / n * 1e3:,.2f} ms of a CPU each",
        )
    return Rate()


@dataclass(frozen=True)
class Estimate:
    """What the pending images of a pass will take."""

    n_images: int
    n_bytes: int
    written_bytes: int
    cpu_seconds: float
    gpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    traveling_bytes: int
    has: Capacity
    source: str

    def price(self, prices: Prices) -> float:
        """Of all CPUs and GPUs for as long as it takes: what is up is paid for."""
        hours = self.wall_seconds / 3600
        return hours * (self.has.cpus * prices.cpu_hour + self.has.gpus * prices.gpu_hour)

    def numbers(self, prices: Prices) -> dict[str, Any]:
        """For a machine."""
        return {
            "images": self.n_images,
            "bytes": self.n_bytes,
            "written_bytes": self.written_bytes,
            "cpu_seconds": round(self.cpu_seconds, 2),
            "gpu_seconds": round(self.gpu_seconds, 2),
            "wall_seconds": round(self.wall_seconds, 2),
            "memory_bytes": self.memory_bytes,
            "shuffle_bytes": self.traveling_bytes,
            "cost": round(self.price(prices), 4),
            "cpus": self.has.cpus,
            "gpus": self.has.gpus,
            "rates_from": self.source,
        }

    def lines(self, prices: Prices) -> list[str]:
        """For a person."""
        gpu = f", {_spell(self.gpu_seconds)} of GPUs" if self.gpu_seconds else ""
        travels = "nothing is shuffled"
        if self.traveling_bytes:
            travels = f"{self.traveling_bytes / 1e9:,.3f} GB of pixels pass between workers"
        lines = [
            f"  about {_spell(self.cpu_seconds)} of CPUs{gpu}: {_spell(self.wall_seconds)} on "
            f"{describe(self.has.nodes)} ({self.has.cpus:g} CPUs used)",
            f"  rates from {self.source}",
            f"  up to {self.memory_bytes / 1e9:,.1f} GB of memory; {travels}",
        ]
        if prices != Prices():
            lines.append(f"  cost about {self.price(prices):,.2f}")
        if self.memory_bytes > self.has.memory_bytes and len(self.has.nodes) == 1:
            lines.append(
                f"  warning: this machine has {self.has.memory_bytes / 1e9:,.1f} GB: use fewer "
                "--workers"
            )
        return lines


@dataclass(frozen=True)
class Pending:
    """What is to be done: images and the bytes of their files, and of what travels for each."""

    n_images: int
    n_bytes: int
    traveling_bytes: int = 0


def estimate(pending: Pending, cost: Cost, rate: Rate, needs: Needs, has: Capacity) -> Estimate:
    """What the pass will take on these nodes."""
    n, on_gpu = pending.n_images, (needs.device if needs.is_apart else needs.resources).gpus > 0
    model = n * (cost.model_seconds if rate.model_seconds is None else rate.model_seconds)
    total = rate.factor * cost.worker_seconds(n, pending.n_bytes)
    gpu_seconds = min(model, total) if on_gpu else 0.0
    cpu_seconds = total - gpu_seconds if needs.is_apart else total
    n_workers = max(1.0, has.cpus // max(needs.resources.cpus, 0.01))
    wall = cpu_seconds / max(has.cpus, 1.0)
    if gpu_seconds and has.gpus:
        wall = max(wall, gpu_seconds / has.gpus)
    memory = n_workers * needs.resources.memory_bytes
    if needs.is_apart:
        memory += max(needs.n_devices, 1) * needs.device.memory_bytes
    return Estimate(
        n_images=n,
        n_bytes=pending.n_bytes,
        written_bytes=int(n * (cost.row_bytes if rate.row_bytes is None else rate.row_bytes)),
        cpu_seconds=cpu_seconds,
        gpu_seconds=gpu_seconds,
        wall_seconds=wall + (STARTUP_SECONDS if has.object_store_bytes and n else 0.0),
        memory_bytes=int(memory) + has.object_store_bytes,
        traveling_bytes=n * pending.traveling_bytes if needs.is_apart else 0,
        has=has,
        source=rate.source,
    )


def refuse_unable(store: Store, found: Estimate, needs: Needs) -> None:
    """`ConfigError` for a pass that could not end: too few CPUs or GPUs, too little disk."""
    refuse_too_few(needs, found.has)
    refuse_full_disk(store, found.written_bytes, f"what {found.n_images:,} images leave")
    refuse_full_spill(found.has, needs)


def _spell(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"
