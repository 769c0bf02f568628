"""Classes against the truth: accuracy, precision, recall, F1, AUROC, calibration, confusion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Classification:
    """What a classifier got right. Rates are in [0, 1].

    `confusion` is (classes, classes) int64, truth by row. `precision`, `recall`, `f1` are per
    class, 0 where undefined (scikit-learn's `zero_division=0`); the macro means are over the
    classes that occur in the truth or the predictions. `auroc` is the one-vs-rest macro mean,
    None unless every class's score is known. `ece` and `calibration` are of the best score.
    """

    n: int
    accuracy: float
    top_k: dict[int, float]
    precision: Doubles
    recall: Doubles
    f1: Doubles
    support: npt.NDArray[np.int64]
    confusion: npt.NDArray[np.int64]
    auroc: float | None
    ece: float
    calibration: "Calibration"

    @property
    def is_seen(self) -> npt.NDArray[np.bool_]:
        """Classes that occur in the truth or the predictions."""
        return np.logical_or(self.confusion.any(axis=0), self.confusion.any(axis=1))

    @property
    def macro_precision(self) -> float:
        """Mean precision of the classes seen."""
        return float(self.precision[self.is_seen].mean())

    @property
    def macro_recall(self) -> float:
        """Mean recall of the classes seen."""
        return float(self.recall[self.is_seen].mean())

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes seen."""
        return float(self.f1[self.is_seen].mean())

    def summary(self) -> dict[str, float | int | None]:
        """The numbers of a report, by name."""
        tops = {f"top{k}": rate for k, rate in self.top_k.items() if k > 1}
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            **tops,
            "precision": self.macro_precision,
            "recall": self.macro_recall,
            "f1": self.macro_f1,
            "auroc": self.auroc,
            "ece": self.ece,
        }


@dataclass(frozen=True)
class Calibration:
    """Best scores in equal bins: count, mean score and accuracy of each; 0 where a bin is empty."""

    low: Doubles
    high: Doubles
    n: npt.NDArray[np.int64]
    confidence: Doubles
    accuracy: Doubles

    @property
    def error(self) -> float:
        """Expected calibration error: mean |accuracy - confidence| by count. Guo et al. 2017."""
        return float(np.abs(self.accuracy - self.confidence) @ self.n / max(self.n.sum(), 1))


def classification(
    truth: Ints, label_ids: Ints, scores: Floats, n_classes: int, n_bins: int = 15
) -> Classification:
    """Compare class ids (n,) with the best k ids (n, k) and scores (n, k) of each image.

    Raises `ConfigError` where there are no rows or an id is out of range.
    """
    _check(truth, label_ids, scores, n_classes)
    best = label_ids[:, 0]
    confusion = confusion_matrix(truth, best, n_classes)
    hits = np.diag(confusion).astype(np.float64)
    precision = _ratio(hits, confusion.sum(axis=0))
    recall = _ratio(hits, confusion.sum(axis=1))
    is_hit = label_ids == truth[:, None]
    top_k = {k: float(is_hit[:, :k].any(axis=1).mean()) for k in (1, 5) if k <= is_hit.shape[1]}
    calibrated = calibration(best == truth, scores[:, 0], n_bins)
    return Classification(
        n=len(truth),
        accuracy=top_k[1],
        top_k=top_k,
        precision=precision,
        recall=recall,
        f1=_ratio(2 * precision * recall, precision + recall),
        support=confusion.sum(axis=1),
        confusion=confusion,
        auroc=auroc(truth, label_ids, scores, n_classes),
        ece=calibrated.error,
        calibration=calibrated,
    )


def confusion_matrix(truth: Ints, predicted: Ints, n_classes: int) -> npt.NDArray[np.int64]:
    """Counts (classes, classes), truth by row, prediction by column."""
    flat = truth.ravel().astype(np.int64) * n_classes + predicted.ravel()
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


def calibration(is_right: npt.NDArray[np.bool_], score: Floats, n_bins: int = 15) -> Calibration:
    """Bins (low, high] of the best score, the first closed below too."""
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.clip(np.searchsorted(edges, score.astype(np.float64), side="left") - 1, 0, None)
    place = np.minimum(place, n_bins - 1)
    n = np.bincount(place, minlength=n_bins)
    confidence = np.bincount(place, score.astype(np.float64), n_bins)
    accuracy = np.bincount(place, is_right.astype(np.float64), n_bins)
    return Calibration(edges[:-1], edges[1:], n, _ratio(confidence, n), _ratio(accuracy, n))


def auroc(truth: Ints, label_ids: Ints, scores: Floats, n_classes: int) -> float | None:
    """One-vs-rest area under the ROC curve, the mean over classes with both kinds of image.

    None where the rows do not hold every class's score, or no class has both kinds.
    """
    from sklearn.metrics import roc_auc_score

    if label_ids.shape[1] != n_classes:
        return None
    full = np.empty_like(scores, dtype=np.float64)
    np.put_along_axis(full, label_ids.astype(np.int64), scores.astype(np.float64), axis=1)
    present = [c for c in np.unique(truth) if not (truth == c).all()]
    if not present:
        return None
    return float(np.mean([roc_auc_score(truth == c, full[:, c]) for c in present]))


def hardest(truth: Ints, label_ids: Ints, scores: Floats, n: int) -> tuple[Ints, Doubles]:
    """(row numbers, score of the true class) of the n images whose truth scored least.

    0 where the truth is not among the best k; ties by the surer mistake, then by row.
    """
    of_truth = np.where(label_ids == truth[:, None], scores, 0).sum(axis=1).astype(np.float64)
    order = np.lexsort((np.arange(len(truth)), -scores[:, 0], of_truth))[:n]
    return order, of_truth[order]


def confusion_pairs(
    confusion: npt.NDArray[np.int64], labels: Sequence[str], n: int
) -> list[dict[str, Any]]:
    """The n most frequent mistakes: truth, predicted, n, and their share of the truth's images."""
    off = confusion.copy()
    np.fill_diagonal(off, 0)
    rows, columns = np.nonzero(off)
    counts = off[rows, columns]
    order = np.lexsort((columns, rows, -counts))[:n]
    support = confusion.sum(axis=1)
    return [
        {
            "truth": labels[rows[i]],
            "predicted": labels[columns[i]],
            "n": int(counts[i]),
            "rate": float(counts[i] / support[rows[i]]),
        }
        for i in order
    ]


def _check(truth: Ints, label_ids: Ints, scores: Floats, n_classes: int) -> None:
    if not len(truth):
        raise ConfigError("no image has both a label and a prediction")
    if label_ids.shape != scores.shape or len(label_ids) != len(truth) or label_ids.shape[1] < 1:
        shapes = f"{truth.shape}, {label_ids.shape}, {scores.shape}"
        raise ConfigError(f"truth (n,), label_ids (n, k), scores (n, k) do not fit: {shapes}")
    ids = np.concatenate([truth.ravel(), label_ids.ravel()])
    if ids.min() < 0 or ids.max() >= n_classes:
        raise ConfigError(f"class ids reach from {ids.min()} to {ids.max()} of {n_classes}")


def _ratio(part: Floats | Ints, whole: Floats | Ints) -> Doubles:
    """Quotient, 0 where the whole is."""
    out = np.zeros(np.shape(part), np.float64)
    result: Doubles = np.divide(part, whole, out=out, where=np.asarray(whole) > 0)
    return result
