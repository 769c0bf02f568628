"""Pillow's filtered resize, to the bit, of only the part that is wanted.

What lies outside a centre crop is never computed, and no image object is made, which costs a third
of Pillow's time.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import RGB, compiled
from cvdata.kernels.filters import axis

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Window = tuple[int, int, int, int]


def resample(
    rgb: Bytes,
    height: int,
    width: int,
    window: Window | None = None,
    kind: str = "bilinear",
) -> Bytes:
    """The part `window` (top, left, rows, columns) of `rgb` resized to height x width.

    `rgb` is C-contiguous uint8 (H, W, 3); `kind` is bilinear, bicubic, area or lanczos. Equals
    `PIL.Image.resize` (Pillow >= 13) cropped, without a look at the rest.
    """
    top, left, rows, columns = window or (0, 0, height, width)
    ys, y_weights = _axis(rgb.shape[0], height, kind)
    xs, x_weights = _axis(rgb.shape[1], width, kind)
    ys, y_weights = ys[top : top + rows], y_weights[top : top + rows]
    xs, x_weights = xs[left : left + columns], x_weights[left : left + columns]
    # The order is Pillow's: columns first only where the height shrinks much more.
    if rgb.shape[0] > height and rgb.shape[0] - height > 2 * (rgb.shape[1] - width):
        first, last = int(xs[0, 0]), int(xs[-1].sum())
        band = _down(rgb[:, first:last], ys, y_weights, 0)
        return _across(band, xs, x_weights, first)
    first, last = int(ys[0, 0]), int(ys[-1].sum())
    return _down(_across(rgb[first:last], xs, x_weights, 0), ys, y_weights, first)


def _across(rgb: Bytes, spans: Ints, weights: Ints, first: int) -> Bytes:
    out = np.empty((rgb.shape[0], len(spans), 3), np.uint8)
    _filter_rows(np.ascontiguousarray(rgb), spans, weights, first, out)
    return out


def _down(rgb: Bytes, spans: Ints, weights: Ints, first: int) -> Bytes:
    height, width = rgb.shape[:2]
    out = np.empty((len(spans), width * 3), np.uint8)
    flat = np.ascontiguousarray(rgb).reshape(height, width * 3)
    _filter_columns(flat, spans, weights, first, out)
    return out.reshape(len(spans), width, 3)


@lru_cache(maxsize=512)
def _axis(size: int, target: int, kind: str) -> tuple[Ints, Ints]:
    """((target, 2) first input and count, (target, taps) weights of 2^22) of one axis."""
    start, count, weights = axis(size, target, kind)
    return np.stack([start, count], axis=1).astype(np.int32), weights


_SPANS = "Array(int32, 2, 'C', readonly=True)"


@compiled(f"void({RGB}, {_SPANS}, {_SPANS}, int64, uint8[:,:,::1])")
def _filter_rows(rgb: Any, spans: Any, weights: Any, first: int, out: Any) -> None:
    half = np.int32(1 << 21)
    for y in range(rgb.shape[0]):
        for x in range(spans.shape[0]):
            start, n = spans[x, 0] - first, spans[x, 1]
            r, g, b = half, half, half
            for k in range(n):
                w = weights[x, k]
                r = np.int32(r + np.int32(np.int32(rgb[y, start + k, 0]) * w))
                g = np.int32(g + np.int32(np.int32(rgb[y, start + k, 1]) * w))
                b = np.int32(b + np.int32(np.int32(rgb[y, start + k, 2]) * w))
            out[y, x, 0] = min(max(r >> 22, 0), 255)
            out[y, x, 1] = min(max(g >> 22, 0), 255)
            out[y, x, 2] = min(max(b >> 22, 0), 255)


@compiled(f"void(Array(uint8, 2, 'C', readonly=True), {_SPANS}, {_SPANS}, int64, uint8[:,::1])")
def _filter_columns(rows: Any, spans: Any, weights: Any, first: int, out: Any) -> None:
    line = np.empty(rows.shape[1], np.int32)
    for y in range(spans.shape[0]):
        line[:] = np.int32(1 << 21)
        for k in range(spans[y, 1]):
            w = weights[y, k]
            source = rows[spans[y, 0] - first + k]
            for i in range(line.size):
                line[i] = np.int32(line[i] + np.int32(np.int32(source[i]) * w))
        for i in range(line.size):
            out[y, i] = min(max(line[i] >> 22, 0), 255)
