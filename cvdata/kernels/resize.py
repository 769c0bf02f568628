"""Resizes: Pillow's convolution to the bit, and a view by an integer factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled
from cvdata.kernels.filters import axis

Plane = npt.NDArray[np.uint8]
Size = tuple[int, int]
Filter = Literal["lanczos", "bicubic"]


@dataclass(frozen=True)
class Bank:
    """Weights of one axis: output i is the sum of weights[offset[i] + j] · line[start[i] + j].

    j runs over count[i].
    """

    start: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int32]

    def part(self, first: int, n: int) -> tuple[slice, "Bank"]:
        """The inputs that outputs `first` to `first + n` are made of, and the bank over those."""
        wanted = slice(first, first + n)
        start, count = self.start[wanted], self.count[wanted]
        inputs = slice(int(start[0]), int(start[-1] + count[-1]))
        return inputs, Bank(start - inputs.start, count, self.offset[wanted], self.weights)


@lru_cache(maxsize=2048)
def bank(size: int, out: int, kind: str) -> Bank:
    """Weights that reduce (or enlarge) `size` pixels to `out`, one row after the other.

    One costs 0.1 ms and some 10 KB, and an image of a size not seen before needs eight.
    """
    start, count, dense = axis(size, out, kind)
    flat = dense[np.arange(dense.shape[1]) < count[:, None]]
    return Bank(start, count, np.cumsum(count) - count, flat)


def resize(plane: Plane, sizes: Sequence[Size], kind: Filter) -> list[Plane]:
    """(H, W) uint8 -> one (height, width) each: Pillow's ``resize`` of a channel, to the bit.

    Every pass rounds to 8 bits, so the order of the passes matters.
    """
    turned: Plane | None = None
    thumbs = []
    for height, width in sizes:
        across = bank(plane.shape[1], width, kind)
        down = bank(plane.shape[0], height, kind)
        if is_column_first(plane.shape, (height, width)):
            thumbs.append(transposed(reduced(transposed(reduced(plane, down)), across)))
        else:
            turned = transposed(plane) if turned is None else turned
            thumbs.append(reduced(transposed(reduced(turned, across)), down))
    return thumbs


def is_column_first(size: Sequence[int], target: Size) -> bool:
    """Whether Pillow 13 and later reduce columns before rows: rows, unless much more goes there.

    Columns come first where the height shrinks by more than twice what the width does.
    """
    return size[0] - target[0] > max(0, 2 * (size[1] - target[1]))


def transposed(image: Plane) -> Plane:
    """(H, W) or (H, W, 3) uint8 with its first two axes exchanged, as an array of its own."""
    import cv2

    shape = (image.shape[1], image.shape[0], *image.shape[2:])
    return np.asarray(cv2.transpose(image), np.uint8).reshape(shape)


def reduced(plane: Plane, down: Bank) -> Plane:
    """C-contiguous (H, W) uint8 -> (rows of the bank, W): each column reduced on its own."""
    out = np.empty((down.start.size, plane.shape[1]), np.uint8)
    _reduce_columns(plane, down.start, down.count, down.offset, down.weights, out)
    return out


@compiled(f"void({GRAY}, int64[::1], int64[::1], int64[::1], int32[::1], uint8[:,::1])")
def _reduce_columns(
    plane: Any, start: Any, count: Any, offset: Any, weights: Any, reduced: Any
) -> None:
    width = plane.shape[1]
    totals = np.empty(width, np.int32)
    for i in range(start.size):
        totals[:] = np.int32(1 << 21)
        source = plane[start[i] :]
        taps = weights[offset[i] :]
        # four rows at a time, so that the totals are loaded and stored a quarter as often
        for j in range(0, count[i] - 3, 4):
            w0, w1, w2, w3 = taps[j], taps[j + 1], taps[j + 2], taps[j + 3]
            r0, r1, r2, r3 = source[j], source[j + 1], source[j + 2], source[j + 3]
            for x in range(width):
                first = np.int32(np.int32(np.int32(r0[x]) * w0) + np.int32(np.int32(r1[x]) * w1))
                second = np.int32(np.int32(np.int32(r2[x]) * w2) + np.int32(np.int32(r3[x]) * w3))
                totals[x] = np.int32(totals[x] + np.int32(first + second))
        for j in range(count[i] & ~3, count[i]):
            w0, r0 = taps[j], source[j]
            for x in range(width):
                totals[x] = np.int32(totals[x] + np.int32(np.int32(r0[x]) * w0))
        row = reduced[i]
        for x in range(width):
            row[x] = min(max(totals[x] >> 22, 0), 255)


def view(plane: Plane, longest: int) -> Plane:
    """(H, W) uint8 averaged over f×f blocks, f the least that fits `longest`; rounded half up.

    Rows and columns beyond the last whole block are left out; an axis shorter than f is averaged
    whole. A plane that fits is returned as it is.
    """
    height, width = plane.shape
    factor = -(-max(height, width) // longest)
    if factor == 1:
        return plane
    down, across = min(factor, height), min(factor, width)
    averaged = np.empty((height // down, width // across), np.uint8)
    _average_blocks(plane, down, across, averaged)
    return averaged


@compiled(f"void({GRAY}, int64, int64, uint8[:,::1])")
def _average_blocks(plane: Any, down: int, across: int, averaged: Any) -> None:
    rows, columns = averaged.shape
    used = columns * across
    totals = np.empty(used, np.int32)
    sums = np.empty(columns, np.int32)
    area = np.float64(down * across)
    for y in range(rows):
        totals[:] = 0
        for dy in range(down):
            line = plane[y * down + dy]
            for x in range(used):
                totals[x] = np.int32(totals[x] + np.int32(line[x]))
        sums[:] = np.int32(down * across // 2)
        for dx in range(across):
            part = totals[dx:]
            for x in range(columns):
                sums[x] = np.int32(sums[x] + part[x * across])
        out = averaged[y]
        for x in range(columns):
            out[x] = np.uint8(np.int32(sums[x] / area))
