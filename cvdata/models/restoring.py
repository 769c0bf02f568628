"""Predictions back to the pixels of the original image: undo the resize, crop and padding."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.models.base import Floats, Geometry, Prediction

Mask = npt.NDArray[np.bool_]


def restore(prediction: Prediction, geometry: Geometry) -> Prediction:
    """The prediction in original pixels.

    Boxes are clipped to the image; what lies wholly in the padding is dropped. Masks become COCO
    run-length encodings of the original size.
    """
    if prediction.xyxy is not None:
        xyxy = restore_boxes(prediction.xyxy, geometry)
        is_kept = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        if not is_kept.all():
            prediction, xyxy = _take(prediction, is_kept), xyxy[is_kept]
        prediction = replace(prediction, xyxy=xyxy)
    if prediction.keypoints is not None:
        points = prediction.keypoints.copy()
        points[..., 0] = (points[..., 0] - geometry.left) / geometry.scale_x
        points[..., 1] = (points[..., 1] - geometry.top) / geometry.scale_y
        prediction = replace(prediction, keypoints=points)
    if isinstance(prediction.masks, np.ndarray):
        masks = [encode_mask(restore_mask(mask, geometry)) for mask in prediction.masks]
        prediction = replace(prediction, masks=masks)
    return prediction


def restore_boxes(xyxy: Floats, geometry: Geometry) -> Floats:
    """Boxes (k, 4) of prepared pixels in original pixels, clipped to the image."""
    offset = np.array([geometry.left, geometry.top] * 2)
    scale = np.array([geometry.scale_x, geometry.scale_y] * 2)
    limits = np.array([geometry.width, geometry.height] * 2)
    boxes = np.clip((xyxy.astype(np.float64) - offset) / scale, 0, limits)
    restored: Floats = boxes.astype(np.float32)
    return restored


def restore_mask(mask: Mask, geometry: Geometry) -> Mask:
    """A mask (H, W) of prepared pixels at the original size: nearest; False where cropped away."""
    rows = _sources(geometry.height, geometry.scale_y, geometry.top)
    columns = _sources(geometry.width, geometry.scale_x, geometry.left)
    in_rows = (rows >= 0) & (rows < mask.shape[0])
    in_columns = (columns >= 0) & (columns < mask.shape[1])
    whole = np.zeros((geometry.height, geometry.width), np.bool_)
    whole[np.ix_(in_rows, in_columns)] = mask[np.ix_(rows[in_rows], columns[in_columns])]
    return whole


def encode_mask(mask: Mask) -> Mapping[str, Any]:
    """COCO's run-length encoding: {"size": [height, width], "counts": ASCII string}."""
    from pycocotools import mask as coco

    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def decode_mask(encoded: Mapping[str, Any]) -> Mask:
    """The mask (H, W) of a run-length encoding."""
    from pycocotools import mask as coco

    raw = {"size": list(encoded["size"]), "counts": encoded["counts"].encode("ascii")}
    with warnings.catch_warnings():
        # pycocotools sets an array's shape in place, which NumPy is about to forbid.
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(coco.decode(raw)).astype(np.bool_)


def _sources(n: int, scale: float, offset: float) -> npt.NDArray[np.int64]:
    """Prepared index under the centre of each of n original pixels."""
    indices: npt.NDArray[np.int64] = np.floor((np.arange(n) + 0.5) * scale + offset).astype(int)
    return indices


def _take(prediction: Prediction, is_kept: Mask) -> Prediction:
    indices = np.flatnonzero(is_kept)

    def pick(values: Any) -> Any:
        if values is None or isinstance(values, np.ndarray):
            return None if values is None else values[indices]
        return [values[i] for i in indices]

    return replace(
        prediction,
        label_ids=pick(prediction.label_ids),
        scores=pick(prediction.scores),
        xyxy=pick(prediction.xyxy),
        keypoints=pick(prediction.keypoints),
        masks=pick(prediction.masks),
        texts=pick(prediction.texts),
    )
