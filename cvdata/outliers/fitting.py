"""Every method fitted for one scope, the dataset or a class, with what its scores usually are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cvdata.chance import shares
from cvdata.outliers.clusters import KMeansDistance
from cvdata.outliers.embedded import Detector, Forest, Knn, Lof, Mahalanobis, OneClass
from cvdata.outliers.measured import HistogramDistance, RobustZ
from cvdata.outliers.objects import Counts, UnexpectedObjects
from cvdata.outliers.reconstruction import Reconstruction
from cvdata.outliers.reference import Reference, make_reference
from cvdata.outliers.rows import F64, OBJECTS, RECONSTRUCTION, VECTOR, Bools, Rows, smallest
from cvdata.outliers.settings import ON_EMBEDDINGS, Options, Usual

CALIBRATION = 10_000
"""Rows of the sample whose scores say what is usual."""
LEAST_ROWS = 10
"""Distinct usual images without which no method on embeddings says anything."""


@dataclass(frozen=True)
class Fitted:
    """Methods of one scope. `skipped` says why a method that was asked for is not among them."""

    scope: str | None
    methods: Mapping[str, Any]
    usual: Mapping[str, Usual] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def score(self, rows: Rows, method: str) -> F64:
        """(N,) float64, NaN where the method knows nothing of the image."""
        fitted = self.methods[method]
        if method not in ON_EMBEDDINGS:
            return np.asarray(fitted.score(rows), np.float64)
        out = np.full(len(rows), np.nan)
        if rows.has_vector.any():
            out[rows.has_vector] = fitted.score(rows.vectors)
        return out

    def flags(self, rows: Rows, method: str, scores: F64) -> Bools:
        """(N,) above the threshold; in a rare cluster, among the farthest quarter suffices."""
        usual = self.usual[method]
        with np.errstate(invalid="ignore"):
            flagged = scores > usual.threshold
            if method == "kmeans":
                far = np.flatnonzero(scores > usual.q3)
                in_rare = self.methods[method].in_rare(rows.list_of(VECTOR)[far])
                flagged[far[in_rare]] = True
        return np.asarray(flagged)

    def explain(self, rows: Rows, method: str, scores: F64) -> list[dict[str, Any]]:
        """For each row: its score against what is usual, and the method's own reasons.

        Of a method on embeddings the nearest usual images are among them.
        """
        fitted = self.methods[method]
        if method not in ON_EMBEDDINGS:
            own = fitted.explain(rows)
        else:
            detector: Detector = fitted
            own = detector.explain(rows.vectors)
            if method != "knn" and "knn" in self.methods:
                near = self.methods["knn"].explain(rows.vectors, 3)
                own = [{**a, **b} for a, b in zip(own, near, strict=True)]
        usual = self.usual[method]
        return [{**usual.against(float(s)), **told} for s, told in zip(scores, own, strict=True)]


def fit(rows: Rows, scope: str | None, options: Options, counts: Counts | None = None) -> Fitted:
    """Fit every method of `options` on the sample `rows` of a scope."""
    fitted: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for method in options.methods:
        if method in ON_EMBEDDINGS:
            continue
        made = _fit_facts(method, rows, scope, (options, counts))
        if isinstance(made, str):
            skipped[method] = made
        else:
            fitted[method] = made
    wanted = [m for m in options.methods if m in ON_EMBEDDINGS]
    if wanted:
        found = _fit_embeddings(wanted, rows, options)
        if isinstance(found, str):
            skipped.update(dict.fromkeys(wanted, found))
        else:
            fitted.update(found)
    made_fit = Fitted(scope, fitted, {}, skipped)
    some = rows.take(smallest(shares(rows.table["image_id"], options.seed), CALIBRATION))
    usual = {m: Usual.of(made_fit.score(some, m), options.rule(m)) for m in fitted}
    return Fitted(scope, fitted, usual, skipped)


def _fit_facts(
    method: str, rows: Rows, scope: str | None, given: tuple[Options, Counts | None]
) -> Any:
    """The fitted method, or why there is none."""
    options, counts = given
    if method == "robust_z":
        robust = RobustZ.fit(rows)
        return robust if robust.names else "no measure that varies"
    if method == "histogram":
        histogram = HistogramDistance.fit(rows)
        return histogram if histogram.means else "no histograms"
    if method == "objects":
        if counts is None or not rows.has(OBJECTS):
            return "no boxes and no predictions"
        objects = UnexpectedObjects.fit(counts, scope)
        return objects if objects.holding else "no objects"
    if not rows.has(RECONSTRUCTION[0]):
        return "no reconstruction errors"
    return Reconstruction.fit(rows, options, LEAST_ROWS)


def reference_of(rows: Rows, options: Options) -> Reference:
    """The reference of the rows that have a vector."""
    mine = rows.take(rows.has_vector)
    share = shares(mine.table["image_id"], options.seed)
    return make_reference(mine.vectors, mine.ids, share, options.trim)


def _fit_embeddings(wanted: list[str], rows: Rows, options: Options) -> dict[str, Any] | str:
    if not rows.has(VECTOR) or not rows.has_vector.any():
        return "no embeddings"
    reference = reference_of(rows, options)
    n = int(reference.is_usual.sum())
    if n < LEAST_ROWS:
        return f"only {n} images that are no copies of each other; {LEAST_ROWS} are needed"
    labels = {}
    if rows.has("label"):
        named = zip(rows.ids, rows.table["label"].to_pylist(), strict=True)
        labels = {i: label for i, label in named if label is not None}
    builders: dict[str, Callable[[], Detector]] = {
        "knn": lambda: Knn.fit(reference, options.neighbors, options.seed),
        "lof": lambda: Lof.fit(reference, options),
        "isolation_forest": lambda: Forest.fit(reference, options),
        "one_class_svm": lambda: OneClass.fit(reference, options),
        "mahalanobis": lambda: Mahalanobis.fit(reference),
        "kmeans": lambda: KMeansDistance.fit(reference, options, labels),
    }
    return {method: builders[method]() for method in wanted}
