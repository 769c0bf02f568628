"""Uniform borders around an image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import RGB, compiled


def uniform_border(
    rgb: npt.NDArray[np.uint8], tolerance: int = 8
) -> tuple[float, tuple[int, int, int] | None]:
    """Fraction of (H, W, 3) uint8 in uniform bands along the edges, and the largest band's colour.

    A band is the rows (or columns) from one edge inwards whose every channel stays within
    `tolerance` of the mean colour of the outermost line. 0..1; 1 is a flat image. The colour is
    None where there is no band.
    """
    depth = np.zeros(4, np.int64)
    color = np.zeros((4, 3), np.int64)
    _bands(rgb, tolerance, depth, color)
    height, width = rgb.shape[:2]
    top, bottom, left, right = depth.tolist()
    inner = max(height - top - bottom, 0) * max(width - left - right, 0)
    areas = (top * width, bottom * width, left * height, right * height)
    largest = max(range(4), key=areas.__getitem__)
    if areas[largest] == 0:
        return 0.0, None
    red, green, blue = color[largest].tolist()
    return 1 - inner / (height * width), (red, green, blue)


@compiled(f"void({RGB}, int64, int64[::1], int64[:,::1])")
def _bands(rgb: Any, tolerance: int, depth: Any, color: Any) -> None:
    height, width = rgb.shape[:2]
    for side in range(4):
        lines = height if side < 2 else width
        length = width if side < 2 else height
        for line in range(lines):
            at = line if side % 2 == 0 else lines - 1 - line
            if line == 0:
                for i in range(length):
                    for c in range(3):
                        color[side, c] += np.int64(rgb[at, i, c] if side < 2 else rgb[i, at, c])
                for c in range(3):
                    color[side, c] = (color[side, c] + length // 2) // length
            uniform = True
            for i in range(length):
                for c in range(3):
                    value = np.int64(rgb[at, i, c] if side < 2 else rgb[i, at, c])
                    if abs(value - color[side, c]) > tolerance:
                        uniform = False
                if not uniform:
                    break
            if not uniform:
                break
            depth[side] += 1
