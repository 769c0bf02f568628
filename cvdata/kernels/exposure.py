"""Statistics read off histograms: moments, entropy, percentiles."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import compiled

Histogram = npt.NDArray[np.uint32]


def moments(counts: Histogram) -> tuple[float, float]:
    """Mean and population standard deviation of the bin indexes of a non-empty histogram."""
    mean, std = _moments(counts)
    return float(mean), float(std)


@compiled("UniTuple(float64, 2)(uint32[::1])")
def _moments(counts: Any) -> tuple[float, float]:
    total = np.int64(0)
    first = np.int64(0)
    for i in range(counts.size):
        total += np.int64(counts[i])
        first += np.int64(counts[i]) * i
    mean = first / total
    second = 0.0
    for i in range(counts.size):
        second += counts[i] * (i - mean) * (i - mean)
    return mean, math.sqrt(second / total)


def entropy(counts: Histogram) -> float:
    """Shannon entropy in bits of a histogram; 0 .. log2(bins). Pillow's ``Image.entropy``."""
    return float(_entropy(counts.ravel()))


@compiled("float64(uint32[::1])")
def _entropy(counts: Any) -> float:
    total = np.int64(0)
    for i in range(counts.size):
        total += np.int64(counts[i])
    bits = 0.0
    for i in range(counts.size):
        if counts[i]:
            p = counts[i] / total
            bits -= p * math.log2(p)
    return bits


def percentiles(counts: Histogram, percents: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Percentiles (ascending, 0..100) of the bin indexes, by NumPy's linear interpolation."""
    values = np.empty(percents.size, np.float64)
    _percentiles(counts, percents, values)
    return values


@compiled("void(uint32[::1], Array(float64, 1, 'C', readonly=True), float64[::1])")
def _percentiles(counts: Any, percents: Any, values: Any) -> None:
    total = np.int64(0)
    for i in range(counts.size):
        total += np.int64(counts[i])
    below = np.int64(0)
    at = 0
    for p in range(percents.size):
        rank = (total - 1) * percents[p] / 100.0
        whole = np.int64(math.floor(rank))
        while below + np.int64(counts[at]) <= whole:
            below += np.int64(counts[at])
            at += 1
        above = at
        if below + np.int64(counts[at]) <= whole + 1 and whole + 1 < total:
            above += 1
            while counts[above] == 0:
                above += 1
        values[p] = at + (above - at) * (rank - whole)
