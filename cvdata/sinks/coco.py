"""COCO: images/<split>/ and annotations/instances_<split>.json."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sinks.base import Box, ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.behind import BehindFile
from cvdata.sinks.geometry import corners_to_size, number
from cvdata.sinks.output import Output
from cvdata.sinks.text import compact

_KEPT = ("area", "iscrowd", "segmentation", "keypoints", "num_keypoints")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Coco:
    """One JSON file a split. Segmentations, keypoints, areas and crowds of `extra` come along.

    Where every image of a split has an id of its own from a COCO source, it keeps it; otherwise
    images are numbered from 1. Categories count from 1 in the order of the class list.
    """

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        boxes=True, needs_boxes=True, needs_class=True, needs_size=True, apart=("split",)
    )

    def check(self, facts: Facts) -> None:
        """Nothing more is asked."""

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """The images; of each a line with its entry and its annotations, without their ids."""
        for image in images:
            name = image.name
            out.put(f"images/{facts.below(at.split, name)}", image.data)
            entry = {"file_name": name, "height": image.height, "width": image.width}
            boxes = image.boxes or ()
            known = _known(image, len(boxes))
            annotations = [
                compact(_annotation(box, {k: v[i] for k, v in known.items()}, facts))
                for i, box in enumerate(boxes)
            ]
            yield json.dumps([_coco_id(image), compact(entry), annotations])

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """One annotation file a split, a line at a time."""
        for split, folder in facts.split_folders.items():
            name = f"instances_{folder}" if folder else "instances"
            with out.stream(f"annotations/{name}.json") as file:
                _write_split(file, facts, lambda split=split: lines(split))
        some = next(iter(facts.split_folders.values()), "")
        where = f"instances_{some}" if some else "instances"
        return [
            f'pycocotools.coco.COCO("TARGET/annotations/{where}.json")',
            f'torchvision.datasets.CocoDetection("TARGET/images/{some}", "…/{where}.json")',
            "cvdata ingest TARGET --workspace W --format coco",
        ]


def _write_split(file: BehindFile, facts: Facts, lines: Any) -> None:
    ids = _image_ids(lines())
    file.write(b'{"images":[')
    before = b"\n"
    for (_, entry, _), image_id in zip(map(json.loads, lines()), ids, strict=True):
        file.write(before + b'{"id":%d,' % image_id + entry[1:].encode())
        before = b",\n"
    file.write(b'\n],"annotations":[')
    before, n = b"\n", 0
    for (_, _, annotations), image_id in zip(map(json.loads, lines()), ids, strict=True):
        for text in annotations:
            n += 1
            file.write(before + b'{"id":%d,"image_id":%d,' % (n, image_id) + text[1:].encode())
            before = b",\n"
    file.write(b'\n],"categories":[')
    before = b"\n"
    for n, label in enumerate(facts.objects, 1):
        file.write(before + compact({"id": n, "name": label, "supercategory": ""}).encode())
        before = b",\n"
    file.write(b"\n]}\n")


def _image_ids(lines: Iterator[str]) -> list[int]:
    """Those of the source where all images have one and no two the same; else 1, 2, …"""
    found = [json.loads(line)[0] for line in lines]
    if None not in found and len(set(found)) == len(found):
        return found
    return list(range(1, len(found) + 1))


def _coco_id(image: Outgoing) -> int | None:
    coco = image.extra.get("coco")
    value = coco.get("image_id") if isinstance(coco, dict) else None
    is_id = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_id else None


def _known(image: Outgoing, n: int) -> dict[str, list[Any]]:
    """What `extra` says of each box."""
    coco = image.extra.get("coco")
    if not isinstance(coco, dict):
        return {}
    return {k: v for k in _KEPT if isinstance(v := coco.get(k), list) and len(v) == n}


def _annotation(box: Box, known: dict[str, Any], facts: Facts) -> dict[str, Any]:
    x, y, w, h = corners_to_size(box["xyxy"])
    if box["label"] not in facts.object_numbers:
        raise ConfigError(f"a box of the class {box['label']!r}, which is not in the class list")
    return {
        "area": number(round(w * h, 6)),
        "iscrowd": 0,
        **{name: value for name, value in known.items() if value is not None},
        "bbox": [number(v) for v in (x, y, w, h)],
        "category_id": facts.object_numbers[box["label"]] + 1,
    }
