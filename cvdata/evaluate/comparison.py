"""Two runs of predictions compared: which labels flipped, how far the scores moved."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Comparison:
    """Predictions of the images that both runs have.

    `flips` has image_id, before, after (labels), score_before, score_after, most certain first.
    `score_shift` is the mean change of the best score, `score_drift` the Kolmogorov-Smirnov
    distance of the best scores in [0, 1], 0 where the distributions agree.
    """

    n: int
    n_only_before: int
    n_only_after: int
    flips: pa.Table
    score_shift: float
    score_drift: float

    @property
    def flip_rate(self) -> float:
        """Share of the common images whose best label changed."""
        return self.flips.num_rows / self.n if self.n else 0.0

    def exceeds(self, max_flip_rate: float, max_score_drift: float) -> bool:
        """Whether either threshold is passed: what makes a nightly run fail."""
        return self.flip_rate > max_flip_rate or self.score_drift > max_score_drift


def compare(before: pa.Table, after: pa.Table) -> Comparison:
    """Compare two predictions tables (image_id, labels, scores) by their best labels.

    Rows without a prediction (errors, nothing found) count as absent.
    """
    old, new = _best(before), _best(after)
    common = old.join(new, "image_id", join_type="inner", right_suffix="_after")
    common = common.sort_by("image_id")
    scores = [common[name].to_numpy().astype(np.float64) for name in ("score", "score_after")]
    is_flip = pc.not_equal(common["label"], common["label_after"])
    flips = common.filter(is_flip).rename_columns(
        {"label": "before", "score": "score_before", "label_after": "after"}
    )
    flips = flips.sort_by([("score_after", "descending"), ("image_id", "ascending")])
    return Comparison(
        n=common.num_rows,
        n_only_before=old.num_rows - common.num_rows,
        n_only_after=new.num_rows - common.num_rows,
        flips=flips.select(["image_id", "before", "after", "score_before", "score_after"]),
        score_shift=float((scores[1] - scores[0]).mean()) if common.num_rows else 0.0,
        score_drift=_distance(*scores),
    )


def _best(table: pa.Table) -> pa.Table:
    """image_id, label, score of the rows that have one."""
    has_any = pc.greater(pc.fill_null(pc.list_value_length(table["labels"]), 0), 0)
    kept = table.filter(has_any)
    return pa.table(
        {
            "image_id": kept["image_id"],
            "label": pc.list_element(kept["labels"], 0),
            "score": pc.list_element(kept["scores"], 0),
        }
    )


def _distance(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Largest difference of two empirical distribution functions."""
    if not len(a) or not len(b):
        return 0.0
    every = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(np.sort(x), every, side="right") / len(x) for x in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
