"""Texture of a small grey image: local binary patterns, edges, spectrum, oriented gradients."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled

Gray = npt.NDArray[np.uint8]

LBP_BINS = 10


def _uniform_bins() -> npt.NDArray[np.int64]:
    bins = np.empty(256, np.int64)
    for code in range(256):
        bits = [(code >> i) & 1 for i in range(8)]
        changes = sum(bits[i] != bits[i - 1] for i in range(8))
        bins[code] = sum(bits) if changes <= 2 else 9
    return bins


_UNIFORM = _uniform_bins()


def lbp_histogram(gray: Gray) -> npt.NDArray[np.float64] | None:
    """(H, W) uint8 -> (10,) fractions of uniform local binary patterns, P = 8, R = 1.

    Bin k < 9: uniform pattern with k neighbours not darker than the centre; bin 9: the others.
    Inner pixels only; None where a side is below 3. Diagonal neighbours are interpolated
    bilinearly, in integers, so that equal pixels compare equal. Ojala et al. 2002.
    """
    if min(gray.shape) < 3:
        return None
    codes = np.zeros(256, np.int64)
    _lbp_codes(gray, codes)
    return np.bincount(_UNIFORM, weights=codes, minlength=LBP_BINS) / codes.sum()


@compiled(f"void({GRAY}, int64[::1])")
def _lbp_codes(gray: Any, codes: Any) -> None:
    height, width = gray.shape
    line = np.empty(width, np.uint8)
    # a diagonal point at (0.70711, 0.70711): the corner's share against each side neighbour's,
    # both divided by 0.70711; the centre's own share is moved to the other side of the comparison
    near = np.int32(741456)
    side = np.int32(307120)
    both = np.int32(near + 2 * side)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            m = np.int32(gray[y, x])
            n = np.int32(gray[y - 1, x])
            s = np.int32(gray[y + 1, x])
            w = np.int32(gray[y, x - 1])
            e = np.int32(gray[y, x + 1])
            level = np.int32(m * both)
            ne = np.int32(near * np.int32(gray[y - 1, x + 1]) + side * np.int32(n + e))
            nw = np.int32(near * np.int32(gray[y - 1, x - 1]) + side * np.int32(n + w))
            sw = np.int32(near * np.int32(gray[y + 1, x - 1]) + side * np.int32(s + w))
            se = np.int32(near * np.int32(gray[y + 1, x + 1]) + side * np.int32(s + e))
            line[x] = np.uint8(
                np.uint8(e >= m)
                | (np.uint8(ne >= level) << 1)
                | (np.uint8(n >= m) << 2)
                | (np.uint8(nw >= level) << 3)
                | (np.uint8(w >= m) << 4)
                | (np.uint8(sw >= level) << 5)
                | (np.uint8(s >= m) << 6)
                | (np.uint8(se >= level) << 7)
            )
        for x in range(1, width - 1):
            codes[line[x]] += 1


def edge_density(gray: Gray) -> float:
    """Fraction of pixels on Canny edges (thresholds 100 and 200, OpenCV); 0..1."""
    import cv2

    return float(cv2.countNonZero(cv2.Canny(gray, 100, 200)) / gray.size)


def high_frequency_ratio(gray: Gray) -> float | None:
    """Share of spectral power above half the Nyquist frequency; 0..1, larger is finer detail.

    Mean removed, Hann window, the central part whose sides the FFT likes, power without DC. None
    where a side is below 8 or the image is flat.
    """
    if min(gray.shape) < 8:
        return None
    from scipy.fft import rfft2

    height, width = (_fast(n) for n in gray.shape)
    top, left = (gray.shape[0] - height) // 2, (gray.shape[1] - width) // 2
    part = gray[top : top + height, left : left + width].astype(np.float32)
    part -= part.mean()
    part *= _hann(height)[:, None]
    part *= _hann(width)
    high, total = _power(rfft2(part), width)
    return float(high / total) if total > 1e-3 * gray.size else None


@lru_cache(maxsize=512)
def _fast(n: int) -> int:
    from scipy.fft import prev_fast_len

    return int(prev_fast_len(n, real=True))


@lru_cache(maxsize=512)
def _hann(n: int) -> npt.NDArray[np.float32]:
    return np.hanning(n + 2)[1:-1].astype(np.float32)


@compiled("UniTuple(float64, 2)(complex64[:,::1], int64)")
def _power(spectrum: Any, width: int) -> tuple[float, float]:
    height, half = spectrum.shape
    high = 0.0
    total = 0.0
    for y in range(height):
        fy = min(y, height - y) / height
        row_total = 0.0
        row_high = 0.0
        for x in range(half):
            value = spectrum[y, x]
            power = value.real * value.real + value.imag * value.imag
            # a half-plane: all but the first and the Nyquist column stand for two
            if x > 0 and 2 * x != width:
                power *= 2
            if x == 0 and y == 0:
                power = 0.0
            row_total += power
            fx = x / width
            if fx * fx + fy * fy > 0.0625:
                row_high += power
        total += row_total
        high += row_high
    return high, total


def hog_summary(gray: Gray) -> npt.NDArray[np.float64] | None:
    """(9,) mean over blocks and cells of the histogram of oriented gradients. Dalal, Triggs 2005.

    9 unsigned orientations, cells of 8×8 pixels, blocks of 2×2 cells, L2-Hys. None where a side is
    below 16.
    """
    if min(gray.shape) < 16:
        return None
    from skimage.feature import hog

    blocks = hog(
        gray, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2), feature_vector=False
    )
    return np.asarray(blocks.mean(axis=(0, 1, 2, 3)))
