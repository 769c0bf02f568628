"""Boxes, masks and keypoints against the truth, by COCO's rules (pycocotools)."""

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError

STATS = (
    "map", "map_50", "map_75", "map_small", "map_medium", "map_large",
    "mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large",
)  # fmt: skip
"""COCO's twelve numbers, in its order. -1 where there is nothing of that size."""

KEYPOINT_STATS = (
    "map", "map_50", "map_75", "map_medium", "map_large",
    "mar", "mar_50", "mar_75", "mar_medium", "mar_large",
)  # fmt: skip


_COCO_KEYPOINTS = 17


@dataclass(frozen=True)
class Objects:
    """The objects of one image: truth, or findings with `scores`.

    `label_ids` (k,), `xyxy` (k, 4) in pixels; `masks` COCO run-length encodings; `keypoints`
    (k, n, 3): x, y and visibility (0, 1, 2) in the truth, x, y, score in findings. Crowds are
    the truth's regions that findings may fall into unpunished.
    """

    label_ids: npt.NDArray[np.integer[Any]]
    xyxy: npt.NDArray[np.floating[Any]]
    scores: npt.NDArray[np.floating[Any]] | None = None
    masks: Sequence[Mapping[str, Any]] | None = None
    keypoints: npt.NDArray[np.floating[Any]] | None = None
    is_crowd: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class CocoScores:
    """COCO's numbers by name, and the mean precision (IoU 0.50:0.95, all sizes) by class id."""

    stats: dict[str, float]
    by_class: dict[int, float] = field(default_factory=dict)


def coco_scores(
    truth: Sequence[Objects], found: Sequence[Objects], kind: str = "bbox"
) -> CocoScores:
    """Mean average precision and recall of image after image; `kind` bbox, segm or keypoints.

    Lists are parallel: one entry an image. The numbers are pycocotools' own.
    """
    if kind not in ("bbox", "segm", "keypoints"):
        raise ConfigError(f"kind is bbox, segm or keypoints, not {kind!r}")
    if len(truth) != len(found):
        raise ConfigError(f"{len(truth)} images of truth, {len(found)} of findings")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # It prints its progress, and uses NumPy in ways that are about to be forbidden.
        warnings.simplefilter("ignore", DeprecationWarning)
        evaluation = _evaluate(truth, found, kind)
    names = KEYPOINT_STATS if kind == "keypoints" else STATS
    stats = dict(zip(names, map(float, evaluation.stats), strict=True))
    precision = evaluation.eval["precision"]
    by_class = {}
    for place, label in enumerate(evaluation.params.catIds):
        values = precision[:, :, place, 0, -1]
        known = values[values > -1]
        if known.size:
            by_class[int(label)] = float(known.mean())
    return CocoScores(stats, by_class)


def _evaluate(truth: Sequence[Objects], found: Sequence[Objects], kind: str) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = [a for i, o in enumerate(truth) for a in _annotations(i + 1, o, kind)]
    for number, annotation in enumerate(annotations, start=1):
        # Ids from 1: COCOeval takes a match with 0 for no match.
        annotation["id"] = number
    findings = [a for i, o in enumerate(found) for a in _annotations(i + 1, o, kind)]
    labels = sorted({a["category_id"] for a in annotations + findings})
    dataset = COCO()
    dataset.dataset = {
        "info": {},
        "images": [_image(i + 1, pair) for i, pair in enumerate(zip(truth, found, strict=True))],
        "annotations": annotations,
        "categories": [{"id": label} for label in labels],
    }
    dataset.createIndex()
    results = COCO()
    results.dataset = {**dataset.dataset, "annotations": findings}
    for number, annotation in enumerate(findings, start=1):
        annotation["id"] = number
    results.createIndex()
    evaluation = COCOeval(dataset, results, kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _image(number: int, objects: tuple[Objects, Objects]) -> dict[str, int]:
    """The image's entry: its size, where masks tell it."""
    for masks in (o.masks for o in objects):
        if masks:
            height, width = masks[0]["size"]
            return {"id": number, "height": height, "width": width}
    return {"id": number, "height": 0, "width": 0}


def _annotations(image: int, objects: Objects, kind: str) -> list[dict[str, Any]]:
    rows = []
    for i, (label, box) in enumerate(zip(objects.label_ids, objects.xyxy, strict=True)):
        x0, y0, x1, y1 = (float(v) for v in box)
        row: dict[str, Any] = {
            "image_id": image,
            "category_id": int(label),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": int(objects.is_crowd[i]) if objects.is_crowd is not None else 0,
        }
        if objects.scores is not None:
            row["score"] = float(objects.scores[i])
        if kind == "segm":
            row |= _mask(objects, i)
        if kind == "keypoints":
            row |= _keypoints(objects, i)
        rows.append(row)
    return rows


def _mask(objects: Objects, i: int) -> dict[str, Any]:
    from pycocotools import mask as coco

    if objects.masks is None:
        raise ConfigError("kind segm needs masks")
    encoded = dict(objects.masks[i])
    if isinstance(encoded["counts"], str):
        encoded["counts"] = encoded["counts"].encode("ascii")
    return {"segmentation": encoded, "area": float(coco.area(encoded))}


def _keypoints(objects: Objects, i: int) -> dict[str, Any]:
    if objects.keypoints is None:
        raise ConfigError("kind keypoints needs keypoints")
    points = np.asarray(objects.keypoints[i], np.float64)
    if len(points) != _COCO_KEYPOINTS:
        raise ConfigError(f"COCO's rules are for 17 keypoints a person, not {len(points)}")
    n_visible = int(np.count_nonzero(points[:, 2] > 0))
    return {"keypoints": points.ravel().tolist(), "num_keypoints": n_visible}
