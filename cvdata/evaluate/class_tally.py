"""Classes against the truth, piece by piece: counts that add up, whatever the pieces."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.evaluate.classification import Calibration, auroc, calibration

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]

N_BINS = 15
HARDEST = 200
AUROC_IMAGES = 50_000
"""Images that the area under the curve is computed from: those of the smallest ids, which are
digests, so they are a fair sample."""


@dataclass(frozen=True)
class Hard:
    """An image that the model got wrong or nearly: `truth_score` is what it gave the truth."""

    image_id: bytes
    truth: int
    predicted: int
    score: float
    truth_score: float

    @property
    def order(self) -> tuple[float, float, bytes]:
        """The least score of the truth first, then the surest mistake."""
        return self.truth_score, -self.score, self.image_id


@dataclass(frozen=True)
class ClassTally:
    """What a classifier said of some images, by counts: a monoid under `+`.

    `hits` (k,) counts truths by their rank; `support`, `said`, `right` are by class id.
    `mistakes` counts (truth, predicted). `bins` are (3, n_bins): images, scores, right ones, by
    best score. `kept` are label ids and scores of a sample, for AUROC.
    """

    hits: I64
    support: I64
    said: I64
    right: I64
    mistakes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    bins: F64 = field(default_factory=lambda: np.zeros((3, N_BINS)))
    hardest: tuple[Hard, ...] = ()
    kept: tuple[tuple[bytes, int, Ints, Floats], ...] = ()

    @staticmethod
    def of(
        ids: Sequence[bytes], truth: Ints, label_ids: Ints, scores: Floats, n: int
    ) -> "ClassTally":
        """Of images with class ids (rows,) and the model's best (rows, k), of `n` classes."""
        best, is_hit = label_ids[:, 0], label_ids == truth[:, None]
        is_right = is_hit[:, 0]
        wrong = np.flatnonzero(~is_right)
        pairs = Counter(zip(truth[wrong].tolist(), best[wrong].tolist(), strict=True))
        curve = calibration(is_right, scores[:, 0], N_BINS)
        counted = np.stack([curve.n, curve.confidence * curve.n, curve.accuracy * curve.n])
        of_truth = np.where(is_hit, scores, 0).sum(axis=1)
        rows = np.lexsort((-scores[:, 0], of_truth))[:HARDEST]
        hard = [
            Hard(ids[i], int(truth[i]), int(best[i]), float(scores[i, 0]), float(of_truth[i]))
            for i in rows.tolist()
        ]
        is_whole = label_ids.shape[1] == n
        sampled = sorted(range(len(ids)), key=lambda i: ids[i])[:AUROC_IMAGES] if is_whole else ()
        return ClassTally(
            is_hit.sum(axis=0).astype(np.int64),
            np.bincount(truth, minlength=n),
            np.bincount(best, minlength=n),
            np.bincount(truth[is_right], minlength=n),
            pairs,
            counted,
            tuple(sorted(hard, key=lambda one: one.order)),
            tuple((ids[i], int(truth[i]), label_ids[i], scores[i]) for i in sampled),
        )

    def __add__(self, other: "ClassTally") -> "ClassTally":
        """Of both together; the same number of classes and of labels an image."""
        hard = sorted((*self.hardest, *other.hardest), key=lambda one: one.order)
        kept = sorted((*self.kept, *other.kept), key=lambda one: one[0])
        return ClassTally(
            self.hits + other.hits,
            self.support + other.support,
            self.said + other.said,
            self.right + other.right,
            Counter(self.mistakes) + Counter(other.mistakes),
            self.bins + other.bins,
            tuple(hard[:HARDEST]),
            tuple(kept[:AUROC_IMAGES]),
        )

    @property
    def n(self) -> int:
        """Images."""
        return int(self.support.sum())

    @property
    def curve(self) -> Calibration:
        """Best scores in equal bins."""
        edges = np.linspace(0, 1, N_BINS + 1)
        n = self.bins[0].astype(np.int64)
        return Calibration(edges[:-1], edges[1:], n, *(ratio(part, n) for part in self.bins[1:]))

    def by_class(self) -> dict[str, F64]:
        """precision, recall and f1 by class id; 0 where undefined."""
        precision, recall = ratio(self.right, self.said), ratio(self.right, self.support)
        f1 = ratio(2 * precision * recall, precision + recall)
        return {"precision": precision, "recall": recall, "f1": f1}

    def summary(self) -> dict[str, float]:
        """The numbers of all images; means are over the classes that occur. Rates are in [0, 1].

        `auroc` is left out where rows do not hold every class.
        """
        is_seen = (self.support > 0) | (self.said > 0)
        found = {"n_images": float(self.n), "accuracy": float(self.hits[0] / self.n)}
        if len(self.hits) >= 5:
            found["top5"] = float(self.hits[:5].sum() / self.n)
        found |= {name: float(v[is_seen].mean()) for name, v in self.by_class().items()}
        if self.kept:
            _, truth, ids, scores = zip(*self.kept, strict=True)
            area = auroc(np.array(truth), np.stack(ids), np.stack(scores), len(self.support))
            found |= {} if area is None else {"auroc": area}
        return {**found, "ece": self.curve.error}

    def confusions(self, n: int) -> list[tuple[int, int, int]]:
        """The n most frequent mistakes as (truth, predicted, images)."""
        ordered = sorted(self.mistakes.items(), key=lambda kv: (-kv[1], kv[0]))
        return [(truth, said, count) for (truth, said), count in ordered[:n]]


def ratio(part: F64 | I64, whole: F64 | I64) -> F64:
    """Quotient, 0 where the whole is."""
    out: F64 = np.zeros(np.shape(part), np.float64)
    np.divide(part, whole, out=out, where=np.asarray(whole) > 0)
    return out
