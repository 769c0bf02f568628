"""Resizes: Pillow's convolution to the bit, and a view by an integer factor."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, RGB, compiled

Filter = Literal["lanczos", "bicubic"]

_SUPPORT = {"bicubic": 2.0, "lanczos": 3.0}
_PAD = 32
"""Weights per output are padded to this many: the dot products have no remainder loop."""

_CACHED_SIDE = 8192


@dataclass(frozen=True)
class Bank:
    """Weights of one axis: output i is the sum of weights[offset[i] + j] · line[start[i] + j].

    The weights are Pillow's: 22-bit fixed point, normalised in double precision, rounded away from
    zero; each output's are padded with zeros to `count[i]`, a multiple of 32.
    """

    start: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int32]


def bank(size: int, out: int, kind: Filter) -> Bank:
    """Weights that reduce (or enlarge) `size` pixels to `out`; kept for sides up to 8,192."""
    return _kept_bank(size, out, kind) if size <= _CACHED_SIDE else _make_bank(size, out, kind)


def _make_bank(size: int, out: int, kind: Filter) -> Bank:
    reach = _SUPPORT[kind] * max(size / out, 1.0)
    widest = -(-(math.ceil(reach) * 2 + 1) // _PAD) * _PAD
    start = np.zeros(out, np.int64)
    count = np.zeros(out, np.int64)
    dense = np.zeros((out, widest), np.int32)
    _weights(size, kind == "lanczos", start, count, dense)
    count = -(-count // _PAD) * _PAD
    flat = np.concatenate([row[:n] for row, n in zip(dense, count, strict=True)])
    return Bank(start, np.concatenate([[0], np.cumsum(count)[:-1]]), count, flat)


_kept_bank = lru_cache(maxsize=256)(_make_bank)


@compiled("void(int64, boolean, int64[::1], int64[::1], int32[:,::1])")
def _weights(size: int, is_lanczos: bool, start: Any, count: Any, dense: Any) -> None:
    out = start.size
    support = 3.0 if is_lanczos else 2.0
    scale = size / out
    stretch = max(scale, 1.0)
    reach = support * stretch
    ss = 1.0 / stretch
    line = np.empty(dense.shape[1], np.float64)
    for i in range(out):
        center = (i + 0.5) * scale
        low = max(int(center - reach + 0.5), 0)
        n = min(int(center + reach + 0.5), size) - low
        total = 0.0
        for j in range(n):
            x = (j + low - center + 0.5) * ss
            value = 0.0
            if is_lanczos:
                if -3.0 <= x < 3.0:
                    value = 1.0
                    if x != 0.0:
                        p = x * math.pi
                        q = (x / 3.0) * math.pi
                        value = (math.sin(p) / p) * (math.sin(q) / q)
            else:
                x = abs(x)
                if x < 1.0:
                    value = ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0
                elif x < 2.0:
                    value = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
            line[j] = value
            total += value
        for j in range(n):
            value = line[j] / total if total != 0.0 else line[j]
            value *= 4194304.0
            dense[i, j] = np.int32(value - 0.5) if value < 0.0 else np.int32(value + 0.5)
        start[i] = low
        count[i] = n


def resize_gray(gray: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """(H, W) uint8 -> (height, width): Pillow's LANCZOS ``resize``, to the bit."""
    across = bank(gray.shape[1], width, "lanczos")
    down = bank(gray.shape[0], height, "lanczos")
    if _columns_first(gray.shape[0], gray.shape[1], height, width):
        return _gray_rows(_columns(gray, down), across)
    return _columns(_gray_rows(gray, across), down)


def resize_rgb(rgb: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 -> (height, width, 3): Pillow's default (BICUBIC) ``resize``, to the bit."""
    across = bank(rgb.shape[1], width, "bicubic")
    down = bank(rgb.shape[0], height, "bicubic")
    if _columns_first(rgb.shape[0], rgb.shape[1], height, width):
        return _rgb_rows(_rgb_columns(rgb, down), across)
    return _rgb_columns(_rgb_rows(rgb, across), down)


def _columns_first(height: int, width: int, to_height: int, to_width: int) -> bool:
    """Whether Pillow (13 and later) reduces columns before rows: the height shrinks much more.

    The order matters because every pass rounds to 8 bits.
    """
    return height > to_height and height - to_height > 2 * (width - to_width)


def _gray_rows(gray: npt.NDArray[np.uint8], across: Bank) -> npt.NDArray[np.uint8]:
    rows = np.empty((gray.shape[0], across.start.size), np.uint8)
    _reduce_gray_rows(gray, across.start, across.offset, across.count, across.weights, rows)
    return rows


def _rgb_rows(rgb: npt.NDArray[np.uint8], across: Bank) -> npt.NDArray[np.uint8]:
    rows = np.empty((rgb.shape[0], across.start.size, 3), np.uint8)
    _reduce_rgb_rows(rgb, across.start, across.offset, across.count, across.weights, rows)
    return rows


def _columns(gray: npt.NDArray[np.uint8], down: Bank) -> npt.NDArray[np.uint8]:
    thumb = np.empty((down.start.size, gray.shape[1]), np.uint8)
    _reduce_columns(gray, down.start, down.offset, down.count, down.weights, thumb)
    return thumb


def _rgb_columns(rgb: npt.NDArray[np.uint8], down: Bank) -> npt.NDArray[np.uint8]:
    flat = rgb.reshape(rgb.shape[0], -1)
    return _columns(flat, down).reshape(-1, rgb.shape[1], 3)


_BANK = "int64[::1], int64[::1], int64[::1], int32[::1]"


@compiled(f"void({GRAY}, {_BANK}, uint8[:,::1])")
def _reduce_gray_rows(
    gray: Any, start: Any, offset: Any, count: Any, weights: Any, rows: Any
) -> None:
    height, width = gray.shape
    line = np.zeros(width + 32, np.uint8)
    for y in range(height):
        line[:width] = gray[y]
        for i in range(start.size):
            total = np.int32(1 << 21)
            for j in range(count[i]):
                total = np.int32(
                    total + np.int32(np.int32(line[start[i] + j]) * weights[offset[i] + j])
                )
            rows[y, i] = min(max(total >> 22, 0), 255)


@compiled(f"void({RGB}, {_BANK}, uint8[:,:,::1])")
def _reduce_rgb_rows(
    rgb: Any, start: Any, offset: Any, count: Any, weights: Any, rows: Any
) -> None:
    height, width = rgb.shape[:2]
    lines = np.zeros((3, width + 32), np.uint8)
    for y in range(height):
        for x in range(width):
            lines[0, x] = rgb[y, x, 0]
            lines[1, x] = rgb[y, x, 1]
            lines[2, x] = rgb[y, x, 2]
        for channel in range(3):
            line = lines[channel]
            for i in range(start.size):
                total = np.int32(1 << 21)
                for j in range(count[i]):
                    total = np.int32(
                        total + np.int32(np.int32(line[start[i] + j]) * weights[offset[i] + j])
                    )
                rows[y, i, channel] = min(max(total >> 22, 0), 255)


@compiled(f"void({GRAY}, {_BANK}, uint8[:,::1])")
def _reduce_columns(
    rows: Any, start: Any, offset: Any, count: Any, weights: Any, thumb: Any
) -> None:
    height, width = rows.shape
    totals = np.empty(width, np.int32)
    for i in range(start.size):
        totals[:] = np.int32(1 << 21)
        for j in range(min(count[i], height - start[i])):
            weight = weights[offset[i] + j]
            for x in range(width):
                totals[x] = np.int32(totals[x] + np.int32(np.int32(rows[start[i] + j, x]) * weight))
        for x in range(width):
            thumb[i, x] = min(max(totals[x] >> 22, 0), 255)


def view(pixels: npt.NDArray[np.uint8], longest: int = 256) -> npt.NDArray[np.uint8]:
    """(H, W) or (H, W, 3) uint8 averaged over f×f blocks, f the least that fits `longest`.

    Rows and columns beyond the last whole block are left out; an axis shorter than f is averaged
    whole. An image that fits is returned as it is.
    """
    height, width = pixels.shape[:2]
    factor = -(-max(height, width) // longest)
    if factor == 1:
        return pixels
    import cv2

    down, across = min(factor, height), min(factor, width)
    rows, columns = height // down, width // across
    whole = pixels[: rows * down, : columns * across]
    small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
