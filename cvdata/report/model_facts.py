"""What a model was worth, as the report is told it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelFacts:
    """One model's rows against the truth (`kind` classes, boxes, masks, retrieval; "" for none).

    `summary` are the numbers of all images by name, `splits` those by split. `classes` (label, n
    and its numbers), `confusions` (truth, predicted, n, rate) and `hardest` (image_id and why) are
    in the order of the page. `calibration` has low, high, n, confidence, accuracy of each bin.
    `comparison` has `since`, `numbers` and, of predictions, `flips`. `is_current` is False where
    the model ran again, or images were ingested, since.
    """

    table: str
    model: str
    task: str
    kind: str
    n_images: int = 0
    n_unlabelled: int = 0
    n_failed: int = 0
    summary: Mapping[str, float | None] = field(default_factory=dict)
    splits: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    classes: Sequence[Mapping[str, Any]] = ()
    confusions: Sequence[Mapping[str, Any]] = ()
    calibration: Mapping[str, Sequence[float]] | None = None
    hardest: Sequence[Mapping[str, Any]] = ()
    comparison: Mapping[str, Any] | None = None
    is_current: bool = True

    @property
    def flips(self) -> Sequence[Mapping[str, Any]]:
        """Images whose best label changed, the surest first."""
        found: Sequence[Mapping[str, Any]] = (self.comparison or {}).get("flips", ())
        return found
