"""CleanVision's two blur numbers, from its grey thumb."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled


def thumb_size(height: int, width: int, longest: int = 64) -> tuple[int, int]:
    """(height, width) after shrinking to `longest`, sides rounded down as CleanVision does."""
    ratio = max(height, width) / longest
    if ratio <= 1:
        return height, width
    return max(int(height // ratio), 1), max(int(width // ratio), 1)


def edge_std(gray: npt.NDArray[np.uint8]) -> float:
    """Standard deviation of Pillow's FIND_EDGES of (H, W) uint8; >= 0, larger is sharper.

    Edges are 8·centre minus the eight neighbours, cut to 0..255; border pixels are kept as they
    are (which is what that filter does).
    """
    total, squares = _edge_sums(gray)
    n = gray.size
    return math.sqrt((n * squares - total * total) / n**2)


@compiled(f"UniTuple(int64, 2)({GRAY})")
def _edge_sums(gray: Any) -> Any:
    height, width = gray.shape
    total = np.int64(0)
    squares = np.int64(0)
    for y in range(height):
        for x in range(width):
            value: Any = np.int64(gray[y, x])
            if 0 < y < height - 1 and 0 < x < width - 1:
                around: Any = np.int64(0)
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        around += np.int64(gray[y + dy, x + dx])
                value = min(max(9 * value - around, 0), 255)
            total += value
            squares += value * value
    return total, squares


def histogram_std(gray: npt.NDArray[np.uint8]) -> float:
    """Standard deviation of the 256 grey-histogram counts of (H, W) uint8; >= 0."""
    # the counts sum to the number of pixels, so their squares are all that is needed
    return math.sqrt(256 * _sum_squared_counts(gray) - gray.size**2) / 256


@compiled(f"int64({GRAY})")
def _sum_squared_counts(gray: Any) -> Any:
    counts = np.zeros(256, np.int64)
    for value in gray.flat:
        counts[value] += 1
    total = np.int64(0)
    for count in counts:
        total += count * count
    return total
