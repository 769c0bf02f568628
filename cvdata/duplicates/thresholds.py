"""Which cosine makes a copy: by model and weights, from a calibration or built in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CALIBRATION = "calibration.json"
"""The artifact of a workspace that holds what `cvdata calibrate` measured."""


@dataclass(frozen=True)
class Thresholds:
    """Cosines of one model: `alone` makes a copy by itself, `candidate` is worth a second look."""

    alone: float
    candidate: float
    source: str = "built in"

    def of(self, *, is_verified: bool) -> float:
        """The one that a run uses."""
        return self.candidate if is_verified else self.alone


BUILT_IN: Mapping[tuple[str, str], Thresholds] = {
    (
        "mobilenet_v2",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    ): Thresholds(0.88, 0.8),
}
"""By model and hex sha256 of its weights; docs/dedup.md has the table they were read from."""


def key_of(model: str, weights: str) -> str:
    """What a calibration is filed under."""
    return f"{model}@{weights}"


def known(calibration: bytes | None, model: str, weights: str) -> Thresholds | None:
    """Those that were calibrated in the workspace, else those that are built in, else None."""
    if calibration is not None:
        models: dict[str, Any] = json.loads(calibration)["models"]
        entry = models.get(key_of(model, weights))
        if entry is not None:
            return Thresholds(entry["alone"], entry["candidate"], "calibrated")
    return BUILT_IN.get((model, weights))


def merged(calibration: bytes | None, entry: Mapping[str, Any]) -> bytes:
    """The artifact with this model's numbers in place of older ones of the same weights."""
    models: dict[str, Any] = json.loads(calibration)["models"] if calibration is not None else {}
    models[key_of(entry["model"], entry["weights"])] = dict(entry)
    latest = key_of(entry["model"], entry["weights"])
    return json.dumps({"latest": latest, "models": models}, indent=1, sort_keys=True).encode()
