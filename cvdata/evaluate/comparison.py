"""Two runs of a model compared: which labels flipped, how far scores and vectors moved."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.vectors import matrix

F64 = npt.NDArray[np.float64]

FLIPS = pa.schema(
    [
        pa.field("image_id", pa.binary(16)),
        pa.field("before", pa.string()),
        pa.field("after", pa.string()),
        pa.field("score_before", pa.float64()),
        pa.field("score_after", pa.float64()),
    ]
)

KEPT_FLIPS = 1000

FEW = 100
"""Below so many new images a distance of distributions says little, and no limit looks at it."""


@dataclass(frozen=True)
class Comparison:
    """Predictions of the images that both runs have, and of those that only the new one has.

    An image in which nothing was found has a prediction too: no label, with a best score of 0.
    `flips` (FLIPS) are the most certain `KEPT_FLIPS` of `n_flips`. `score_shift` is the mean change
    of the best score, `score_drift` the Kolmogorov-Smirnov distance of the best scores in [0, 1],
    0 where the distributions agree; `new_score_drift` that between the images of before and the
    new ones, by the scores of now. None: no images to tell it from.
    """

    n: int
    n_only_before: int
    n_only_after: int
    flips: pa.Table
    score_shift: float
    score_drift: float
    n_flips: int = 0
    new_score_drift: float | None = None

    @property
    def flip_rate(self) -> float:
        """Share of the common images whose best label changed."""
        return self.n_flips / self.n if self.n else 0.0

    def exceeds(self, max_flip_rate: float, max_score_drift: float) -> bool:
        """Whether either limit is passed: what makes a nightly run warn."""
        drift = self.score_drift
        if self.n_only_after >= FEW and self.new_score_drift is not None:
            drift = max(drift, self.new_score_drift)
        return self.flip_rate > max_flip_rate or drift > max_score_drift


@dataclass
class PredictionChanges:
    """Gathers a comparison range by range; no image may be in two of them.

    One float an image is kept, for the distances of distributions.
    """

    n_flips: int = 0
    n_only_before: int = 0
    flips: pa.Table = field(default_factory=FLIPS.empty_table)
    _before: list[F64] = field(default_factory=list)
    _after: list[F64] = field(default_factory=list)
    _new: list[F64] = field(default_factory=list)

    def add(self, before: pa.Table, after: pa.Table) -> None:
        """Some images of two predictions tables (image_id, labels, scores).

        Error rows count as absent; where nothing was found the label is null and the score 0, so
        that a detector which goes blind is a flip of everything.
        """
        old, new = _best(before), _best(after)
        common = old.join(new, "image_id", join_type="inner", right_suffix="_after")
        scores = [common[name].to_numpy().astype(np.float64) for name in ("score", "score_after")]
        self._before.append(scores[0])
        self._after.append(scores[1])
        self._new.append(_absent(new, common)["score"].to_numpy().astype(np.float64))
        self.n_only_before += old.num_rows - common.num_rows
        flips = common.filter(_differ(common["label"], common["label_after"]))
        self.n_flips += len(flips)
        names = ["image_id", "label", "label_after", "score", "score_after"]
        flips = flips.select(names).rename_columns(FLIPS.names).cast(FLIPS)
        order = [("score_after", "descending"), ("image_id", "ascending")]
        self.flips = pa.concat_tables([self.flips, flips]).sort_by(order).slice(0, KEPT_FLIPS)

    def result(self) -> Comparison:
        """Of all ranges together."""
        before, after, new = (_joined(v) for v in (self._before, self._after, self._new))
        return Comparison(
            n=len(before),
            n_only_before=self.n_only_before,
            n_only_after=len(new),
            flips=self.flips,
            score_shift=float((after - before).mean()) if len(before) else 0.0,
            score_drift=ks_distance(before, after),
            n_flips=self.n_flips,
            new_score_drift=ks_distance(after, new) if len(new) and len(after) else None,
        )


@dataclass
class VectorChanges:
    """The same of embeddings: cosines of each image's two vectors, and where the new ones lie."""

    n_new: int = 0
    _cosines: list[F64] = field(default_factory=list)
    _sums: dict[str, Any] = field(default_factory=dict)

    def add(self, before: pa.Table, after: pa.Table) -> None:
        """Some images of two embeddings tables (image_id, embedding), vectors equally long."""
        old, new = (t.filter(pc.is_valid(t["embedding"])) for t in (before, after))
        at = pc.index_in(new["image_id"], value_set=old["image_id"].combine_chunks())
        is_common = pc.is_valid(at)
        mine, fresh = new.filter(is_common), new.filter(pc.invert(is_common))
        a = matrix(old["embedding"].take(at.filter(is_common)))
        b = matrix(mine["embedding"])
        self._cosines.append(np.einsum("nd,nd->n", a, b, dtype=np.float64))
        for name, rows in (("held", b), ("new", matrix(fresh["embedding"]))):
            if len(rows):
                total = rows.sum(axis=0, dtype=np.float64)
                self._sums[name] = self._sums.get(name, 0.0) + total
        self.n_new += len(fresh)

    def result(self) -> dict[str, float]:
        """The numbers by name, each left out where there is nothing to tell it from.

        `embedding_drift` is 1 - the mean cosine of the common images, `embedding_drift_p95` the
        95th percentile of 1 - cosine, `new_embedding_shift` 1 - the cosine between the mean
        vectors of the held and of the new images.
        """
        drift = 1 - _joined(self._cosines)
        found = {"n_compared": float(len(drift))}
        if len(drift):
            found["embedding_drift"] = max(0.0, float(drift.mean()))
            found["embedding_drift_p95"] = max(0.0, float(np.percentile(drift, 95)))
        if {"held", "new"} <= set(self._sums):
            found["n_new"] = float(self.n_new)
            held, new = (self._sums[k] for k in ("held", "new"))
            norms = np.linalg.norm(held) * np.linalg.norm(new)
            found["new_embedding_shift"] = max(0.0, float(1 - held @ new / max(norms, 1e-12)))
        return found


def compare(before: pa.Table, after: pa.Table) -> Comparison:
    """Compare two whole predictions tables (image_id, labels, scores) by their best labels."""
    changes = PredictionChanges()
    changes.add(before, after)
    return changes.result()


def ks_distance(a: F64, b: F64) -> float:
    """Largest difference of two empirical distribution functions; 0 where either has no values."""
    if not len(a) or not len(b):
        return 0.0
    every = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(np.sort(x), every, side="right") / len(x) for x in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _best(table: pa.Table) -> pa.Table:
    """image_id, label, score of the rows without an error; null and 0 where nothing was found."""
    kept = table.filter(pc.is_valid(table["labels"]))
    return pa.table(
        {
            "image_id": kept["image_id"],
            "label": _first(kept["labels"]),
            "score": pc.fill_null(_first(kept["scores"]), 0),
        }
    )


def _first(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first entry of each list, null where there is none."""
    return pc.list_element(pc.list_slice(lists, 0, 1, return_fixed_size_list=True), 0)


def _differ(a: pa.ChunkedArray, b: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where two columns differ, null being a value like any other."""
    unequal = pc.fill_null(pc.not_equal(a, b), False)
    return pc.or_(unequal, pc.xor(pc.is_null(a), pc.is_null(b)))


def _absent(rows: pa.Table, common: pa.Table) -> pa.Table:
    is_common = pc.is_in(rows["image_id"], value_set=common["image_id"].combine_chunks())
    return rows.filter(pc.invert(is_common))


def _joined(values: list[F64]) -> F64:
    return np.concatenate(values) if values else np.zeros(0)
