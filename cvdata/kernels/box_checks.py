"""What can be wrong with boxes: (M, 4) float64 xyxy in absolute pixels."""

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def box_sides(xyxy: Floats) -> tuple[Floats, Floats]:
    """Width and height of (M, 4) boxes, in pixels; negative where the corners are swapped."""
    with np.errstate(invalid="ignore"):
        return xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]


def outside_fraction(xyxy: Floats, width: Floats, height: Floats, tolerance: float) -> Floats:
    """Share of each box's area outside its image grown by `tolerance` pixels a side; 0..1.

    `width`, `height` (M,) of the image of each box. NaN where a box has no area or the image's
    size is unknown.
    """
    w, h = box_sides(xyxy)
    good = (w > 0) & (h > 0) & np.isfinite(w) & np.isfinite(h)
    boxes = np.where(good[:, None], xyxy, np.nan)
    across = np.minimum(boxes[:, 2], width + tolerance) - np.maximum(boxes[:, 0], -tolerance)
    down = np.minimum(boxes[:, 3], height + tolerance) - np.maximum(boxes[:, 1], -tolerance)
    inside = np.maximum(across, 0.0) / w * (np.maximum(down, 0.0) / h)
    return np.asarray(1.0 - np.minimum(inside, 1.0), dtype=np.float64)


def row_max(values: Floats, rows: Ints, n: int) -> Floats:
    """Largest of `values` (M,) per row, NaN skipped; (n,) with 0 for a row without values."""
    out = np.zeros(n)
    known = ~np.isnan(values)
    np.maximum.at(out, rows[known], values[known])
    return out


def max_overlap(xyxy: Floats, groups: Ints, rows: Ints, n: int) -> Floats:
    """Largest intersection over union of two boxes of one group, per row; (n,) in 0..1.

    `groups` (M,) >= 0 numbers the sets within which boxes are compared (a group lies in one
    row), `rows` (M,) the row of each box. Boxes without area take no part. Time grows with the
    pairs that overlap in x, memory with the boxes.
    """
    out = np.zeros(n)
    if len(xyxy):
        order = np.lexsort((xyxy[:, 0], groups))
        _max_overlap(np.ascontiguousarray(xyxy[order]), groups[order], rows[order], out)
    return out


@compiled("void(float64[:,::1], int64[::1], int64[::1], float64[::1])")
def _max_overlap(boxes: Floats, groups: Ints, rows: Ints, out: Floats) -> None:
    for i in range(len(boxes)):
        area_i = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
        if not (boxes[i, 2] > boxes[i, 0] and boxes[i, 3] > boxes[i, 1]):
            continue
        for j in range(i + 1, len(boxes)):
            if groups[j] != groups[i] or boxes[j, 0] >= boxes[i, 2]:
                break
            if not (boxes[j, 2] > boxes[j, 0] and boxes[j, 3] > boxes[j, 1]):
                continue
            w = min(boxes[i, 2], boxes[j, 2]) - boxes[j, 0]
            h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            if h <= 0:
                continue
            area_j = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
            overlap = w * h / (area_i + area_j - w * h)
            if overlap > out[rows[i]]:
                out[rows[i]] = overlap
