"""BRISQUE: how unnatural the statistics of an image's contrast-normalised brightness are.

Mittal, Moorthy, Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", 2012.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cvdata.kernels.jit import jit

F64 = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

LUMA = np.array([0.2125, 0.7154, 0.0721]) / 255
"""Grey in 0..1, as the published model was fed."""
SIGMA, HALO = 7 / 6, 3
STABLE = 1 / 255
STRIP = 512
"""Rows worked on at once: memory does not grow with the image, but for one grey copy."""
LEAST_SIDE = 16
SHAPES = (0.2, 10.0)
"""Range of the shape parameter that the paper searches."""
N_FEATURES = 36


@dataclass(frozen=True)
class Regression:
    """A support vector regression with an RBF kernel, and the range that scales its features.

    `vectors` (S, 36), `weights` (S,), `low` and `high` (36,).
    """

    vectors: F64
    weights: F64
    gamma: float
    rho: float
    low: F64
    high: F64

    def __call__(self, features: F64) -> float:
        """The score of (36,) features; about 0 (pristine) to 100, larger is worse."""
        scaled = -1 + 2 / (self.high - self.low) * (features - self.low)
        squared = ((self.vectors - scaled) ** 2).sum(axis=1)
        return float(self.weights @ np.exp(-self.gamma * squared) - self.rho)


def features(rgb: Pixels) -> F64 | None:
    """(36,) shape, mean and spread at full and half size; None where it is flat or tiny."""
    if min(rgb.shape[:2]) < LEAST_SIDE:
        return None
    gray = rgb @ LUMA
    half = cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    found = [_scale_features(np.ascontiguousarray(level)) for level in (gray, half)]
    if any(one is None for one in found):
        return None
    return np.concatenate([one for one in found if one is not None])


def _scale_features(gray: F64) -> F64 | None:
    """(18,): of the normalised brightness, and of its products with four neighbours."""
    sums = np.zeros((5, 5))
    height = len(gray)
    last = np.empty((0, gray.shape[1]))
    for top in range(0, height, STRIP):
        strip = _normalised(gray, top, min(top + STRIP, height))
        _add_moments(np.concatenate([last, strip]), len(last), sums)
        last = strip[-1:]
    values: list[float] = []
    for i, row in enumerate(sums):
        fitted = _fit(row)
        if fitted is None:
            return None
        shape, mean, left, right = fitted
        values += [shape, (left + right) / 2] if i == 0 else [shape, mean, left, right]
    return np.array(values)


def _normalised(gray: F64, top: int, bottom: int) -> F64:
    """Rows of (I - mean) / (deviation + 1/255), both over a Gaussian of 7 × 7; outside is black."""
    weights = np.exp(-(np.arange(-HALO, HALO + 1) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    low, high = max(top - HALO, 0), min(bottom + HALO, len(gray))
    block = gray[low:high]
    kept = slice(top - low, bottom - low)
    mean = _filtered(block, weights)[kept]
    square = _filtered(block * block, weights)[kept]
    deviation = np.sqrt(np.abs(mean**2 - square))
    return np.asarray((block[kept] - mean) / (deviation + STABLE))


def _filtered(block: F64, weights: F64) -> F64:
    return np.asarray(
        cv2.sepFilter2D(block, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_CONSTANT)
    )


@jit
def _add_moments(rows: F64, first: int, sums: Any) -> None:
    """Adds to `sums` (5, 5), for each map: n below 0, n from 0, squares of both, absolutes.

    Maps: the value itself, then × right, × below, × below right, × below left. Row `first` is the
    first new one; one row above it, where there is one, was counted already but for its products
    with the row below.
    """
    height, width = rows.shape
    for y in range(height):
        is_new = y >= first
        has_below = y + 1 < height
        for x in range(width):
            value = rows[y, x]
            if is_new:
                _add(sums[0], value)
                if x + 1 < width:
                    _add(sums[1], value * rows[y, x + 1])
            if has_below:
                _add(sums[2], value * rows[y + 1, x])
                if x + 1 < width:
                    _add(sums[3], value * rows[y + 1, x + 1])
                if x > 0:
                    _add(sums[4], value * rows[y + 1, x - 1])


@jit
def _add(sums: Any, value: Any) -> None:
    if value < 0:
        sums[0] += 1
        sums[2] += value * value
    else:
        sums[1] += 1
        sums[3] += value * value
    sums[4] += abs(value)


def _fit(sums: F64) -> tuple[float, float, float, float] | None:
    """Asymmetric generalised Gaussian by moments: shape, mean, left and right variance."""
    from scipy.special import gammaln

    n_left, n_right, left, right, absolute = (float(v) for v in sums)
    if not n_left or not n_right or not left or not right:
        return None
    n = n_left + n_right
    left, right = left / n_left, right / n_right
    ratio = np.sqrt(left / right)
    moment = (absolute / n) ** 2 / ((left * n_left + right * n_right) / n)
    wanted = moment * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = _shape(float(wanted))
    one, two, three = (gammaln(k / shape) for k in (1, 2, 3))
    scale = np.exp((one - three) / 2 + two - one)
    return shape, float((np.sqrt(right) - np.sqrt(left)) * scale), left, right


def _shape(wanted: float) -> float:
    """Where G(2/a)^2 / (G(1/a) G(3/a)), which grows with a, is `wanted`; the ends beyond them."""
    from scipy.optimize import brentq
    from scipy.special import gammaln

    def off(a: float) -> float:
        return float(np.exp(2 * gammaln(2 / a) - gammaln(1 / a) - gammaln(3 / a)) - wanted)

    low, high = SHAPES
    if off(low) >= 0:
        return low
    if off(high) <= 0:
        return high
    return float(brentq(off, low, high, xtol=1e-10))
