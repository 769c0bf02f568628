"""Weights of Pillow's filtered resize, to the bit: one axis at a time, 22-bit fixed point.

Pillow filters one axis, rounds to 8 bits, then filters the other (its `Resample.c`). `resize` does
so for planes, `resample` for a window of an RGB image.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import compiled

BITS = 22
SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "area": 0.5, "lanczos": 3.0}
"""Filter -> its reach in input pixels where nothing shrinks."""
_KINDS = tuple(SUPPORT)
_BILINEAR, _BICUBIC, _AREA = range(3)
_KEPT_SIDE = 8192

Spans = npt.NDArray[np.int64]
Weights = npt.NDArray[np.int32]


def axis(size: int, out: int, kind: str) -> tuple[Spans, Spans, Weights]:
    """Of each of `out` outputs: first input, number of inputs, weights (out, taps) of 2^22.

    The weights are Pillow's: normalised in double precision, rounded away from zero. Kept for
    sides up to 8,192. Do not write into them.
    """
    return _kept(size, out, kind) if size <= _KEPT_SIDE else _made(size, out, kind)


def _made(size: int, out: int, kind: str) -> tuple[Spans, Spans, Weights]:
    scale = size / out
    reach = SUPPORT[kind] * max(scale, 1.0)
    center = (np.arange(out) + 0.5) * scale
    start = np.maximum((center - reach + 0.5).astype(np.int64), 0)
    count = np.minimum((center + reach + 0.5).astype(np.int64), size) - start
    dense = np.zeros((out, int(count.max())), np.int32)
    _weights(scale, _KINDS.index(kind), start, count, dense)
    return start, count, dense


_kept = lru_cache(maxsize=512)(_made)


@compiled("void(float64, int64, int64[::1], int64[::1], int32[:,::1])")
def _weights(scale: float, kind: int, start: Any, count: Any, dense: Any) -> None:  # noqa: C901
    def lanczos(x: float) -> float:
        if x == 0.0:
            return 1.0
        if not -3.0 <= x < 3.0:
            return 0.0
        wide, narrow = x * math.pi, (x / 3.0) * math.pi
        return (math.sin(wide) / wide) * (math.sin(narrow) / narrow)

    def bicubic(x: float) -> float:
        x = abs(x)
        if x < 1.0:
            return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0
        if x < 2.0:
            return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
        return 0.0

    stretch = max(scale, 1.0)
    line = np.empty(dense.shape[1], np.float64)
    for i in range(start.size):
        center = (i + 0.5) * scale
        total = 0.0
        for j in range(count[i]):
            x = (j + start[i] - center + 0.5) * (1.0 / stretch)
            if kind == _AREA:
                line[j] = 1.0 if -0.5 < x <= 0.5 else 0.0
            elif kind == _BILINEAR:
                line[j] = max(1.0 - abs(x), 0.0)
            else:
                line[j] = bicubic(x) if kind == _BICUBIC else lanczos(x)
            total += line[j]
        for j in range(count[i]):
            value = (line[j] / total if total != 0.0 else line[j]) * 4194304.0
            dense[i, j] = np.int32(value - 0.5 if value < 0.0 else value + 0.5)
