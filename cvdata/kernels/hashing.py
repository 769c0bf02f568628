"""Perceptual hashes from small grey thumbs, bit for bit those of `imagehash` 4.3.2."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import compiled

Gray = npt.NDArray[np.uint8]


def pack(bits: npt.NDArray[np.bool_]) -> bytes:
    """Bits in row-major order, the first the highest of the first byte, zeros at the end."""
    return np.packbits(bits.ravel()).tobytes()


def ahash_bits(thumb: Gray) -> npt.NDArray[np.bool_]:
    """(8, 8) uint8 -> (8, 8) bool: above the mean. Krawetz 2011."""
    # 64 · pixel > sum: the mean of 64 bytes is exact in double precision, so this is the same
    return thumb.astype(np.int64) * thumb.size > int(thumb.sum())


def dhash_bits(thumb: Gray) -> npt.NDArray[np.bool_]:
    """(8, 9) uint8 -> (8, 8) bool: brighter than the left neighbour. Krawetz 2013."""
    return thumb[:, 1:] > thumb[:, :-1]


def phash_bits(thumb: Gray) -> npt.NDArray[np.bool_]:
    """(32, 32) uint8 -> (8, 8) bool: DCT-II on both axes, top-left 8×8, above its median."""
    from scipy.fft import dct

    low = dct(dct(thumb.astype(np.float64), axis=0), axis=1)[:8, :8]
    ordered = np.sort(low, axis=None)
    return np.asarray(low > (ordered[31] + ordered[32]) / 2)


def phash_dihedral(thumb: Gray) -> bytes:
    """(32, 32) uint8 -> 8 bytes: the smallest phash of the thumb's eight rotations and mirrors.

    Exactly equal for the eight transforms of one thumb: the DCT is done in integers (20-bit
    cosines with exact symmetry), where a mirror flips the signs of odd frequencies and a
    transposition swaps axes, and nothing is rounded. For a whole image it is near-invariant: the
    reduction to 32×32 rounds rows before columns.
    """
    return int(_smallest(thumb, _COSINES)).to_bytes(8, "big")


def _cosines() -> npt.NDArray[np.int64]:
    table = np.empty((8, 32), np.int64)
    for u in range(8):
        for x in range(16):
            table[u, x] = round(math.cos(math.pi * u * (2 * x + 1) / 64) * (1 << 20))
            table[u, 31 - x] = table[u, x] * (-1) ** u
    return table


_COSINES = _cosines()


@compiled("uint64(Array(uint8, 2, 'C', readonly=True), int64[:,::1])")
def _smallest(thumb: Any, cosines: Any) -> int:
    half = np.zeros((8, 32), np.int64)
    for u in range(8):
        for y in range(32):
            for x in range(32):
                half[u, x] += cosines[u, y] * thumb[y, x]
    low = np.zeros((8, 8), np.int64)
    for u in range(8):
        for v in range(8):
            for x in range(32):
                low[u, v] += half[u, x] * cosines[v, x]
    least = np.uint64(0xFFFFFFFFFFFFFFFF)
    turned = np.empty(64, np.int64)
    for t in range(8):
        for u in range(8):
            for v in range(8):
                value = low[v, u] if t & 4 else low[u, v]
                odd = (u & (t & 1)) ^ (v & ((t >> 1) & 1))
                turned[u * 8 + v] = -value if odd else value
        ordered = np.sort(turned)
        double_median = ordered[31] + ordered[32]
        bits = np.uint64(0)
        for i in range(64):
            bits = (bits << np.uint64(1)) | np.uint64(2 * turned[i] > double_median)
        least = min(least, bits)
    return least
