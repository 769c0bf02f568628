"""Texture of a small grey image: local binary patterns, oriented gradients."""

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
    """(H, W) uint8 -> (10,) fractions of uniform local binary patterns, P = 8, R = 1; sum 1.

    Bin k < 9: uniform pattern with k neighbours not darker than the centre; bin 9: the others.
    Inner pixels only; None where a side is below 3. Diagonal neighbours are interpolated
    bilinearly, in integers, so that equal pixels compare equal. Ojala et al. 2002.
    """
    if min(gray.shape) < 3:
        return None
    codes = np.zeros(256, np.int64)
    _lbp_codes(gray, codes)
    totals = np.bincount(_UNIFORM, weights=codes, minlength=LBP_BINS)
    return np.asarray(totals / codes.sum(), np.float64)


@compiled(f"void({GRAY}, int64[::1])")
def _lbp_codes(gray: Any, codes: Any) -> None:
    height, width = gray.shape
    inner = width - 2
    line = np.empty(inner, np.uint8)
    # a diagonal point lies at (0.70711, 0.70711): shares of the corner and of each side neighbour,
    # in 2^-20 and divided by 0.70711; the centre's share is moved to the comparison's other side
    near = np.int32(741459)
    side = np.int32(307117)
    both = np.int32(near + 2 * side)
    for y in range(1, height - 1):
        a, b, c = gray[y - 1], gray[y], gray[y + 1]
        for x in range(inner):
            n, s = np.int32(a[x + 1]), np.int32(c[x + 1])
            w, e = np.int32(b[x]), np.int32(b[x + 2])
            m = np.int32(b[x + 1])
            level = np.int32(m * both)
            ne = np.int32(np.int32(a[x + 2]) * near) + np.int32(np.int32(n + e) * side)
            nw = np.int32(np.int32(a[x]) * near) + np.int32(np.int32(n + w) * side)
            sw = np.int32(np.int32(c[x]) * near) + np.int32(np.int32(s + w) * side)
            se = np.int32(np.int32(c[x + 2]) * near) + np.int32(np.int32(s + e) * side)
            axes = (
                np.uint8(e >= m)
                | (np.uint8(n >= m) << 2)
                | (np.uint8(w >= m) << 4)
                | (np.uint8(s >= m) << 6)
            )
            diagonals = (
                (np.uint8(np.int32(ne) >= level) << 1)
                | (np.uint8(np.int32(nw) >= level) << 3)
                | (np.uint8(np.int32(sw) >= level) << 5)
                | (np.uint8(np.int32(se) >= level) << 7)
            )
            line[x] = np.uint8(axes | diagonals)
        for x in range(inner):
            codes[line[x]] += 1


def hog_summary(gray: Gray) -> npt.NDArray[np.float64] | None:
    """(H, W) uint8 -> (9,) mean histogram of oriented gradients. Dalal and Triggs 2005.

    9 unsigned orientations, cells of 8×8 pixels, blocks of 2×2 cells, L2-Hys (scikit-image's
    `hog`), averaged over blocks and cells; 0..1. None where a side is below 16.
    """
    if min(gray.shape) < 16:
        return None
    from skimage.feature import hog

    blocks = hog(
        gray, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2), feature_vector=False
    )
    return np.asarray(blocks.mean(axis=(0, 1, 2, 3)), np.float64)
