"""What an index finds of what there is: recall@k and range recall on held-out queries, and tuning.

A held-out query is a row that the index was not trained on and whose own row does not count as an
answer; in an index whose rows are stored each by itself that is the same as a query from outside.
A dataset without near-duplicates has no pair to find: range recall is measured with made queries
too, rows that are turned away until the threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cvdata.index.exact import Nearest
from cvdata.index.ranges import clustered_lower, moved_rows
from cvdata.index.searcher import Searcher
from cvdata.kernels.neighbors import F32, I64, unit_rows

KS = (1, 10, 100)


@dataclass(frozen=True)
class Truth:
    """Queries (q, D), the row of each (its own, no answer), and what is exactly so.

    `nearest` holds at least 100 neighbours where there are so many; `query`, `row` are all pairs
    with a cosine of at least `threshold`.
    """

    queries: F32
    own: I64
    nearest: Nearest
    threshold: float
    query: I64
    row: I64
    made: "Pairs | None" = None

    def take(self, some: I64) -> "Truth":
        """The truth of these queries alone."""
        place = np.full(len(self.queries), -1)
        place[some] = np.arange(len(some))
        kept = place[self.query] >= 0
        return Truth(
            self.queries[some],
            self.own[some],
            Nearest(self.nearest.scores[some], self.nearest.rows[some]),
            self.threshold,
            place[self.query[kept]],
            self.row[kept],
            self.made,
        )


@dataclass(frozen=True)
class Pairs:
    """Queries (q, D) and every (query, row) of them that lies within the threshold."""

    queries: F32
    query: I64
    row: I64


def made_queries(vectors: F32, threshold: float) -> F32:
    """Each unit row (n, D), n > 0, turned toward the next to a cosine from `threshold` to 1.

    What a slightly changed copy of the row's image would ask; cosines are spread evenly, so that
    the hardest count as much as the easiest.
    """
    start = vectors.astype(np.float64)
    cosine = threshold + (1 - threshold) * (np.arange(len(start)) + 0.5) / len(start)
    return unit_rows(moved_rows(start, np.roll(start, 1, axis=0), cosine[:, None]))


@dataclass(frozen=True)
class Rate:
    """`found` of `total`; `lower` is the 95 % lower bound, neighbours of a query being one draw."""

    found: int
    total: int
    lower: float

    @property
    def value(self) -> float | None:
        """The share found; None where there was nothing to find."""
        return self.found / self.total if self.total else None

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        return {
            "found": self.found, "total": self.total, "recall": self.value, "lower": self.lower,
        }  # fmt: skip

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Rate":
        """What `to_json` wrote."""
        return Rate(int(value["found"]), int(value["total"]), float(value["lower"]))

    def __str__(self) -> str:
        if not self.total:
            return "nothing to find"
        return f"{self.value:.4f} (≥ {self.lower:.4f})"


@dataclass(frozen=True)
class Measured:
    """recall@k by k, range recall at `threshold`, of `n_queries` held-out queries.

    `made`: range recall by `n_made` made queries; None on cards of before it was measured.
    """

    n_queries: int
    at: Mapping[int, Rate]
    threshold: float
    range: Rate
    n_tuned_on: int = 0
    tried: Mapping[int, float] = field(default_factory=dict)
    made: Rate | None = None
    n_made: int = 0

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        return {
            "n_queries": self.n_queries,
            "at": {str(k): rate.to_json() for k, rate in self.at.items()},
            "threshold": self.threshold,
            "range": self.range.to_json(),
            "n_tuned_on": self.n_tuned_on,
            "tried": {str(k): v for k, v in self.tried.items()},
            "made": self.made and self.made.to_json(),
            "n_made": self.n_made,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Measured":
        """What `to_json` wrote."""
        return Measured(
            value["n_queries"],
            {int(k): Rate.from_json(v) for k, v in value["at"].items()},
            value["threshold"],
            Rate.from_json(value["range"]),
            value["n_tuned_on"],
            {int(k): float(v) for k, v in value["tried"].items()},
            Rate.from_json(value["made"]) if value.get("made") else None,
            int(value.get("n_made", 0)),
        )


def recall_at(searcher: Searcher, truth: Truth, k: int) -> Rate:
    """Of the k truly nearest of each query, how many are among the k that the index gives.

    A row as near as the k-th nearest counts as found: which of equals is given does not matter.
    """
    k = min(k, searcher.n - 1)
    if k < 1 or not len(truth.queries):
        return Rate(0, 0, 0.0)
    given = searcher.search(truth.queries, k + 1)
    rows, scores = _without_own(given, truth.own, k)
    least = truth.nearest.scores[:, k - 1][:, None]
    true_rows = np.where(truth.nearest.scores >= least - 1e-9, truth.nearest.rows, -2)
    hit = np.stack([np.isin(r, t) for r, t in zip(rows, true_rows, strict=True)])
    if searcher.is_exact:
        hit |= scores >= least - 1e-6
    query = np.repeat(np.arange(len(hit)), k)
    return Rate(int(hit.sum()), hit.size, clustered_lower(query, hit.reshape(-1), len(hit)))


def _without_own(given: Nearest, own: I64, k: int) -> tuple[I64, Any]:
    """The first k rows and scores of each query that are not its own."""
    rank = np.argsort(given.rows == own[:, None], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(given.rows, rank, 1), np.take_along_axis(given.scores, rank, 1)


def range_recall(searcher: Searcher, truth: Truth | Pairs, threshold: float) -> Rate:
    """Of all pairs with a cosine of at least `threshold`, the truth's, how many the index finds."""
    query, row = searcher.within(truth.queries, threshold)
    hit = np.isin(truth.query * searcher.n + truth.row, query * searcher.n + row)
    lower = clustered_lower(truth.query, hit, len(truth.queries))
    return Rate(int(hit.sum()), len(hit), lower)


def tune(searcher: Searcher, truth: Truth, k: int, target: float) -> dict[int, float]:
    """Set the least effort whose recall@k has a lower bound of `target`; the greatest if none has.

    Returns the recall of every effort that was tried.
    """
    tried: dict[int, float] = {}
    for effort in searcher.efforts:
        searcher.set_effort(effort)
        rate = recall_at(searcher, truth, k)
        tried[effort] = rate.value or 0.0
        if rate.lower >= target:
            break
    return tried


def measure(searcher: Searcher, truth: Truth, k: int, target: float) -> Measured:
    """Tune on every other query, where there is anything to tune; measure on the others."""
    every = np.arange(len(truth.queries))
    tried: dict[int, float] = {}
    measured = truth
    if searcher.parameter and len(every) > 1:
        tried = tune(searcher, truth.take(every[1::2]), k, target)
        measured = truth.take(every[::2])
    at = {one: recall_at(searcher, measured, one) for one in sorted({*KS, k})}
    n_tuned_on = len(every[1::2]) if tried else 0
    found = range_recall(searcher, measured, truth.threshold)
    rate, n_made = None, 0
    if truth.made is not None:
        rate, n_made = range_recall(searcher, truth.made, truth.threshold), len(truth.made.queries)
    return Measured(
        len(measured.queries), at, truth.threshold, found, n_tuned_on, tried, rate, n_made
    )
