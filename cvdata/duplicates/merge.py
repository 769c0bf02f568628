"""The `merge` action: labels and boxes of the dropped copies are united onto the keeper."""

from collections import Counter
from typing import Any

import pyarrow as pa

from cvdata.errors import ConfigError

Boxes = list[dict[str, Any]]
SAME_GEOMETRY = ("exact_sha256", "exact_pixels", "perceptual")
"""Methods whose copies show the whole picture upright, so that boxes carry over by scale."""


def merged_records(
    records: pa.Table, duplicates: pa.Table, sizes: pa.Table, min_iou: float = 0.5
) -> pa.Table:
    """RECORDS of the keepers, with what their copies knew; other rows as they are.

    `duplicates` of one method; `sizes`: image_id, width, height. A keeper's own label stands;
    without one it takes the label that most of its copies bear, if there is a single such. Boxes
    are scaled to the keeper's size and added unless one of the same label overlaps by `min_iou`.
    Boxes of mirrored, turned or merely similar images cannot be carried over: `ConfigError`.
    """
    methods = set(duplicates.column("method").to_pylist())
    if not methods <= set(SAME_GEOMETRY):
        raise ConfigError(
            f"boxes cannot be merged for {', '.join(sorted(methods - set(SAME_GEOMETRY)))}: "
            f"use one of {', '.join(SAME_GEOMETRY)}"
        )
    rows = duplicates.select(["image_id", "group_id", "is_keeper"]).to_pylist()
    keeper_of = {row["group_id"]: row["image_id"] for row in rows if row["is_keeper"]}
    copies: dict[bytes, list[bytes]] = {}
    for row in rows:
        if not row["is_keeper"]:
            copies.setdefault(keeper_of[row["group_id"]], []).append(row["image_id"])
    columns = (sizes.column(name).to_pylist() for name in ("image_id", "width", "height"))
    size_of = {image_id: (w, h) for image_id, w, h in zip(*columns, strict=True)}
    ids = records.column("image_id").to_pylist()
    labels = records.column("label").to_pylist()
    boxes = records.column("boxes").to_pylist()
    row_of = {image_id: i for i, image_id in enumerate(ids)}
    for keeper, members in copies.items():
        i = row_of[keeper]
        others = [row_of[member] for member in sorted(members)]
        labels[i] = labels[i] or _commonest([labels[j] for j in others])
        for j in others:
            scaled = _scaled(boxes[j] or [], size_of[ids[j]], size_of[keeper])
            boxes[i] = _united(boxes[i] or [], scaled, min_iou) if scaled else boxes[i]
    for name, values in (("label", labels), ("boxes", boxes)):
        at = records.schema.get_field_index(name)
        field = records.schema.field(at)
        records = records.set_column(at, field, pa.array(values, field.type))
    return records


def _commonest(labels: list[str | None]) -> str | None:
    counts = Counter(label for label in labels if label).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def _scaled(boxes: Boxes, size: tuple[int, int], target: tuple[int, int]) -> Boxes:
    factors = (target[0] / size[0], target[1] / size[1]) * 2
    scaled = ([v * f for v, f in zip(box["xyxy"], factors, strict=True)] for box in boxes)
    return [{"label": box["label"], "xyxy": xyxy} for box, xyxy in zip(boxes, scaled, strict=True)]


def _united(own: Boxes, more: Boxes, min_iou: float) -> Boxes:
    """The keeper's boxes first, then those that it did not have."""
    out = list(own)
    for box in more:
        same = (have for have in out if have["label"] == box["label"])
        if all(_iou(box["xyxy"], have["xyxy"]) < min_iou for have in same):
            out.append(box)
    return out


def _iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    union = areas - width * height
    return width * height / union if union > 0 else 1.0
