"""Methods on projected embeddings: scikit-learn's estimators, and neighbours by FAISS.

Each is fitted on the usual rows of a reference and gives (N,) float64 scores that grow with
strangeness. `Detector.explain` tells of a few rows why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from cvdata.index.nearest import Nearest, nearest
from cvdata.outliers.reference import Reference
from cvdata.outliers.rows import F32, F64, I64
from cvdata.outliers.settings import Options

SPARE = 4
"""Neighbours asked for beyond k, of which copies are left out."""
KERNEL_ROWS = 2000
FIT_ROWS = 20_000
"""Rows that k-means and the kernel are fitted on at most."""


class Detector(Protocol):
    """A fitted method on vectors."""

    def score(self, vectors: F32) -> F64:
        """(N, d) -> (N,) larger is stranger."""
        ...

    def explain(self, vectors: F32) -> list[dict[str, Any]]:
        """What to tell of each row, besides its score."""
        ...


@dataclass(frozen=True)
class Knn:
    """Mean Euclidean distance to the k nearest usual rows, copies of the row itself left out.

    Ramaswamy, Rastogi, Shim 2000; Angiulli, Pizzuti 2002 (the mean).
    """

    k: int
    index: Nearest
    ids: tuple[bytes, ...]
    copy_radius: float

    @classmethod
    def fit(cls, reference: Reference, k: int, seed: int = 0) -> "Knn":
        """Of the usual rows."""
        usual = reference.usual
        k = max(1, min(k, len(usual.ids) - 1))
        return cls(k, Nearest.build(usual.vectors, k, seed=seed), usual.ids, usual.copy_radius)

    def neighbors(self, vectors: F32) -> tuple[F64, I64]:
        """(distances (N, k), rows (N, k)) of the nearest that are no copies."""
        distances, rows = nearest(self.index, vectors, self.k + SPARE)
        # Copies go to the end; where all are copies they are what there is.
        order = np.argsort(distances <= self.copy_radius, axis=1, kind="stable")[:, : self.k]
        return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)

    def score(self, vectors: F32) -> F64:
        """The mean distance."""
        return np.asarray(self.neighbors(vectors)[0].mean(axis=1))

    def explain(self, vectors: F32, most: int = 5) -> list[dict[str, Any]]:
        """The nearest of them: image_ids and distances."""
        distances, rows = self.neighbors(vectors)
        return [
            {
                "neighbors": [
                    {"image_id": self.ids[row].hex(), "distance": round(float(d), 5)}
                    for d, row in zip(ds[:most], rs[:most], strict=True)
                ]
            }
            for ds, rs in zip(distances, rows, strict=True)
        ]


@dataclass(frozen=True)
class Lof:
    """Local outlier factor: how much sparser it is around a row than around its neighbours.

    Breunig et al. 2000; scikit-learn's, novelty=True. A row that the estimator was fitted on has
    the factor that it got there, for in a query it would be its own neighbour.
    """

    estimator: Any
    index: Nearest
    copy_radius: float

    @classmethod
    def fit(cls, reference: Reference, options: Options) -> "Lof":
        """Of at most `lof_sample` usual rows."""
        from sklearn.neighbors import LocalOutlierFactor

        usual = reference.usual.subsample(options.lof_sample)
        k = max(1, min(options.lof_neighbors, len(usual.ids) - 1))
        estimator = LocalOutlierFactor(n_neighbors=k, novelty=True).fit(usual.vectors)
        return cls(estimator, Nearest.exact(usual.vectors), usual.copy_radius)

    def score(self, vectors: F32) -> F64:
        """The factor; 1 is as dense as its neighbours."""
        distance, row = nearest(self.index, vectors, 1)
        is_known = distance[:, 0] <= self.copy_radius
        out = np.empty(len(vectors))
        out[is_known] = -self.estimator.negative_outlier_factor_[row[is_known, 0]]
        if not is_known.all():
            out[~is_known] = -self.estimator.score_samples(vectors[~is_known])
        return out

    def explain(self, vectors: F32) -> list[dict[str, Any]]:
        """In words what the factor means."""
        k = self.estimator.n_neighbors_
        text = f"times as sparse around it as around its {k} neighbors"
        return [{"factor_is": text}] * len(vectors)


@dataclass(frozen=True)
class Forest:
    """Isolation forest: how few random cuts set a row apart. Liu, Ting, Zhou 2008; scikit-learn."""

    estimator: Any

    @classmethod
    def fit(cls, reference: Reference, options: Options) -> "Forest":
        """Of the usual rows; each tree takes 256 of them."""
        from sklearn.ensemble import IsolationForest

        estimator = IsolationForest(n_estimators=options.trees, random_state=options.seed)
        return cls(estimator.fit(reference.usual.vectors))

    def score(self, vectors: F32) -> F64:
        """In (0, 1); 0.5 is average, nearer 1 is set apart sooner."""
        return np.asarray(-self.estimator.score_samples(vectors), np.float64)

    def explain(self, vectors: F32) -> list[dict[str, Any]]:
        """Nothing of its own: no cut of any tree stands out."""
        return [{} for _ in vectors]


@dataclass(frozen=True)
class OneClass:
    """One-class SVM: outside the region that holds all but `contamination` of the usual rows.

    An RBF kernel approximated by Nyström (Williams, Seeger 2001), solved by stochastic gradient
    descent; the kernel's width is the median distance of rows. Schölkopf et al. 2001.
    """

    kernel: Any
    estimator: Any

    @classmethod
    def fit(cls, reference: Reference, options: Options) -> "OneClass":
        """Of at most `FIT_ROWS` usual rows."""
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import SGDOneClassSVM

        usual = reference.usual
        rows = usual.subsample(FIT_ROWS).vectors.astype(np.float64)
        kernel = Nystroem(
            gamma=median_gamma(usual.subsample(KERNEL_ROWS).vectors),
            n_components=min(options.nystroem, len(rows)),
            random_state=options.seed,
        )
        features = kernel.fit_transform(rows)
        estimator = SGDOneClassSVM(nu=options.contamination, random_state=options.seed)
        return cls(kernel, estimator.fit(features))

    def score(self, vectors: F32) -> F64:
        """Grows outward; the scale is the estimator's own."""
        out = np.empty(len(vectors))
        for start in range(0, len(vectors), FIT_ROWS):
            block = vectors[start : start + FIT_ROWS].astype(np.float64)
            out[start : start + FIT_ROWS] = -self.estimator.score_samples(
                self.kernel.transform(block)
            )
        return out

    def explain(self, vectors: F32) -> list[dict[str, Any]]:
        """Nothing of its own."""
        return [{} for _ in vectors]


def median_gamma(vectors: F32) -> float:
    """1 / (2 m²) with m the median distance of two rows; 1 where all are equal."""
    from scipy.spatial.distance import pdist

    if len(vectors) < 2:
        return 1.0
    median = float(np.median(pdist(vectors.astype(np.float64))))
    return 1 / (2 * median**2) if median > 0 else 1.0


@dataclass(frozen=True)
class Mahalanobis:
    """Distance in units of the spread of the usual rows, covariance shrunk (Ledoit, Wolf 2004)."""

    mean: F64
    precision: F64

    @classmethod
    def fit(cls, reference: Reference) -> "Mahalanobis":
        """Of the usual rows."""
        from sklearn.covariance import LedoitWolf

        estimator = LedoitWolf().fit(reference.usual.vectors.astype(np.float64))
        return cls(estimator.location_, estimator.precision_)

    @cached_property
    def _root(self) -> F64:
        values, vectors = np.linalg.eigh(self.precision)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))

    def score(self, vectors: F32) -> F64:
        """sqrt((x − mean)ᵀ · precision · (x − mean))."""
        centred = vectors.astype(np.float64) - self.mean
        return np.asarray(np.sqrt(((centred @ self._root) ** 2).sum(axis=1)))

    def explain(self, vectors: F32, most: int = 3) -> list[dict[str, Any]]:
        """The principal components that weigh most in the distance, and their part of its square.

        With the precision's diagonal left as it is, parts may be negative; the largest are told.
        """
        centred = vectors.astype(np.float64) - self.mean
        parts = centred * (centred @ self.precision)
        told = []
        for row in parts:
            total = row.sum() or 1.0
            top: Sequence[int] = np.argsort(-row, kind="stable")[:most].tolist()
            told.append(
                {
                    "components": [
                        {"component": i, "part": round(float(row[i] / total), 4)} for i in top
                    ]
                }
            )
        return told
