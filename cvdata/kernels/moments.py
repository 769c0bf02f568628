"""Mean and variance of a stream, in pieces that merge."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass
class Moments:
    """Weight, mean and sum of squared deviations: arrays of one shape, float64.

    The weight is a count of values, or of pixels. Welford's and Chan, Golub, LeVeque's update:
    merging in any order agrees to rounding. `merge` changes and returns `self`.
    """

    weight: Floats
    mean: Floats
    m2: Floats

    @classmethod
    def zeros(cls, *shape: int) -> "Moments":
        """Nothing seen yet."""
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def merge(self, other: "Moments") -> "Moments":
        """Add what `other` has seen."""
        total = self.weight + other.weight
        share = np.divide(other.weight, total, out=np.zeros_like(total), where=total > 0)
        delta = other.mean - self.mean
        self.mean = self.mean + delta * share
        self.m2 = self.m2 + other.m2 + delta * delta * self.weight * share
        self.weight = total
        return self

    def pooled(self) -> "Moments":
        """All entries along the first axis merged into one."""
        out = Moments.zeros(*self.mean.shape[1:])
        for i in range(len(self.mean)):
            out.merge(Moments(self.weight[i], self.mean[i], self.m2[i]))
        return out

    def variance(self, ddof: int = 0) -> Floats:
        """m2 / (weight − ddof); NaN where weight ≤ ddof."""
        left = self.weight - ddof
        out = np.full(np.shape(left), np.nan)
        np.divide(self.m2, left, out=out, where=left > 0)
        return out


@dataclass(frozen=True)
class Segments:
    """Rows sorted by group: `order` (N,), the `groups` present (S,), where each starts (S,)."""

    order: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, codes: npt.NDArray[np.int64]) -> "Segments":
        """Segments of (N,) group codes."""
        order = np.argsort(codes, kind="stable")
        ordered = codes[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        lengths = np.diff(starts, append=len(codes))
        return cls(order, ordered[starts], starts, lengths)

    def sums(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Sum of ordered (N, …) `values` per group present: (S, …)."""
        if not len(self.starts):
            return np.zeros((0, *values.shape[1:]), dtype=values.dtype)
        return np.add.reduceat(values, self.starts, axis=0)

    def moments(self, values: Floats, weights: Floats | None = None) -> Moments:
        """Moments of ordered (N, …) `values` per group present; NaN is skipped, weights (N,)."""
        known = ~np.isnan(values)
        weight = known * (1.0 if weights is None else weights.reshape(-1, *[1] * (values.ndim - 1)))
        filled = np.where(known, values, 0.0)
        total = np.asarray(self.sums(weight), dtype=np.float64)
        sums = np.asarray(self.sums(weight * filled), dtype=np.float64)
        mean = np.divide(sums, total, out=np.zeros_like(total), where=total > 0)
        deviation = filled - np.repeat(mean, self.lengths, axis=0)
        m2 = np.asarray(self.sums(weight * deviation * deviation), dtype=np.float64)
        return Moments(total, mean, m2)

    def extremes(self, values: Floats) -> tuple[Floats, Floats]:
        """Least and largest of ordered (N,) `values` per group present; ±inf where all are NaN."""
        if not len(self.starts):
            return np.zeros(0), np.zeros(0)
        known = np.isnan(values)
        low = np.minimum.reduceat(np.where(known, np.inf, values), self.starts)
        high = np.maximum.reduceat(np.where(known, -np.inf, values), self.starts)
        return low, high
