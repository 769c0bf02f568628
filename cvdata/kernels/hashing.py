"""Perceptual hashes from small grey thumbs, bit for bit those of `imagehash` 4.3.2.

64-bit hashes are returned as an integer: row-major, the first bit the highest.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled

Gray = npt.NDArray[np.uint8]
Low = npt.NDArray[np.int64]

_COSINE_BITS = 20
_TABLE = "Array(int64, 2, 'C', readonly=True)"


def pack(bits: npt.NDArray[np.bool_]) -> bytes:
    """Bits in row-major order, the first the highest of the first byte, zeros at the end."""
    return np.packbits(bits.ravel()).tobytes()


def ahash(thumb: Gray) -> int:
    """(8, 8) uint8 -> 64 bits: above the mean. Krawetz 2011."""
    return int(_ahash(thumb))


@compiled(f"uint64({GRAY})")
def _ahash(thumb: Any) -> Any:
    total = np.int64(0)
    for value in thumb.flat:
        total += np.int64(value)
    bits = np.uint64(0)
    for value in thumb.flat:
        # the mean of 64 bytes is exact in double precision, so integers say the same
        bits = (bits << np.uint64(1)) | np.uint64(64 * np.int64(value) > total)
    return bits


def dhash(thumb: Gray) -> int:
    """(8, 9) uint8 -> 64 bits: brighter than the left neighbour. Krawetz 2013."""
    return int(_dhash(thumb))


@compiled(f"uint64({GRAY})")
def _dhash(thumb: Any) -> Any:
    bits = np.uint64(0)
    for y in range(8):
        for x in range(8):
            bits = (bits << np.uint64(1)) | np.uint64(thumb[y, x + 1] > thumb[y, x])
    return bits


def phash(thumb: Gray, low: Low) -> int:
    """(32, 32) uint8 -> 64 bits: DCT-II on both axes, top-left 8×8, above its median.

    `low` are the thumb's `low_frequencies`. They decide where the two values around the median lie
    well apart; else SciPy's DCT does, as in `imagehash`, so that ties fall the same way.
    """
    bits, gap = _above_median(low)
    if gap > _SAFE_GAP:
        return int(bits)
    from scipy.fft import dct

    exact = dct(dct(thumb.astype(np.float64), axis=0), axis=1)[:8, :8]
    ordered = np.sort(exact, axis=None)
    return int.from_bytes(pack(exact > (ordered[31] + ordered[32]) / 2), "big")


@compiled("Tuple((uint64, int64))(int64[:,::1])")
def _above_median(low: Any) -> Any:
    ordered = np.sort(low.ravel())
    bits = np.uint64(0)
    for value in low.flat:
        bits = (bits << np.uint64(1)) | np.uint64(value >= ordered[32])
    return bits, ordered[32] - ordered[31]


_SAFE_GAP = 2 * (1024 * 255) * (2 << _COSINE_BITS)
"""Twice the most by which `low_frequencies` can differ from the true DCT: each of 1,024 products
of two cosines is off by at most two halves of a unit, times a cosine of 2^20, times 255."""


def low_frequencies(thumb: Gray) -> Low:
    """(32, 32) uint8 -> (8, 8) int64: the lowest DCT-II coefficients, times 2^40.

    Cosines have 20 bits and their exact symmetry, and nothing is rounded after: a mirrored thumb
    has the same numbers with the signs of its odd frequencies flipped, a transposed one the
    transposed numbers.
    """
    low = np.zeros((8, 8), np.int64)
    _low_frequencies(thumb, _COSINES, low)
    return low


def _cosines() -> npt.NDArray[np.int64]:
    table = np.empty((8, 32), np.int64)
    for u in range(8):
        for x in range(16):
            table[u, x] = round(math.cos(math.pi * u * (2 * x + 1) / 64) * (1 << _COSINE_BITS))
            table[u, 31 - x] = table[u, x] * (-1) ** u
    table.setflags(write=False)
    return table


_COSINES = _cosines()


@compiled(f"void({GRAY}, {_TABLE}, int64[:,::1])")
def _low_frequencies(thumb: Any, cosines: Any, low: Any) -> None:
    half = np.empty(32, np.int64)
    for u in range(8):
        half[:] = 0
        for y in range(32):
            for x in range(32):
                half[x] += cosines[u, y] * np.int64(thumb[y, x])
        for v in range(8):
            for x in range(32):
                low[u, v] += half[x] * cosines[v, x]


def phash_dihedral(low: Low) -> int:
    """64 bits: the smallest phash of the eight rotations and mirrors of a 32×32 thumb.

    From the thumb's `low_frequencies`. Exactly equal for the eight transforms of one thumb, ties
    included, because it is done in integers. For a whole image it is near-invariant only: the
    reduction to 32×32 rounds one axis before the other.
    """
    return int(_smallest(low))


@compiled("uint64(int64[:,::1])")
def _smallest(low: Any) -> Any:
    least = np.uint64(0xFFFFFFFFFFFFFFFF)
    turned = np.empty((8, 8), np.int64)
    for mirror in range(4):
        for u in range(8):
            for v in range(8):
                odd = (u & mirror) ^ (v & (mirror >> 1))
                turned[u, v] = -low[u, v] if odd & 1 else low[u, v]
        ordered = np.sort(turned.ravel())
        double_median = ordered[31] + ordered[32]
        upright = np.uint64(0)
        transposed = np.uint64(0)
        for u in range(8):
            for v in range(8):
                above = np.uint64(2 * turned[u, v] > double_median)
                upright = (upright << np.uint64(1)) | above
                across = np.uint64(2 * turned[v, u] > double_median)
                transposed = (transposed << np.uint64(1)) | across
        least = min(least, min(upright, transposed))
    return least
