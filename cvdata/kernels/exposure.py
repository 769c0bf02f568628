"""Statistics read off histograms: moments, entropy, percentiles."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import compiled

Histogram = npt.NDArray[np.uint32]

_COUNTS = "Array(uint32, 1, 'C', readonly=True)"


def moments(counts: Histogram) -> tuple[float, float]:
    """Mean and population standard deviation of the bin indexes of a non-empty histogram."""
    return _moments(counts)


@compiled(f"UniTuple(float64, 2)({_COUNTS})")
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


def mean(counts: Histogram) -> float:
    """Mean of the bin indexes of a non-empty histogram."""
    return _mean(counts)


@compiled(f"float64({_COUNTS})")
def _mean(counts: Any) -> float:
    total = np.int64(0)
    first = np.int64(0)
    for i in range(counts.size):
        total += np.int64(counts[i])
        first += np.int64(counts[i]) * i
    return float(first / total)


def entropy(counts: Histogram) -> float:
    """Shannon entropy in bits of a histogram; 0 .. log2(bins). Pillow's ``Image.entropy``."""
    return _entropy(counts.ravel())


@compiled(f"float64({_COUNTS})")
def _entropy(counts: Any) -> float:
    total = np.int64(0)
    for i in range(counts.size):
        total += np.int64(counts[i])
    bits = 0.0
    for i in range(counts.size):
        if counts[i]:
            share = counts[i] / total
            bits -= share * math.log2(share)
    return bits


def percentiles(counts: Histogram, percents: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Percentiles (ascending, 0..100) of the bin indexes, by NumPy's linear interpolation."""
    values = np.empty(percents.size, np.float64)
    _percentiles(counts, percents, values)
    return values


@compiled(f"void({_COUNTS}, Array(float64, 1, 'C', readonly=True), float64[::1])")
def _percentiles(counts: Any, percents: Any, values: Any) -> None:
    total = np.int64(0)
    for i in range(counts.size):
        total += np.int64(counts[i])
    through = np.int64(counts[0])  # counts up to and with bin `at`
    at = 0
    for p in range(percents.size):
        rank = (total - 1) * percents[p] / 100.0
        whole = np.int64(math.floor(rank))
        while through <= whole:
            at += 1
            through += np.int64(counts[at])
        above = at
        if through == whole + 1 and whole + 1 < total:
            above += 1
            while counts[above] == 0:
                above += 1
        values[p] = at + (above - at) * (rank - whole)
