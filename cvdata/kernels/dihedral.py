"""Radius search of 64-bit DCT hashes over mirrors and turns.

A mirror flips the sign of the odd frequencies of the DCT and a turn transposes them besides, so
the eight hashes of one image are, but for coefficients near the median, bit operations on one of
them. The distance searched is the smallest Hamming distance over these eight: a metric on the
classes, found with recall exactly 1.
"""

import numpy as np
import numpy.typing as npt

from cvdata.kernels.hamming import TooManyPairs, plan_bands, search
from cvdata.kernels.hamming_join import I32, U64

_ODD_COLUMNS = np.uint64(0x5555555555555555)
_ODD_ROWS = np.uint64(0x00FF00FF00FF00FF)


def dihedral_variants(words: U64) -> U64:
    """(N, 1) uint64 -> (N, 8): the hash under each mirror and turn, the first as it is.

    Bit 8 · u + v, from the highest, is row frequency u and column frequency v. Variant k: bit 0
    left-right, bit 1 up-down, bit 2 transposed before.
    """
    plain = words[:, 0]
    variants = np.empty((len(words), 8), np.uint64)
    for k in range(8):
        value = _transposed(plain) if k & 4 else plain
        value = value ^ _ODD_COLUMNS if k & 1 else value
        variants[:, k] = value ^ _ODD_ROWS if k & 2 else value
    return variants


def _transposed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """8×8 bit matrices transposed, in three rounds of swaps (Warren, Hacker's Delight, 7-3)."""
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0xF0F0F0F0)):
        moved = (words ^ (words >> np.uint64(shift))) & np.uint64(mask)
        words = words ^ moved ^ (moved << np.uint64(shift))
    return words


_INVERSE = (0, 1, 2, 3, 4, 6, 5, 7)
"""Variant that undoes each: the two quarter turns undo each other."""
VARIANTS = tuple(k for k in range(8) if _INVERSE[k] >= k)
"""Those that must be searched: what a turn finds, its inverse finds from the other side."""


def dihedral_pairs(
    words: U64, radius: int, max_pairs: int = 1 << 40
) -> tuple[I32, I32, npt.NDArray[np.uint8]]:
    """All pairs a < b of distinct rows (N, 1) within `radius` over the eight variants.

    Returns a, b (P,) int32 and the smallest distance (P,) uint8, sorted by (a, b).
    """
    variants = dihedral_variants(words)
    found = [search(words, plan_bands(words, 64, radius), max_pairs=max_pairs)]
    for k in VARIANTS[1:]:
        turned = np.ascontiguousarray(variants[:, k : k + 1])
        plan = plan_bands(turned, 64, radius, len(words))
        found.append(search(turned, plan, words, max_pairs=2 * max_pairs))
    a = np.concatenate([pairs.a for pairs in found])
    b = np.concatenate([pairs.b for pairs in found])
    low, high, distance = nearest_pairs(a, b, np.concatenate([p.distance for p in found]))
    if len(low) > max_pairs:
        raise TooManyPairs(f"more than {max_pairs:,} pairs lie within radius {radius}")
    return low, high, distance


def nearest_pairs(
    a: I32, b: I32, distance: npt.NDArray[np.uint8]
) -> tuple[I32, I32, npt.NDArray[np.uint8]]:
    """Each pair of two rows once, the smaller first, with its smallest distance; sorted."""
    apart = a != b
    low, high, distance = np.minimum(a, b)[apart], np.maximum(a, b)[apart], distance[apart]
    order = np.lexsort((distance, high, low))
    low, high, distance = low[order], high[order], distance[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return low[first], high[first], distance[first]
