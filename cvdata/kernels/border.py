"""Uniform borders around an image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import compiled

Color = tuple[int, int, int]


def uniform_border(rgb: npt.NDArray[np.uint8], tolerance: int = 8) -> tuple[float, Color | None]:
    """Fraction of (H, W, 3) uint8 in uniform bands along the edges, and the largest band's colour.

    A band is the rows (or columns) from one edge inwards whose every channel stays within
    `tolerance` of the mean colour of the outermost line. 0..1; 1 is a flat image. The colour is
    None where there is no band.
    """
    height, width = rgb.shape[:2]
    depths = np.zeros(4, np.int64)
    colors = np.zeros((4, 3), np.int64)
    sides = (rgb, rgb[::-1], rgb.transpose(1, 0, 2), rgb.transpose(1, 0, 2)[::-1])
    for side in range(4):
        depths[side] = _band(sides[side], tolerance, colors[side])
    top, bottom, left, right = depths.tolist()
    areas = (top * width, bottom * width, left * height, right * height)
    largest = max(range(4), key=areas.__getitem__)
    inner = max(height - top - bottom, 0) * max(width - left - right, 0)
    if areas[largest] == 0:
        return 0.0, None
    red, green, blue = colors[largest].tolist()
    return 1 - inner / (height * width), (red, green, blue)


@compiled("int64(Array(uint8, 3, 'A', readonly=True), int64, int64[::1])")
def _band(lines: Any, tolerance: int, color: Any) -> Any:
    """Depth of the band that begins with the first of (lines, length, 3); its colour in `color`."""
    n, length = lines.shape[:2]
    for c in range(3):
        total = np.int64(0)
        for i in range(length):
            total += np.int64(lines[0, i, c])
        color[c] = (2 * total + length) // (2 * length)
    for depth in range(n):
        for i in range(length):
            for c in range(3):
                if abs(np.int64(lines[depth, i, c]) - color[c]) > tolerance:
                    return depth
    return n
