"""boxes/coins.json: where the coins are, as COCO annotations, with a few planted flaws."""

import json
from dataclasses import dataclass

from cvdata.sample.tree import Entry

BOXES_NAME = "boxes/coins.json"
"""In a folder of its own: beside the images it would make the sample a COCO dataset."""

COINS = (
    (305, 16, 365, 72), (132, 28, 179, 74), (192, 30, 240, 73), (255, 34, 297, 72),
    (22, 35, 67, 74), (81, 39, 120, 74), (245, 95, 296, 144), (25, 104, 67, 145),
    (186, 105, 226, 144), (317, 106, 356, 145), (84, 108, 122, 145), (134, 110, 173, 145),
    (315, 156, 380, 218), (189, 170, 237, 217), (251, 172, 297, 217), (80, 175, 124, 217),
    (26, 179, 63, 217), (135, 179, 174, 217), (18, 233, 75, 288), (144, 236, 201, 288),
    (276, 239, 326, 289), (220, 240, 269, 288), (93, 245, 136, 287), (336, 248, 382, 289),
)  # fmt: skip
"""The 24 coins of the photograph, x0 y0 x1 y1: found by watershed, checked by eye."""

MIN_VISIBLE = 0.25
"""A coin of which a tile shows less has no box there."""

FLAWS = ("tiny_object", "box_outside", "box_empty", "box_duplicate")

Xywh = tuple[float, float, float, float]


@dataclass(frozen=True)
class Boxes:
    """The document, and the flawed images by flaw."""

    document: str
    errors: dict[str, tuple[str, ...]]


def annotate(entries: list[Entry]) -> Boxes:
    """COCO boxes (x, y, width, height in pixels of the image) of unaltered tiles of the coins.

    The first four images that show a coin get one flaw each.
    """
    images, annotations = [], []
    errors: dict[str, tuple[str, ...]] = {}
    for image_id, entry in enumerate(sorted(entries, key=lambda e: e.raw_path), start=1):
        height, width = entry.decoded().shape[:2]
        images.append({"id": image_id, "file_name": entry.path, "width": width, "height": height})
        boxes = _visible(entry, width, height)
        if boxes and len(errors) < len(FLAWS):
            flaw = FLAWS[len(errors)]
            boxes = _spoil(flaw, boxes, width)
            errors[flaw] = (entry.path,)
        annotations += [(image_id, box) for box in boxes]
    document = {
        "info": {"description": "Coins of the cvdata sample; four boxes are wrong on purpose."},
        "images": images,
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": 1,
                "bbox": list(box),
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
            }
            for number, (image_id, box) in enumerate(annotations, start=1)
        ],
        "categories": [{"id": 1, "name": "coin"}],
    }
    return Boxes(json.dumps(document, indent=1, sort_keys=True) + "\n", errors)


def _visible(entry: Entry, width: int, height: int) -> list[Xywh]:
    assert entry.box is not None  # noqa: S101 - a tile has one
    left, top, right, bottom = entry.box
    across, down = width / (right - left), height / (bottom - top)
    boxes = []
    for x0, y0, x1, y1 in COINS:
        cut = (max(x0, left), max(y0, top), min(x1, right), min(y1, bottom))
        w, h = cut[2] - cut[0], cut[3] - cut[1]
        if w > 0 and h > 0 and w * h >= MIN_VISIBLE * (x1 - x0) * (y1 - y0):
            x, y = (cut[0] - left) * across, (cut[1] - top) * down
            boxes.append((round(x, 2), round(y, 2), round(w * across, 2), round(h * down, 2)))
    return boxes


def _spoil(flaw: str, boxes: list[Xywh], width: int) -> list[Xywh]:
    x, y, w, h = boxes[0]
    spoilt: dict[str, Xywh] = {
        "tiny_object": (x, y, 3.0, 4.0),
        "box_outside": (width - w / 2, y, w, h),
        "box_empty": (x, y, 0.0, h),
        "box_duplicate": (x + 0.5, y, w, h),
    }
    return [*boxes, spoilt[flaw]]
