"""Linear probes on embeddings: each image is judged by one that has not seen it or its copies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.kernels.neighbors import F32
from cvdata.label_issues.confident import F64, I64, Bools

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse L2 penalties tried; the log loss out of sample chooses."""
MAX_STEPS = 200
LEAST = 1e-6
"""Probability below which the log loss does not grow."""


@dataclass(frozen=True)
class Projection:
    """PCA of embeddings: `mean` (D,), `axes` (D, d), `scale`: mean variance of a projected axis."""

    mean: F64
    axes: F64
    scale: float

    @staticmethod
    def fit(rows: F32, variance: float, most: int = 256) -> "Projection":
        """The axes that hold `variance` of the rows (N, D), at most `most`."""
        from sklearn.decomposition import PCA
        from threadpoolctl import threadpool_limits

        n = min(most, rows.shape[1], max(len(rows) - 1, 1))
        with threadpool_limits(1):
            pca = PCA(n, svd_solver="covariance_eigh").fit(np.asarray(rows, np.float64))
        held = np.cumsum(pca.explained_variance_) / max(_total(rows), 1e-30)
        kept = min(int(np.searchsorted(held, variance)) + 1, n)
        variances = pca.explained_variance_[:kept]
        scale = float(np.sqrt(max(variances.mean(), 1e-30)))
        return Projection(pca.mean_, np.ascontiguousarray(pca.components_[:kept].T), scale)

    def __call__(self, rows: npt.NDArray[np.floating]) -> F64:
        """(N, D) -> (N, d), mean variance of an axis 1."""
        return np.asarray((np.asarray(rows, np.float64) - self.mean) @ self.axes / self.scale)


def _total(rows: F32) -> float:
    """Variance of all columns together."""
    return float(np.var(rows, axis=0, dtype=np.float64, ddof=1).sum()) if len(rows) > 1 else 0.0


@dataclass(frozen=True)
class Probe:
    """A multinomial logistic regression: `weights` (d, K), `bias` (K,); -inf: never seen."""

    weights: F64
    bias: F64

    def __call__(self, rows: F64) -> F64:
        """(N, d) projected -> (N, K) probabilities, rounded so that no BLAS shows in them."""
        logits = rows @ self.weights + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        exps = np.exp(logits)
        return np.asarray(np.round(exps / exps.sum(axis=1, keepdims=True), 6))


@dataclass(frozen=True)
class FitProbe:
    """Fits the probe of one fold: to all rows (N, d) of other folds that are `trusted`."""

    rows: F32
    labels: I64
    folds: I64
    trusted: Bools
    n_classes: int

    def __call__(self, item: tuple[int, float]) -> tuple[int, float, Probe]:
        """(fold, strength) -> the same with its probe."""
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        fold, strength = item
        mine = (self.folds != fold) & self.trusted
        labels = self.labels[mine]
        present = np.unique(labels)
        weights = np.zeros((self.rows.shape[1], self.n_classes))
        bias = np.full(self.n_classes, -np.inf)
        if len(present) < 2:
            bias[present] = 0.0
            bias = bias if len(present) else np.zeros(self.n_classes)
            return fold, strength, Probe(weights, bias)
        model = LogisticRegression(C=strength, max_iter=MAX_STEPS)
        with threadpool_limits(1), _quiet():
            model.fit(self.rows[mine].astype(np.float64), labels)
        coefficients, intercept = model.coef_, model.intercept_
        if len(present) == 2:
            coefficients = np.stack([-coefficients[0], coefficients[0]]) / 2
            intercept = np.array([-intercept[0], intercept[0]]) / 2
        weights[:, present] = coefficients.T
        bias[present] = intercept
        return fold, strength, Probe(weights, bias)


@contextmanager
def _quiet() -> Iterator[None]:
    """Steps may run out before the optimum: the loss out of sample judges the probe anyway."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def out_of_fold(probes: Sequence[Probe], rows: F64, folds: I64) -> F64:
    """(N, K) probabilities of each row by the probe of its fold."""
    out = np.zeros((len(rows), len(probes[0].bias)))
    for fold, probe in enumerate(probes):
        mine = folds == fold
        if mine.any():
            out[mine] = probe(rows[mine])
    return out


def log_loss(probabilities: F64, labels: I64) -> float:
    """Mean negative log probability of the labels."""
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, LEAST)).mean()) if len(own) else 0.0
