"""One pass over the pixels: grey, histograms, colour moments, the test for grey images."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import RGB, compiled

BRIGHTNESS_STEPS = 64
"""Histogram bins of perceived brightness per grey level; every grey level is a bin's centre."""

BRIGHTNESS_BINS = 255 * BRIGHTNESS_STEPS + 1


@dataclass(frozen=True)
class PixelPass:
    """What one pass over an image's pixels yields; all counts are exact.

    `gray` (H, W) uint8 is Pillow's ``convert("L")`` to the bit. `channels` (3, 256), `luma` (256,)
    and `brightness` (16321,) are uint32 histograms: of R, G, B, of `gray`, and of perceived
    brightness ``sqrt(0.241 R² + 0.691 G² + 0.068 B²)`` in steps of 1/64 grey level. `spread` is
    the largest difference between two channels of one pixel. `rg_squares` and `yb_squares` are the
    sums of (R - G)² and (R + G - 2B)².
    """

    gray: npt.NDArray[np.uint8]
    channels: npt.NDArray[np.uint32]
    luma: npt.NDArray[np.uint32]
    brightness: npt.NDArray[np.uint32]
    spread: int
    rg_squares: int
    yb_squares: int


def scan_pixels(rgb: npt.NDArray[np.uint8]) -> PixelPass:
    """Scan (H, W, 3) uint8 once; see `PixelPass`."""
    height, width = rgb.shape[:2]
    gray = np.empty((height, width), np.uint8)
    tables = np.zeros((2, 4, 256), np.uint32)
    brightness = np.zeros(BRIGHTNESS_BINS, np.uint32)
    totals = np.zeros(3, np.int64)
    _scan(rgb, gray, tables, brightness, totals)
    counts = tables[0] + tables[1]
    spread, rg, yb = totals.tolist()
    return PixelPass(gray, counts[:3], counts[3], brightness, spread, rg, yb)


@compiled(f"void({RGB}, uint8[:,::1], uint32[:,:,::1], uint32[::1], int64[::1])")
def _scan(rgb: Any, gray: Any, tables: Any, brightness: Any, totals: Any) -> None:
    height, width = gray.shape
    steps = np.float32(64.0 / math.sqrt(1000.0))
    index = np.empty(width, np.uint16)
    spread = np.int32(0)
    rg_squares = np.int64(0)
    yb_squares = np.int64(0)
    for y in range(height):
        for x in range(width):
            r = np.int32(rgb[y, x, 0])
            g = np.int32(rgb[y, x, 1])
            b = np.int32(rgb[y, x, 2])
            # Pillow's L24: 16-bit fixed point, rounded
            gray[y, x] = np.uint8(np.int32(r * 19595 + g * 38470 + b * 7471 + 32768) >> 16)
            weighted = np.int32(241 * r * r + 691 * g * g + 68 * b * b)
            index[x] = np.uint16(
                np.int32(math.sqrt(np.float32(weighted)) * steps + np.float32(0.5))
            )
            spread = max(spread, np.int32(max(r, g, b) - min(r, g, b)))
            rg = np.int32(r - g)
            yb = np.int32(r + g - 2 * b)
            rg_squares += np.int32(rg * rg)
            yb_squares += np.int32(yb * yb)
        # two tables by turns: equal neighbours do not wait for each other's store
        for x in range(width):
            t = x & 1
            tables[t, 0, rgb[y, x, 0]] += np.uint32(1)
            tables[t, 1, rgb[y, x, 1]] += np.uint32(1)
            tables[t, 2, rgb[y, x, 2]] += np.uint32(1)
            tables[t, 3, gray[y, x]] += np.uint32(1)
            brightness[index[x]] += np.uint32(1)
    totals[0] = spread
    totals[1] = rg_squares
    totals[2] = yb_squares


def count_colors(rgb: npt.NDArray[np.uint8]) -> int:
    """Distinct RGB triples in (H, W, 3) uint8; 1 .. H·W."""
    return int(_count_colors(rgb, np.zeros(1 << 19, np.uint32)))


@compiled(f"int64({RGB}, uint32[::1])")
def _count_colors(rgb: Any, seen: Any) -> int:
    height, width = rgb.shape[:2]
    for y in range(height):
        for x in range(width):
            color = (
                (np.uint32(rgb[y, x, 0]) << 16)
                | (np.uint32(rgb[y, x, 1]) << 8)
                | np.uint32(rgb[y, x, 2])
            )
            seen[color >> 5] |= np.uint32(np.uint32(1) << (color & 31))
    found = np.int64(0)
    for word in seen:
        bits = word
        while bits:
            bits &= np.uint32(bits - np.uint32(1))
            found += 1
    return found
