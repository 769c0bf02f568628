"""Pillow's filtered resize, to the bit, of only the part that is wanted.

What lies outside a centre crop is never computed, and no image object is made, which costs a third
of Pillow's time.
"""

import numpy as np
import numpy.typing as npt

from cvdata.kernels.resize import Bank, bank, is_column_first, reduced, transposed

Bytes = npt.NDArray[np.uint8]
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
    used_rows, down = bank(rgb.shape[0], height, kind).part(top, rows)
    used_columns, across = bank(rgb.shape[1], width, kind).part(left, columns)
    used = rgb[used_rows, used_columns]
    if is_column_first(rgb.shape[:2], (height, width)):
        return _across(_down(used, down), across)
    return _down(_across(used, across), down)


def _across(rgb: Bytes, columns: Bank) -> Bytes:
    """Columns as rows: those are added up many pixels at a time."""
    return transposed(_down(transposed(rgb), columns))


def _down(rgb: Bytes, rows: Bank) -> Bytes:
    height, width = rgb.shape[:2]
    flat = np.ascontiguousarray(rgb).reshape(height, width * 3)
    return reduced(flat, rows).reshape(-1, width, 3)
