"""Boxes that say the same thing: intersection over union, and greedy suppression by it."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def box_iou(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> Doubles:
    """Intersection over union (n, m) of xyxy boxes (n, 4) and (m, 4); 0 where both are empty."""
    left = np.asarray(a, np.float64)[:, None]
    right = np.asarray(b, np.float64)[None]
    corner = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    inter = np.prod(np.maximum(corner, 0), axis=-1)
    union = _area(left) + _area(right) - inter
    iou: Doubles = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return iou


def nms(
    xyxy: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    classes: npt.NDArray[np.integer],
    iou: float,
) -> Indices:
    """Indices kept, best first: no two of one class overlap by more than `iou`.

    Greedy by score, as torchvision's `batched_nms`; ties by the smaller index.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    is_alive = np.ones(len(order), np.bool_)
    for place, index in enumerate(order):
        if not is_alive[place]:
            continue
        kept.append(int(index))
        rest = order[place + 1 :]
        same = is_alive[place + 1 :] & (classes[rest] == classes[index])
        rivals = np.flatnonzero(same)
        overlap = box_iou(xyxy[index][None], xyxy[rest[rivals]])[0]
        is_alive[place + 1 + rivals[overlap > iou]] = False
    return np.array(kept, np.int64)


def _area(boxes: Doubles) -> Doubles:
    sides: Doubles = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]
