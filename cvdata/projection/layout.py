"""PCA, then t-SNE on a sample (openTSNE); any other image is placed on the finished map.

van der Maaten & Hinton 2008; Poličar, Stražar, Zupan 2019: the map stays as it is, and an image
that is placed on it feels the sample alone, so its place does not hang on who is placed beside it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.index.nearest import Nearest, nearest
from cvdata.kernels.neighbors import F32

F64 = npt.NDArray[np.float64]
PLACED_BY = 15
"""Nearest images of the sample that say where another image lies."""

EQUAL = 1e-6
"""Unit vectors that differ by no more in any number are equal: it is their last bits."""


@dataclass(frozen=True)
class Layouting:
    """How the map is made. `axes`: principal axes before t-SNE."""

    axes: int = 50
    perplexity: float = 30.0
    steps: int = 500
    seed: int = 0


@dataclass(frozen=True)
class Layout:
    """A finished map: `points` (n, 2) of the sample, and what is needed to place others.

    Places run from -1 to 1 on the longer side, (0, 0) in the middle.
    """

    mean: F64
    components: F64
    reference: Nearest
    points: F64

    def project(self, vectors: F32) -> F32:
        """(N, D) -> (N, d), of length one."""
        rows = (np.asarray(vectors, np.float64) - self.mean) @ self.components
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(length, 1e-12), np.float32)

    def place(self, vectors: F32) -> F32:
        """(N, 2) of images out of the sample: the median of their nearest neighbours' places.

        The median, as openTSNE starts from: one neighbour across the map does not draw it there.
        """
        found = nearest(self.reference, self.project(vectors), PLACED_BY)[1]
        return np.asarray(np.median(self.points[found], axis=1), np.float32)


def lay_out(vectors: F32, how: Layouting) -> Layout:
    """The map of a sample (n, D), n >= 5; the same bits for the same rows and seed.

    One thread: sums of several would come in any order. Vectors that are all equal lie in the
    middle.
    """
    from openTSNE import TSNEEmbedding, affinity, initialization
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    n = max(1, min(how.axes, vectors.shape[1], len(vectors) - 1))
    if np.ptp(vectors, axis=0).max() <= EQUAL:
        mean = np.asarray(vectors.mean(axis=0, dtype=np.float64))
        made = Layout(mean, np.eye(len(mean), n), Nearest.exact(vectors[:0]), np.empty((0, 2)))
        reference = Nearest.exact(made.project(vectors))
        return Layout(made.mean, made.components, reference, np.zeros((len(vectors), 2)))
    with threadpool_limits(1):
        pca = PCA(n, svd_solver="covariance_eigh").fit(np.asarray(vectors, np.float64))
        made = Layout(pca.mean_, pca.components_.T, Nearest.exact(vectors[:0]), np.empty((0, 2)))
        rows = np.asarray(made.project(vectors), np.float64)
        near = affinity.PerplexityBasedNN(
            rows,
            perplexity=min(how.perplexity, max((len(rows) - 1) / 3, 1)),
            method="exact" if len(rows) < 2000 else "auto",
            n_jobs=1,
            random_state=how.seed,
        )
        start = initialization.pca(rows, random_state=how.seed)
        some = TSNEEmbedding(
            start, near, negative_gradient_method="fft" if len(rows) > 10_000 else "bh",
            n_jobs=1, random_state=how.seed,
        )  # fmt: skip
        some = some.optimize(how.steps // 3, exaggeration=12, momentum=0.5)
        some = some.optimize(how.steps - how.steps // 3, momentum=0.8)
    return Layout(
        made.mean, made.components, Nearest.exact(np.asarray(rows, np.float32)), _framed(some)
    )


def _framed(points: npt.NDArray[np.floating]) -> F64:
    """Moved and scaled into -1 … 1, and rounded to what a picture can show."""
    points = np.asarray(points, np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    half = max(float((high - low).max()) / 2, 1e-12)
    return np.asarray(np.round((points - (low + high) / 2) / half, 5))
