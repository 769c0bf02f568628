"""Confident learning: which labels contradict what was learnt from all the others.

Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOLERANCE = 1e-6
"""Probabilities this near a threshold reach it."""


@dataclass(frozen=True)
class Doubt:
    """The label of each of N images against the best other class.

    `given` (N,) probability of the label, `other` (N,) of the best other class, `suggested` (N,)
    that class. `margin` is other - given, in [-1, 1]; `score` the same in [0, 1].
    """

    given: F64
    other: F64
    suggested: I64

    @property
    def margin(self) -> F64:
        """(N,) in [-1, 1]; above 0 another class is likelier."""
        return self.other - self.given

    @property
    def score(self) -> F64:
        """(N,) in [0, 1]; 1 is surely wrong."""
        return (1 + self.margin) / 2


def doubt(probabilities: F64, labels: I64) -> Doubt:
    """How much the probabilities (N, K), out of sample, speak against the labels (N,)."""
    rows = np.arange(len(labels))
    others = np.array(probabilities, np.float64)
    given = others[rows, labels].copy()
    others[rows, labels] = -1.0
    suggested = others.argmax(axis=1) if others.size else np.empty(0, np.int64)
    return Doubt(given, np.maximum(others[rows, suggested], 0.0), suggested)


def thresholds(probabilities: F64, labels: I64) -> F64:
    """(K,) mean probability of each class over the images that bear it; 1 where none does."""
    n_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=n_classes)
    sums = np.bincount(labels, own, minlength=n_classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def confident_class(probabilities: F64, least: F64) -> I64:
    """(N,) the likeliest of the classes that reach their threshold (K,); -1 where none does."""
    reached = np.where(probabilities >= least - TOLERANCE, probabilities, -1.0)
    best = reached.argmax(axis=1)
    return np.where(reached[np.arange(len(best)), best] >= 0, best, -1)


def confident_joint(labels: I64, confident: I64, n_classes: int) -> I64:
    """(K, K) images by label and confident class, those without one left out; diagonal >= 1."""
    known = confident >= 0
    flat = labels[known] * n_classes + confident[known]
    joint = np.bincount(flat, minlength=n_classes * n_classes).reshape(n_classes, n_classes)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    return joint.astype(np.int64)


def is_contradicted(probabilities: F64, labels: I64, least: F64) -> Bools:
    """(N,) the off-diagonals of the confident joint: confidently of another class."""
    found = confident_class(probabilities, least)
    rows = np.arange(len(labels))
    likelier = probabilities[rows, found] > probabilities[rows, labels] + TOLERANCE
    return np.asarray((found >= 0) & (found != labels) & likelier)


def noise_rate(joint: I64, counts: I64) -> float:
    """Estimated share of wrong labels: the off-diagonal mass of the joint, calibrated to `counts`.

    Each row is scaled to the number of images (K,) that bear its label.
    """
    rows = joint / joint.sum(axis=1, keepdims=True)
    total = max(int(counts.sum()), 1)
    return float(((1 - rows.diagonal()) * counts).sum() / total)
