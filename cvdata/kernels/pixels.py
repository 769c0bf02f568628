"""One pass over the pixels: grey, histograms, colour moments, the test for grey images."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled

Plane = npt.NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]

BRIGHTNESS_STEPS = 64
"""Histogram bins of perceived brightness per grey level; every grey level is a bin's centre."""

BRIGHTNESS_BINS = 255 * BRIGHTNESS_STEPS + 1


@dataclass(frozen=True)
class PixelPass:
    """What one pass over an image's pixels yields; all counts are exact.

    `planes` are R, G and B, (H, W) uint8 each; `gray` (H, W) uint8 is Pillow's ``convert("L")``.
    `channels` (3, 256), `luma` (256,) and `brightness` (16321,) are uint32 histograms: of R, G, B,
    of `gray`, and of perceived brightness ``sqrt(0.241 R² + 0.691 G² + 0.068 B²)`` in steps of
    1/64 grey level. `spread` is the largest difference between two channels of one pixel.
    `rg_squares` and `yb_squares` are the sums of (R - G)² and (R + G - 2B)².
    """

    planes: Planes
    gray: Plane
    channels: npt.NDArray[np.uint32]
    luma: npt.NDArray[np.uint32]
    brightness: npt.NDArray[np.uint32]
    spread: int
    rg_squares: int
    yb_squares: int


def scan_pixels(rgb: npt.NDArray[np.uint8]) -> PixelPass:
    """Scan (H, W, 3) uint8 once; see `PixelPass`."""
    planes = split(rgb)
    gray = to_gray(planes)
    tables = np.zeros((4, 256), np.uint32)
    _count_levels(*planes, gray, tables)
    brightness = np.zeros(BRIGHTNESS_BINS, np.uint32)
    _count_brightness(*planes, brightness)
    totals = np.zeros(3, np.int64)
    _sum_differences(*planes, totals)
    spread, rg, yb = totals.tolist()
    return PixelPass(planes, gray, tables[:3], tables[3], brightness, spread, rg, yb)


def split(rgb: npt.NDArray[np.uint8]) -> Planes:
    """(H, W, 3) uint8 -> three contiguous (H, W) planes."""
    import cv2

    red, green, blue = cv2.split(rgb)
    return np.asarray(red, np.uint8), np.asarray(green, np.uint8), np.asarray(blue, np.uint8)


def join(planes: Sequence[Plane]) -> npt.NDArray[np.uint8]:
    """Three (H, W) planes -> (H, W, 3) uint8."""
    import cv2

    return np.asarray(cv2.merge(planes), np.uint8)


def to_gray(planes: Planes) -> Plane:
    """(H, W) uint8: Pillow's ``convert("L")`` (ITU-R 601-2 in 16-bit fixed point), to the bit."""
    gray = np.empty(planes[0].shape, np.uint8)
    _to_gray(*planes, gray)
    return gray


@compiled(f"void({GRAY}, {GRAY}, {GRAY}, uint8[:,::1])")
def _to_gray(red: Any, green: Any, blue: Any, gray: Any) -> None:
    height, width = gray.shape
    for y in range(height):
        r, g, b, out = red[y], green[y], blue[y], gray[y]
        for x in range(width):
            warm = np.int32(np.int32(np.int32(r[x]) * 19595) + np.int32(np.int32(g[x]) * 38470))
            total = np.int32(warm + np.int32(np.int32(np.int32(b[x]) * 7471) + 32768))
            out[x] = np.uint8(total >> 16)


@compiled(f"void({GRAY}, {GRAY}, {GRAY}, {GRAY}, uint32[:,::1])")
def _count_levels(red: Any, green: Any, blue: Any, gray: Any, tables: Any) -> None:
    height, width = gray.shape
    of_red, of_green, of_blue, of_gray = tables[0], tables[1], tables[2], tables[3]
    for y in range(height):
        r, g, b, m = red[y], green[y], blue[y], gray[y]
        for x in range(width):
            of_red[r[x]] += np.uint32(1)
            of_green[g[x]] += np.uint32(1)
            of_blue[b[x]] += np.uint32(1)
            of_gray[m[x]] += np.uint32(1)


@compiled(f"void({GRAY}, {GRAY}, {GRAY}, uint32[::1])")
def _count_brightness(red: Any, green: Any, blue: Any, counts: Any) -> None:
    height, width = red.shape
    steps = np.float32(64.0 / math.sqrt(1000.0))
    index = np.empty(width, np.uint16)
    for y in range(height):
        r, g, b = red[y], green[y], blue[y]
        for x in range(width):
            rr = np.int32(np.int32(r[x]) * np.int32(r[x]))
            gg = np.int32(np.int32(g[x]) * np.int32(g[x]))
            bb = np.int32(np.int32(b[x]) * np.int32(b[x]))
            warm = np.int32(np.int32(241 * rr) + np.int32(691 * gg))
            # an integer below 2^26: its float32 is off by 2^-24 of it, far below half a step
            squared = np.float32(np.int32(warm + np.int32(68 * bb)))
            index[x] = np.uint16(np.int32(math.sqrt(squared) * steps + np.float32(0.5)))
        for x in range(width):
            counts[index[x]] += np.uint32(1)


@compiled(f"void({GRAY}, {GRAY}, {GRAY}, int64[::1])")
def _sum_differences(red: Any, green: Any, blue: Any, totals: Any) -> None:
    height, width = red.shape
    for y in range(height):
        r, g, b = red[y], green[y], blue[y]
        spread = np.int32(0)
        for x in range(width):
            top = max(max(r[x], g[x]), b[x])
            bottom = min(min(r[x], g[x]), b[x])
            spread = max(spread, np.int32(np.int32(top) - np.int32(bottom)))
        rg_squares = np.int64(0)
        yb_squares = np.int64(0)
        for x in range(width):
            rg = np.int32(np.int32(r[x]) - np.int32(g[x]))
            warm = np.int32(np.int32(r[x]) + np.int32(g[x]))
            yb = np.int32(warm - np.int32(2 * np.int32(b[x])))
            rg_squares += np.int32(rg * rg)
            yb_squares += np.int32(yb * yb)
        totals[0] = max(totals[0], spread)
        totals[1] += rg_squares
        totals[2] += yb_squares


class _Scratch(threading.local):
    """A bit for every colour, all zero between calls; one for each thread."""

    def __init__(self) -> None:
        self.seen = np.zeros((4096, 64), np.uint64)


_SCRATCH = _Scratch()


def count_colors(planes: Planes, longest: int) -> int:
    """Distinct RGB triples of three (H, W) uint8 planes, at every f-th pixel of every f-th row.

    f is the least that leaves at most `longest` a side: an image that fits is counted whole. 1 ..
    longest².
    """
    step = -(-max(planes[0].shape) // longest)
    return int(_count_colors(*planes, step, _SCRATCH.seen))


@compiled(f"int64({GRAY}, {GRAY}, {GRAY}, int64, uint64[:,::1])")
def _count_colors(red: Any, green: Any, blue: Any, step: int, seen: Any) -> Any:
    height, width = red.shape[0], -(-red.shape[1] // step)
    # high nibbles choose one of 4,096 cells, low nibbles a bit in it, their high bits first: a
    # cache line holds a cube of 8×8×8 colours
    cell = np.empty(width, np.uint16)
    inside = np.empty(width, np.uint16)
    used = np.zeros(4096, np.uint8)
    for y in range(0, height, step):
        r, g, b = red[y], green[y], blue[y]
        for x in range(width):
            at = x * step
            rr, gg, bb = np.uint16(r[at]), np.uint16(g[at]), np.uint16(b[at])
            cell[x] = np.uint16(((rr & 240) << 4) | (gg & 240) | (bb >> 4))
            eighths = ((rr & 8) << 8) | ((gg & 8) << 7) | ((bb & 8) << 6)
            inside[x] = np.uint16(eighths | ((rr & 7) << 6) | ((gg & 7) << 3) | (bb & 7))
        for x in range(width):
            used[cell[x]] = 1
            bit = np.uint64(1) << np.uint64(inside[x] & np.uint16(63))
            seen[cell[x], inside[x] >> np.uint16(6)] |= bit
    found = np.int64(0)
    for c in range(4096):
        if used[c]:
            words = seen[c]
            for i in range(64):
                word = words[i]
                word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
                pairs = (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
                word = (word & np.uint64(0x3333333333333333)) + pairs
                word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                found += np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))
                words[i] = np.uint64(0)
    return found
