"""Quantiles of a stream in bounded memory."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from datasketches import kll_doubles_sketch


class Quantiles:
    """KLL quantile sketch: a mergeable summary of any number of float64 values.

    Up to about `k` values it holds all of them and is exact; beyond, a quantile's rank is within
    `rank_error` of the rank asked for, at 99 % confidence, after any sequence of merges. Memory is
    about 24·k bytes. NaN is skipped. The sketch samples with a random generator that cannot be
    seeded: past `k` values two runs agree within the rank error, not to the bit. Karnin, Lang,
    Liberty, "Optimal Quantile Approximation in Streams", 2016; Apache DataSketches.
    """

    __slots__ = ("_sketch",)

    def __init__(self, k: int = 256, state: bytes | None = None) -> None:
        """An empty sketch of size `k` (8 … 65,535), or the one that `state` holds."""
        self._sketch = kll_doubles_sketch.deserialize(state) if state else kll_doubles_sketch(k)

    @property
    def n(self) -> int:
        """Number of values seen, NaN not counted."""
        return int(self._sketch.n)

    @property
    def rank_error(self) -> float:
        """Half-width of a quantile's rank at 99 % confidence, in 0..1; 0 while exact."""
        return self.stated_error if self._sketch.is_estimation_mode() else 0.0

    @property
    def stated_error(self) -> float:
        """The rank error that this size has once it is no longer exact."""
        return float(self._sketch.normalized_rank_error(False))

    def update(self, values: npt.NDArray[np.float64]) -> None:
        """Add (N,) float64 `values`."""
        self._sketch.update(np.ascontiguousarray(values, dtype=np.float64))

    def merge(self, other: "Quantiles") -> None:
        """Add all that `other` has seen; `other` is left as it was."""
        self._sketch.merge(other._sketch)

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        """The smallest seen value with at least rank·n values at or below it; NaN where empty."""
        if self.n == 0:
            return [float("nan")] * len(ranks)
        return [float(q) for q in self._sketch.get_quantiles(list(ranks), True)]

    def __reduce__(self) -> tuple[type["Quantiles"], tuple[int, bytes]]:
        return Quantiles, (int(self._sketch.k), bytes(self._sketch.serialize()))


def weighted_percentile(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], percent: float
) -> float:
    """`numpy.percentile(repeat(values, counts), percent)` without the repeat.

    `values` (K,) ascending, `counts` (K,) positive; linear interpolation between the two order
    statistics, computed as NumPy does, so that the result is the same to the bit.
    """
    if not len(values):
        raise ValueError("no values")
    last = np.cumsum(counts)
    position = (int(last[-1]) - 1) * (percent / 100.0)
    below = int(np.floor(position))
    fraction = position - below
    low, high = values[np.searchsorted(last, [below, min(below + 1, int(last[-1]) - 1)], "right")]
    step = high - low
    return float(high - step * (1 - fraction) if fraction >= 0.5 else low + step * fraction)
