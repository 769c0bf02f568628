"""Boxes as sources write them -> xyxy in pixels of the oriented image."""

from collections.abc import Sequence
from typing import Any

Xyxy = list[float]
_REASONABLE = 1e9


def box_problem(xyxy: Any) -> str | None:
    """Why these are not four finite numbers, so that no box can be recorded; or None."""
    if not isinstance(xyxy, list | tuple) or len(xyxy) != 4:
        return "a box is four numbers"
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in xyxy):
        return "a box is four numbers"
    if not all(abs(v) < _REASONABLE for v in xyxy):  # neither is NaN, and an int may be any size
        return "a number that is not finite, or out of all reason"
    return None


def box_warning(xyxy: Sequence[float]) -> str | None:
    """What is wrong with a box that is recorded all the same, for `box_empty` to find; or None."""
    x0, y0, x1, y1 = xyxy
    if x1 < x0 or y1 < y0:
        return "a box of negative width or height"
    return "a box without area" if x1 == x0 or y1 == y0 else None


def turn_box(xyxy: Sequence[float], width: int, height: int, orientation: int) -> Xyxy:
    """A box in stored pixels -> the same in oriented pixels.

    `width` and `height` are those stored; `orientation` is the EXIF value, 1 where it is not 2 … 8.
    """
    x0, y0, x1, y1 = xyxy
    if orientation in (5, 6, 7, 8):  # these swap the axes
        x0, y0, x1, y1 = y0, x0, y1, x1
        width, height = height, width
    if orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return [x0, y0, x1, y1]
