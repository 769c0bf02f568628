"""What Ray's own metrics agents are told while a run is at work on a cluster.

Ray exports these beside its own, as `ray_cvdata_…`, on the port that each node has for that.
"""

from functools import lru_cache
from typing import Any

from cvdata.recording import Effort, StageRecord

COUNTERS = {
    "cvdata_images": "Images that went through a stage.",
    "cvdata_bytes_written": "Bytes of the parts that were written.",
    "cvdata_worker_seconds": "Time of workers by stage and step.",
    "cvdata_errors": "Bad images by stage and code.",
}
GAUGES = {"cvdata_gpu_idle_share": "Share of its time in which a worker with a GPU had no work."}
_TAGS = {"cvdata_worker_seconds": ("stage", "step"), "cvdata_errors": ("stage", "code")}


@lru_cache(maxsize=1)
def _metrics() -> dict[str, Any]:
    from ray.util.metrics import Counter, Gauge

    made: dict[str, Any] = {}
    for name, text in COUNTERS.items():
        made[name] = Counter(name, description=text, tag_keys=_TAGS.get(name, ("stage",)))
    for name, text in GAUGES.items():
        made[name] = Gauge(name, description=text, tag_keys=("stage",))
    return made


def tell(stage: str, n_images: int, n_bytes: int, errors: dict[str, int], cost: Effort) -> None:
    """Count one finished chunk."""
    metrics, tags = _metrics(), {"stage": stage}
    _add(metrics["cvdata_images"], n_images, tags)
    _add(metrics["cvdata_bytes_written"], n_bytes, tags)
    for step, seconds in cost.seconds.items():
        _add(metrics["cvdata_worker_seconds"], seconds, {**tags, "step": step})
    for code, n in errors.items():
        _add(metrics["cvdata_errors"], n, {**tags, "code": code})


def tell_idle(stage: str, record: StageRecord) -> None:
    """Set the idle share of the stage's GPUs, where it has any."""
    if record.gpus and (share := record.model_idle_share) is not None:
        _metrics()["cvdata_gpu_idle_share"].set(share, tags={"stage": stage})


def _add(counter: Any, value: float, tags: dict[str, str]) -> None:
    if value > 0:  # a counter refuses 0
        counter.inc(value, tags=tags)
