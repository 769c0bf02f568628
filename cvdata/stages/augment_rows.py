"""Rows of `augmented` from what the sandbox made, and what it is told of the images."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from cvdata.schema_augmented import AUGMENTED

Point = list[Any]


class Known:
    """What `records` says of the images of a chunk, by id."""

    def __init__(self, images: pa.Table) -> None:
        self.images = images.combine_chunks()

    @cached_property
    def _at(self) -> dict[bytes, int]:
        return {one: i for i, one in enumerate(self.images["image_id"].to_pylist())}

    @cached_property
    def _said(self) -> list[dict[str, Any]]:
        return list(self.images.select(["label", "boxes", "extra"]).to_pylist())

    def rows(self, ids: Sequence[bytes]) -> pa.Table:
        """Their records, in this order."""
        return self.images.take(pa.array([self._at[one] for one in ids], pa.int64()))

    def label(self, one: bytes) -> str | None:
        """The image's class."""
        label: str | None = self._said[self._at[one]]["label"]
        return label

    def boxes(self, one: bytes) -> list[dict[str, Any]]:
        """Its boxes, none where nothing is known."""
        return self._said[self._at[one]]["boxes"] or []

    def has_boxes(self, one: bytes) -> bool:
        """Whether it was looked at for boxes, even where there are none."""
        return self._said[self._at[one]]["boxes"] is not None

    def keypoints(self, one: bytes) -> list[Point | None]:
        """COCO keypoints in the order of the boxes: flat x, y, visibility; none where not given."""
        text = self._said[self._at[one]]["extra"]
        coco = json.loads(text).get("coco") if text else None
        found = coco.get("keypoints") if isinstance(coco, dict) else None
        if not isinstance(found, list) or len(found) != len(self.boxes(one)):
            return []
        return [f if isinstance(f, list) and len(f) % 3 == 0 else None for f in found]

    def places(self, one: bytes) -> list[tuple[int, int]]:
        """(box, point) of each keypoint that is sent: those that were annotated."""
        return [
            (box, point)
            for box, flat in enumerate(self.keypoints(one))
            for point in range(len(flat or ()) // 3)
            if flat is not None and flat[3 * point + 2]
        ]

    def entry(self, one: bytes) -> dict[str, Any]:
        """What the sandbox is told."""
        flat = self.keypoints(one)
        points = [(flat[box] or [])[3 * point : 3 * point + 2] for box, point in self.places(one)]
        boxes = [box["xyxy"] for box in self.boxes(one)]
        return {"id": one.hex(), "boxes": boxes, "keypoints": points}


def failed_row(task: Mapping[str, Any], policy: str, code: str, detail: str) -> dict[str, Any]:
    """The row of a copy that could not be made."""
    return _keys(task, policy) | {"error": code, "error_detail": detail}


def _keys(task: Mapping[str, Any], policy: str) -> dict[str, Any]:
    nothing = dict.fromkeys(AUGMENTED.names)
    return {**nothing, **{k: v for k, v in task.items() if k in nothing}, "policy": policy}


def made_row(
    task: Mapping[str, Any], policy: str, made: Mapping[str, Any], known: Known
) -> dict[str, Any]:
    """The row of a copy; where its files lie is added to it."""
    images = [task["parent_id"], *task["partners"]]
    boxes = [
        {"label": known.boxes(images[number])[place]["label"], "xyxy": xyxy}
        for number, place, xyxy in made["boxes"]
    ]
    vanished = [
        {"image_id": images[number], **known.boxes(images[number])[place], "visible": visible}
        for number, place, visible in made["vanished"]
    ]
    mixed = [images[number] for number, _ in made["shares"]]
    is_known = any(known.has_boxes(one) for one in mixed)
    return _keys(task, policy) | {
        "params": made["params"],
        "width": made["width"],
        "height": made["height"],
        "label": known.label(images[0]),
        "labels": _labels(made["shares"], images, known),
        "boxes": boxes if is_known else None,
        "vanished": vanished if is_known else None,
        "extra": _extra(made, images, known),
    }


def _labels(
    shares: Sequence[tuple[int, float]], images: Sequence[bytes], known: Known
) -> list[dict[str, Any]] | None:
    """Weights by class, the heaviest first; None where no image has a class."""
    weights: dict[str | None, float] = {}
    for number, share in shares:
        label = known.label(images[number])
        weights[label] = weights.get(label, 0.0) + share
    if set(weights) == {None}:
        return None
    ordered = sorted(weights.items(), key=lambda item: (-item[1], item[0] or ""))
    return [{"label": label, "weight": weight} for label, weight in ordered]


def _extra(made: Mapping[str, Any], images: Sequence[bytes], known: Known) -> str | None:
    """COCO keypoints of the surviving boxes; those out of the image have visibility 0."""
    if not made["keypoints"]:
        return None
    moved: dict[tuple[int, int], Point] = {}
    for number, place, x, y, is_inside in made["keypoints"]:
        box, point = known.places(images[number])[place]
        flat = known.keypoints(images[number])[box] or []
        mine = moved.setdefault((number, box), [0] * len(flat))
        if is_inside:
            mine[3 * point : 3 * point + 3] = [x, y, flat[3 * point + 2]]
    kept = [moved.get((number, place)) for number, place, _ in made["boxes"]]
    counted = [None if k is None else sum(v > 0 for v in k[2::3]) for k in kept]
    coco = {"keypoints": kept, "num_keypoints": counted}
    return json.dumps({"coco": coco}, sort_keys=True, separators=(",", ":"))
