"""What there is to work with, known before any work starts; and what of it would not do."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cvdata.engine.actors import pool_size
from cvdata.engine.session import (
    Session,
    embedded_cpus,
    object_store_size,
    refuse_impossible,
)
from cvdata.errors import ConfigError
from cvdata.stages.base import Resources
from cvdata.storage import Store

SPILL_SHARE = 0.95
"""Ray stops writing to a disk that is fuller (local_fs_capacity_threshold)."""
LEAST_FREE_BYTES = 64 << 20
OVERRIDE = "or pass --ignore-capacity to try"


@dataclass(frozen=True)
class Needs:
    """What the workers of a pass need: one kind, or two where a model runs apart (`is_apart`)."""

    resources: Resources = field(default_factory=Resources)
    device: Resources = field(default_factory=Resources)
    n_devices: int = 0
    is_apart: bool = False


@dataclass(frozen=True)
class Capacity:
    """What a session would run on: CPUs and GPUs node by node; memory of the machine it is on.

    `object_store_bytes` is 0 without Ray, or where a cluster has its own.
    """

    nodes: tuple[dict[str, float], ...]
    memory_bytes: int
    object_store_bytes: int
    workers: int
    is_serial: bool = False

    @property
    def cpus(self) -> float:
        """Of all nodes, no more than are asked for."""
        total = sum(node.get("CPU", 0.0) for node in self.nodes)
        return min(total, float(self.workers)) if self.workers else total

    @property
    def gpus(self) -> float:
        """Of all nodes."""
        return sum(node.get("GPU", 0.0) for node in self.nodes)


NO_CAPACITY = Capacity((), 0, 0, 0)
"""Where nothing is to be done nobody asks what there is."""


def capacity(session: Session) -> Capacity:
    """What the session has, or would have: an embedded Ray is not started for the question."""
    config, memory = session.config, psutil.virtual_memory().total
    if session.is_serial:
        return Capacity(({"CPU": 1.0, "GPU": float(_gpus())},), memory, 0, 1, is_serial=True)
    if (nodes := session.nodes()) is not None:
        return Capacity(tuple(nodes), memory, 0, config.workers)
    cpus = float(embedded_cpus(config.workers))
    store = object_store_size(config.object_store_bytes)
    return Capacity(({"CPU": cpus, "GPU": float(_gpus())},), memory, store, config.workers)


def _gpus() -> int:
    """GPUs of this machine, as their driver names them; torch is not asked, it takes seconds."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return len([p for p in Path("/dev").glob("nvidia[0-9]*") if p.name[6:].isdigit()])


def refuse_too_few(needs: Needs, has: Capacity) -> int:
    """Workers with a model that fit; `ConfigError` where the pools would wait for ever.

    A plain loop waits for nobody.
    """
    if has.is_serial:
        return 0
    if needs.is_apart:
        return pool_size(needs, has.nodes)
    for word in ("CPU", "GPU"):
        best = max((node.get(word, 0.0) for node in has.nodes), default=0.0)
        refuse_impossible(needs.resources, {"CPU": float("inf"), "GPU": float("inf"), word: best})
    return 0


def refuse_full_disk(store: Store, n_bytes: int, what: str) -> None:
    """`ConfigError` where a local workspace has too little room for so many bytes more."""
    if not store.is_local:
        return
    folder = Path(store.root)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < n_bytes + LEAST_FREE_BYTES:
        raise ConfigError(
            f"{what} needs about {n_bytes / 1e9:,.2f} GB, and {folder} has {free / 1e9:,.2f} GB "
            f"free: make room, choose another --workspace, {OVERRIDE}"
        )


def refuse_full_spill(has: Capacity, needs: Needs) -> None:
    """`ConfigError` where pixels travel and Ray could not put them on disk when memory is short."""
    if not needs.is_apart or not has.object_store_bytes:
        return
    folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    usage = shutil.disk_usage(folder)
    if usage.used > SPILL_SHARE * usage.total:
        raise ConfigError(
            f"the disk of {folder}, to which Ray moves what its memory cannot hold, is "
            f"{usage.used / usage.total:.0%} full, and Ray stops at {SPILL_SHARE:.0%}: make room, "
            f"set RAY_TMPDIR, use pipeline: tasks, {OVERRIDE}"
        )


def describe(nodes: Sequence[dict[str, float]]) -> str:
    """`2 nodes, 16 CPUs, 1 GPUs`."""
    cpus, gpus = (sum(node.get(word, 0.0) for node in nodes) for word in ("CPU", "GPU"))
    tail = f", {gpus:g} GPUs" if gpus else ""
    return f"{len(nodes)} node{'s' * (len(nodes) != 1)}, {cpus:g} CPUs{tail}"
