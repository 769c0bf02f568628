"""Findings met with the truth, box by box: what was right, confused, missed or made up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cvdata.evaluate.detection import Objects
from cvdata.kernels.nms import box_iou

IOU = 0.5
CERTAIN = 0.5
"""Findings below this score do not make an image hard: COCO's numbers look at all of them."""


@dataclass(frozen=True)
class Matches:
    """One image or many, under `+`: a found box is met with the free true box it overlaps most.

    `n_right` have the truth's class, `confused` counts (truth, found); `n_missed` true boxes met
    none, `n_spurious` findings no box. Those four are of findings of at least `CERTAIN`. `scores`
    and `is_right` are of every finding, for the calibration.
    """

    n_right: int = 0
    n_missed: int = 0
    n_spurious: int = 0
    confused: Mapping[tuple[int, int], int] = field(default_factory=dict)
    scores: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    is_right: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __add__(self, other: "Matches") -> "Matches":
        """Of both together."""
        return Matches(
            self.n_right + other.n_right,
            self.n_missed + other.n_missed,
            self.n_spurious + other.n_spurious,
            Counter(self.confused) + Counter(other.confused),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.is_right, other.is_right]),
        )

    @property
    def n_wrong(self) -> int:
        """Boxes confused, missed or made up."""
        return self.n_missed + self.n_spurious + sum(self.confused.values())

    @property
    def f1(self) -> float:
        """2 right / (found + true boxes); 1 where there is neither."""
        n_confused = sum(self.confused.values())
        either = 2 * self.n_right + 2 * n_confused + self.n_missed + self.n_spurious
        return 2 * self.n_right / either if either else 1.0


def match(truth: Objects, found: Objects, iou: float = IOU) -> Matches:
    """The image's findings, best first, each with the free true box of the greatest IoU >= `iou`.

    A box of the same class is taken before any other; crowds of the truth excuse what lies in
    them.
    """
    n = len(found.label_ids)
    scores = np.zeros(n) if found.scores is None else found.scores.astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    overlap = box_iou(found.xyxy[order], truth.xyxy)
    crowd = np.zeros(len(truth.label_ids), np.bool_) if truth.is_crowd is None else truth.is_crowd
    is_free = ~crowd
    is_right = np.zeros(len(order), np.bool_)
    is_excused = np.zeros(len(order), np.bool_)
    confused: Counter[tuple[int, int]] = Counter()
    for place, row in enumerate(order):
        label = int(found.label_ids[row])
        at = _best(overlap[place], is_free, truth.label_ids == label, iou)
        if at is None:
            is_excused[place] = bool((overlap[place][crowd] > 0).any())
            continue
        if int(truth.label_ids[at]) == label:
            is_right[place], is_free[at] = True, False
        elif scores[row] >= CERTAIN:
            confused[int(truth.label_ids[at]), label] += 1
            is_free[at] = False
    is_certain = (scores[order] >= CERTAIN) & ~is_excused
    n_right = int(np.count_nonzero(is_right & is_certain))
    n_true, n_found = int(np.count_nonzero(~crowd)), int(np.count_nonzero(is_certain))
    n_confused = sum(confused.values())
    met = n_right + n_confused
    kept = ~is_excused
    return Matches(
        n_right, n_true - met, n_found - met, confused, scores[order][kept], is_right[kept]
    )


def _best(
    overlap: npt.NDArray[np.float64],
    is_free: npt.NDArray[np.bool_],
    is_same: npt.NDArray[np.bool_],
    iou: float,
) -> int | None:
    """The free box that overlaps most, of the same class where there is one."""
    for allowed in (is_free & is_same, is_free):
        masked = np.where(allowed, overlap, -1.0)
        if masked.size and masked.max() >= iou:
            return int(masked.argmax())
    return None
