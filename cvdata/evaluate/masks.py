"""Masks and label maps against the truth: IoU, Dice, pixel accuracy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.evaluate.classification import confusion_matrix

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """One mask against another; 1 each where both are empty."""

    iou: float
    dice: float
    pixel_accuracy: float


@dataclass(frozen=True)
class Segmentation:
    """Label maps against the truth, all pixels together; per class NaN where it never occurs."""

    iou: Doubles
    dice: Doubles
    pixel_accuracy: float
    confusion: npt.NDArray[np.int64]

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur."""
        return float(np.nanmean(self.iou))

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the classes that occur."""
        return float(np.nanmean(self.dice))


def overlap(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]) -> Overlap:
    """IoU (Jaccard), Dice (F1) and the share of equal pixels of two boolean arrays."""
    _same_shape(truth, predicted)
    both = int(np.count_nonzero(truth & predicted))
    either = int(np.count_nonzero(truth | predicted))
    iou = both / either if either else 1.0
    dice = 2 * both / (both + either) if either else 1.0
    return Overlap(iou, dice, float(np.mean(truth == predicted)))


def segmentation_confusion(
    truth: npt.NDArray[np.integer[Any]],
    predicted: npt.NDArray[np.integer[Any]],
    n_classes: int,
    ignore: int | None = 255,
) -> npt.NDArray[np.int64]:
    """Pixel counts (classes, classes), truth by row; pixels whose truth is `ignore` left out.

    Sum them over images, then `segmentation`.
    """
    _same_shape(truth, predicted)
    is_known = np.ones(truth.shape, np.bool_) if ignore is None else truth != ignore
    known, said = truth[is_known], predicted[is_known]
    if known.size and (
        max(known.max(), said.max()) >= n_classes or min(known.min(), said.min()) < 0
    ):
        raise ConfigError(f"a label map holds a class beyond {n_classes - 1}")
    return confusion_matrix(known, said, n_classes)


def segmentation(confusion: npt.NDArray[np.int64]) -> Segmentation:
    """The scores of summed pixel counts."""
    both = np.diag(confusion).astype(np.float64)
    sides = confusion.sum(axis=0) + confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        iou, dice = both / (sides - both), 2 * both / sides
    return Segmentation(iou, dice, float(both.sum() / max(confusion.sum(), 1)), confusion)


def _same_shape(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
    if a.shape != b.shape:
        raise ConfigError(f"masks of different sizes cannot be compared: {a.shape}, {b.shape}")
