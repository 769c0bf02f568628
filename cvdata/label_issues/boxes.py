"""Boxes against a detector: objects overlooked, boxes badly placed, labels swapped.

After ObjectLab (Tkachenko, Thyagarajan, Mueller 2023): each error has its own score; an image's
is that of its worst box.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.label_issues.confident import F64
from cvdata.label_issues.model import plain

OVERLOOKED, BADLY_PLACED, SWAPPED = "overlooked", "badly_placed", "swapped"
BOX_METHODS = (OVERLOOKED, BADLY_PLACED, SWAPPED)
SAME_PLACE = 0.5
"""Intersection over union from which two boxes mean one object, as COCO counts it."""
TOUCHES = 0.1
"""Below this a prediction is another object's, and says nothing of where a box belongs."""


@dataclass(frozen=True)
class Boxed:
    """k boxes of one image: class names, `xyxy` (k, 4) in pixels, `scores` (k,) of predictions."""

    labels: tuple[str, ...]
    xyxy: F64
    scores: F64


@dataclass(frozen=True)
class BoxDoubt:
    """The worst box of an image by one method: score in [0, 1], 1 is surely wrong."""

    method: str
    score: float
    label: str | None
    suggested: str
    facts: Mapping[str, Any]


def iou_matrix(a: F64, b: F64) -> F64:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4), xyxy; 0 where both are empty."""
    top = np.maximum(a[:, None, :2], b[None, :, :2])
    low = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(low - top, 0, None).prod(axis=2)
    area_a, area_b = (np.clip(x[:, 2:] - x[:, :2], 0, None).prod(axis=1) for x in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def box_doubts(given: Boxed, found: Boxed, known: Sequence[str]) -> list[BoxDoubt]:
    """At most one doubt a method.

    `known`: classes of the annotation; what else a detector sees nobody promised to annotate.
    """
    classes = {plain(name) for name in known}
    kept = [i for i, label in enumerate(found.labels) if plain(label) in classes]
    found = Boxed(tuple(found.labels[i] for i in kept), found.xyxy[kept], found.scores[kept])
    overlap = iou_matrix(given.xyxy, found.xyxy)
    mine = np.array([plain(x) for x in given.labels], object)[:, None]
    theirs = np.array([plain(x) for x in found.labels], object)[None]
    is_same = np.asarray(mine == theirs, bool).reshape(overlap.shape)
    beside = _beside(overlap, is_same)
    doubts = [
        _overlooked(found, overlap, beside),
        _badly_placed(given, found, overlap, beside),
        _swapped(given, found, overlap, is_same),
    ]
    return [d for d in doubts if d is not None]


def _beside(overlap: F64, is_same: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(n, m) box and prediction of one class that meet only partly, and meet nothing better."""
    same = np.where(is_same, overlap, 0.0)
    is_free = same.max(axis=0, initial=0.0) < SAME_PLACE
    is_placed = same.max(axis=1, initial=0.0) >= SAME_PLACE
    return np.asarray(is_same & (overlap >= TOUCHES) & is_free[None] & ~is_placed[:, None])


def _overlooked(found: Boxed, overlap: F64, beside: npt.NDArray[np.bool_]) -> BoxDoubt | None:
    """A prediction where no box is: its score × (1 - IoU with the nearest box of any class).

    Not where a badly placed box of its class is meant.
    """
    if not len(found.labels):
        return None
    nearest = overlap.max(axis=0, initial=0.0)
    is_alone = (nearest < SAME_PLACE) & ~beside.any(axis=0)
    scores = np.where(is_alone, found.scores * (1 - nearest), 0.0)
    j = int(scores.argmax())
    if scores[j] <= 0:
        return None
    facts = _facts(found, j, float(nearest[j]))
    return BoxDoubt(OVERLOOKED, float(scores[j]), None, found.labels[j], facts)


def _badly_placed(
    given: Boxed, found: Boxed, overlap: F64, touching: npt.NDArray[np.bool_]
) -> BoxDoubt | None:
    """A box that a prediction of its class meets only partly: score × (1 - IoU).

    Predictions that another box of the class already explains do not count.
    """
    if not overlap.size:
        return None
    scores = np.where(touching, found.scores[None] * (1 - overlap), 0.0)
    # the prediction that meets a box best says where it belongs
    best = np.where(touching, overlap, -1.0).argmax(axis=1)
    chosen = scores[np.arange(len(best)), best]
    i = int(chosen.argmax())
    if chosen[i] <= 0:
        return None
    j = int(best[i])
    facts = {"box": _numbers(given.xyxy[i]), **_facts(found, j, float(overlap[i, j]))}
    return BoxDoubt(BADLY_PLACED, float(chosen[i]), given.labels[i], given.labels[i], facts)


def _swapped(
    given: Boxed, found: Boxed, overlap: F64, is_same: npt.NDArray[np.bool_]
) -> BoxDoubt | None:
    """A box in whose place a prediction has another class.

    Its score × IoU, less the same of the best prediction that agrees with the label.
    """
    if not overlap.size:
        return None
    at_place = np.where(overlap >= SAME_PLACE, overlap * found.scores[None], 0.0)
    against = np.where(is_same, 0.0, at_place)
    scores = against.max(axis=1) - np.where(is_same, at_place, 0.0).max(axis=1)
    i = int(scores.argmax())
    if scores[i] <= 0:
        return None
    j = int(against[i].argmax())
    facts = {"box": _numbers(given.xyxy[i]), **_facts(found, j, float(overlap[i, j]))}
    return BoxDoubt(SWAPPED, float(scores[i]), given.labels[i], found.labels[j], facts)


def _facts(found: Boxed, j: int, iou: float) -> dict[str, Any]:
    return {
        "predicted": found.labels[j],
        "at": _numbers(found.xyxy[j]),
        "score": round(float(found.scores[j]), 4),
        "iou": round(iou, 4),
    }


def _numbers(xyxy: F64) -> list[float]:
    return [round(float(v), 1) for v in xyxy]
