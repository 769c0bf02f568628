"""How far two samples are apart: PSI, Kolmogorov-Smirnov, Fréchet distance, MMD."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

BINS = 10
SMOOTHING = 0.5
"""Added to every count of a PSI, so that an empty bin does not make it infinite."""


@dataclass(frozen=True)
class Distance:
    """A distance, and the chance to see one as large where nothing changed."""

    value: float
    p_value: float


def psi(reference: I64, current: I64) -> Distance:
    """Population stability index of two vectors of counts (K,), with its chance.

    sum (q - p) ln(q / p); 0 is equal. Where nothing changed it is about (1/n + 1/m) × chi-squared
    with K - 1 degrees of freedom (Yurdakul 2018), which the p value is from.
    """
    from scipy.stats import chi2

    n, m, k = int(reference.sum()), int(current.sum()), len(reference)
    if not n or not m or k < 2:
        return Distance(0.0, 1.0)
    p = (reference + SMOOTHING) / (n + SMOOTHING * k)
    q = (current + SMOOTHING) / (m + SMOOTHING * k)
    value = float(((q - p) * np.log(q / p)).sum())
    return Distance(value, float(chi2.sf(value / (1 / n + 1 / m), k - 1)))


def bin_edges(reference: F64, n_bins: int = BINS) -> F64:
    """Inner edges of bins that hold equal shares of the reference (n,); fewer where it has ties."""
    ranks = np.arange(1, n_bins) / n_bins
    return np.unique(np.quantile(reference, ranks, method="inverted_cdf"))


def binned(values: F64, edges: F64) -> I64:
    """Counts of the bins (..., edge 0], (edge 0, edge 1], …, and of NaN at the end."""
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.append(counts, len(values) - len(known)).astype(np.int64)


def numeric_psi(reference: F64, current: F64) -> Distance:
    """PSI over the reference's deciles; missing values are a bin of their own."""
    known = reference[~np.isnan(reference)]
    edges = bin_edges(known) if len(known) else np.empty(0)
    a, b = binned(reference, edges), binned(current, edges)
    used = (a + b) > 0
    return psi(a[used], b[used])


def kolmogorov_smirnov(reference: F64, current: F64) -> Distance:
    """The largest difference of the two distribution functions, NaN left out (SciPy)."""
    from scipy.stats import ks_2samp

    a, b = (x[~np.isnan(x)] for x in (reference, current))
    if not len(a) or not len(b):
        return Distance(0.0, 1.0)
    # The exact p value of large samples is slow and the same to all digits that matter.
    method = "exact" if max(len(a), len(b)) <= 1000 else "asymp"
    found = ks_2samp(a, b, method=method)
    return Distance(float(found.statistic), float(found.pvalue))


def frechet(a: F64, b: F64) -> float:
    """Fréchet distance of the normal distributions of two samples (n, d), (m, d); >= 0.

    |mean difference|^2 + tr(A + B - 2 (A B)^(1/2)). Dowson & Landau 1982; on the features of an
    Inception network it is the FID (Heusel et al. 2017).
    """
    shift = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_b @ root)
    cross = float(np.sqrt(np.clip(inner, 0, None)).sum())
    value = float(shift @ shift) + float(np.trace(cov_a) + np.trace(cov_b)) - 2 * cross
    return max(value, 0.0)


@dataclass(frozen=True)
class Kernel:
    """exp(-|x - y|^2 / (2 width^2)) between all rows of a pooled sample: (n + m, n + m)."""

    matrix: F64
    n_reference: int

    @staticmethod
    def of(reference: F64, current: F64) -> "Kernel":
        """With the median distance of the pooled rows as its width (Gretton et al. 2012)."""
        pooled = np.concatenate([reference, current])
        norms = np.einsum("nd,nd->n", pooled, pooled)
        squared = np.clip(norms[:, None] + norms[None] - 2 * pooled @ pooled.T, 0, None)
        upper = squared[np.triu_indices(len(pooled), 1)]
        width = float(np.median(upper)) if len(upper) else 1.0
        return Kernel(np.exp(-squared / max(width, 1e-12)), len(reference))

    def mmd(self, is_reference: npt.NDArray[np.bool_] | None = None) -> float:
        """Squared maximum mean discrepancy, unbiased: 0 on average where nothing changed."""
        if is_reference is None:
            is_reference = np.arange(len(self.matrix)) < self.n_reference
        weights = is_reference.astype(np.float64)
        others = 1 - weights
        n, m = weights.sum(), others.sum()
        if min(n, m) < 2:
            return 0.0
        product = self.matrix @ np.stack([weights, others], axis=1)
        within_a = (weights @ product[:, 0] - n) / (n * (n - 1))
        within_b = (others @ product[:, 1] - m) / (m * (m - 1))
        return float(within_a + within_b - 2 * (weights @ product[:, 1]) / (n * m))

    def permuted(self, n_times: int, seed: int) -> Distance:
        """The squared MMD, and how often a random split of the pooled rows has as large a one."""
        rng = np.random.default_rng(seed)
        value = self.mmd()
        plain = np.arange(len(self.matrix)) < self.n_reference
        larger = sum(self.mmd(rng.permutation(plain)) >= value for _ in range(n_times))
        return Distance(value, (larger + 1) / (n_times + 1))

    def witness(self) -> F64:
        """(m,) of the current rows: how much more like the current set than the reference one.

        The witness function of the MMD; the largest are the images that drive it.
        """
        to = self.matrix[self.n_reference :]
        n_current = max(len(self.matrix) - self.n_reference - 1, 1)
        mine = (to[:, self.n_reference :].sum(axis=1) - 1) / n_current
        return np.asarray(mine - to[:, : self.n_reference].mean(axis=1))


def share_above(n_a: int, hits_a: int, n_b: int, hits_b: int) -> Distance:
    """Difference of two shares, b - a, and its chance (Fisher's exact test)."""
    from scipy.stats import fisher_exact

    if not n_a or not n_b:
        return Distance(0.0, 1.0)
    table = [[hits_a, n_a - hits_a], [hits_b, n_b - hits_b]]
    return Distance(hits_b / n_b - hits_a / n_a, float(fisher_exact(table).pvalue))
