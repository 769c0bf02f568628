"""Issues of an image's boxes; NaN where an image has no box annotation, 0 where its list is empty.

An image is as bad as its worst box.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cvdata.issues.base import Columns, Context, Floats
from cvdata.kernels import box_checks


def _worst(columns: Columns, severity: Floats) -> Floats:
    """(M,) severities of boxes -> (N,) of their images."""
    boxes = columns.boxes
    worst = box_checks.row_max(severity, boxes.row, len(columns))
    return np.where(boxes.is_known, worst, np.nan)


@dataclass(frozen=True)
class TinyObject:
    """A box of a few pixels."""

    name: ClassVar[str] = "tiny_object"
    doc: ClassVar[str] = "A box so small that a detector hardly sees it."
    definition: ClassVar[str] = (
        "side / (side + √(box width · box height)) of the smallest box, side = 8 pixels"
    )
    reason: ClassVar[str] = (
        "0.5 is a box of 8 × 8 pixels: one cell of the finest feature map (stride 8) of common "
        "detectors; AI-TOD calls 2 to 8 pixels very tiny."
    )
    columns: ClassVar[tuple[str, ...]] = ("boxes",)
    threshold: float = 0.5
    side: float = 8.0

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1; empty boxes are left to `box_empty`."""
        w, h = box_checks.box_sides(columns.boxes.xyxy)
        with np.errstate(invalid="ignore"):
            side = np.where((w > 0) & (h > 0), np.sqrt(w * h), np.nan)
        return _worst(columns, self.side / (self.side + side))


@dataclass(frozen=True)
class BoxOutside:
    """A box beyond the image."""

    name: ClassVar[str] = "box_outside"
    doc: ClassVar[str] = "A box reaches beyond the image."
    definition: ClassVar[str] = "the largest share of a box's area outside the image"
    reason: ClassVar[str] = (
        "Any part counts; `tolerance` = 1 pixel forgives rounding and boxes that include their "
        "last pixel."
    )
    columns: ClassVar[tuple[str, ...]] = ("boxes", "width", "height")
    threshold: float = 0.0
    tolerance: float = 1.0

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        boxes, width = columns.boxes, columns.number("width")
        outside = box_checks.outside_fraction(
            boxes.xyxy, width[boxes.row], columns.number("height")[boxes.row], self.tolerance
        )
        return np.where(np.isnan(width), np.nan, _worst(columns, outside))


@dataclass(frozen=True)
class BoxEmpty:
    """A box without area."""

    name: ClassVar[str] = "box_empty"
    doc: ClassVar[str] = "A box has no area, swapped corners, or a coordinate that is no number."
    definition: ClassVar[str] = "1 where a box's width or height is ≤ 0 or not finite, else 0"
    reason: ClassVar[str] = "Yes or no."
    columns: ClassVar[tuple[str, ...]] = ("boxes",)
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1."""
        w, h = box_checks.box_sides(columns.boxes.xyxy)
        good = (w > 0) & (h > 0) & np.isfinite(w) & np.isfinite(h)
        return _worst(columns, (~good).astype(np.float64))


@dataclass(frozen=True)
class BoxDuplicate:
    """The same object twice."""

    name: ClassVar[str] = "box_duplicate"
    doc: ClassVar[str] = "Two boxes with one label lie on each other: an object annotated twice."
    definition: ClassVar[str] = "the largest IoU of two boxes of the same label"
    reason: ClassVar[str] = (
        "Above 0.9 two boxes differ less than two people who draw one object; neighbours in a "
        "crowd stay below."
    )
    columns: ClassVar[tuple[str, ...]] = ("boxes",)
    threshold: float = 0.9

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        boxes = columns.boxes
        overlap = box_checks.max_overlap(boxes.xyxy, boxes.group, boxes.row, len(columns))
        return np.where(boxes.is_known, overlap, np.nan)
