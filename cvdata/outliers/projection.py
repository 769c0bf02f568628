"""Embeddings in the fewest directions that hold a stated share of their variance."""

from dataclasses import dataclass

import numpy as np

from cvdata.errors import ConfigError
from cvdata.outliers.rows import F32, F64, Bools

BLOCK = 16_384


@dataclass(frozen=True)
class Projection:
    """PCA: `mean` (D,), `components` (d, D), and the share of the variance that they hold."""

    mean: F64
    components: F64
    variance: float

    @property
    def dimension(self) -> int:
        """Directions kept."""
        return len(self.components)

    @classmethod
    def fit(cls, vectors: F32, variance: float, most: int) -> "Projection":
        """Of (N, D): the fewest directions that hold `variance`, at most `most`, by scikit-learn.

        Outliers take part: a direction in which only they differ is one that must stay.
        """
        from sklearn.decomposition import PCA

        rows = vectors[np.isfinite(vectors).all(axis=1)].astype(np.float64)
        if len(rows) < 2:
            raise ConfigError(f"{len(rows)} embeddings are too few: outliers need at least 2")
        if not np.ptp(rows, axis=0).any():  # every embedding is the same
            return cls(rows[0], np.eye(1, rows.shape[1]), 1.0)
        solver = "covariance_eigh" if len(rows) > rows.shape[1] // 4 else "full"
        pca = PCA(svd_solver=solver).fit(rows)
        held = np.cumsum(pca.explained_variance_ratio_)
        d = min(int(np.searchsorted(held, variance)) + 1, most, len(held))
        return cls(pca.mean_, pca.components_[:d].copy(), float(held[d - 1]))

    def apply(self, vectors: F32) -> tuple[F32, Bools]:
        """(N, D) -> (N, d), and which rows are finite; others are zero.

        In float64 and rounded once, so that a row's numbers do not hang on the rows beside it.
        """
        is_valid = np.asarray(np.isfinite(vectors).all(axis=1))
        out = np.zeros((len(vectors), self.dimension), np.float32)
        for start in range(0, len(vectors), BLOCK):
            at = slice(start, start + BLOCK)
            rows = np.where(is_valid[at, None], vectors[at], 0).astype(np.float64)
            out[at] = (rows - self.mean) @ self.components.T
        out[~is_valid] = 0
        return out, is_valid
