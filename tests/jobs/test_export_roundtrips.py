"""source -> export -> ingest gives the same records; other readers read what was written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.jobs.exporting import export, facts, ingest, tree
from tests.jobs.flows import make_photos

ROUND_TRIPS: dict[str, tuple[str, ...]] = {
    "coco": (),
    "yolo": (),
    "voc": (),
    "webdataset": (),
    "parquet": ("--source-options", "id=key", "--source-options", "boxes=boxes"),
    "huggingface": ("--source-options", "id=key", "--source-options", "boxes=boxes"),
}


@pytest.mark.parametrize("kind", ROUND_TRIPS)
@pytest.mark.parametrize("name", ["coco256", "bccd"])
def test_boxes_come_back_to_the_pixel(
    kind: str, name: str, shared_data: Path, tmp_path: Path
) -> None:
    """On real images: the same names, splits, labels and boxes, and the very same bytes."""
    before = facts(ingest(shared_data / name, tmp_path / "w"))
    assert export(tmp_path / "w", tmp_path / "out", kind) == 0
    rows = ingest(
        tmp_path / "out", tmp_path / "again", "--format", _format(kind), *ROUND_TRIPS[kind]
    )
    after = facts(rows)
    if kind == "yolo" and name == "bccd":  # two boxes without area, which YOLO does not have
        before = {k: (s, n, _with_area(boxes)) for k, (s, n, boxes) in before.items()}
        assert sum(len(v[2] or ()) for v in before.values()) == 4886
    assert after.keys() == before.keys()
    for key, (split, label, boxes) in before.items():
        found = after[key]
        assert found[:2] == (split, label)
        if kind in ("coco", "voc"):  # they do not tell "none" from "nothing is known"
            boxes = boxes or []
        assert (found[2] is None) == (boxes is None)
        boxes, found = boxes or [], (*found[:2], found[2] or [])
        assert [box[0] for box in found[2]] == [box[0] for box in boxes]
        pixels = np.array([box[1:] for box in boxes], np.float32)
        again = np.array([box[1:] for box in found[2]], np.float32)
        if kind == "yolo":  # fractions, and clipped: some boxes end 0.0002 px outside
            np.testing.assert_allclose(again, pixels, rtol=0, atol=1e-3)
        else:
            assert np.array_equal(again, pixels)


def _format(kind: str) -> str:
    return "parquet" if kind == "huggingface" else kind


def _with_area(boxes: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [box for box in boxes if box[3] > box[1] and box[4] > box[2]]


def test_bytes_are_untouched(shared_data: Path, tmp_path: Path) -> None:
    ingest(shared_data / "coco256", tmp_path / "w")
    source = {p.name: p.read_bytes() for p in (shared_data / "coco256").rglob("*.jpg")}
    assert export(tmp_path / "w", tmp_path / "out", "coco") == 0
    written = {p.name: p.read_bytes() for p in (tmp_path / "out").rglob("*.jpg")}
    assert written == source


def test_pycocotools_reads_the_export(shared_data: Path, tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows = ingest(shared_data / "coco256", tmp_path / "w")
    assert export(tmp_path / "w", tmp_path / "out", "coco") == 0
    truth = COCO(str(tmp_path / "out" / "annotations" / "instances_val.json"))
    val = [row for row in rows if row["split"] == "val"]
    assert len(truth.imgs) == len(val) == 128
    assert len(truth.anns) == sum(len(row["boxes"] or ()) for row in val)
    for image in truth.loadImgs(truth.getImgIds()):
        with Image.open(tmp_path / "out" / "images" / "val" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
    said = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1}
        for a in truth.anns.values()
    ]
    run = COCOeval(truth, truth.loadRes(said), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert run.stats[0] == pytest.approx(1.0)


def test_torchvision_reads_an_imagefolder(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    for label in ("tabby cat", "dog", "a%b"):
        for split in ("train", "val"):
            make_photos(tmp_path / "photos" / split / label, range(3))
    ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    assert export(tmp_path / "w", tmp_path / "out", "imagefolder") == 0
    read = ImageFolder(str(tmp_path / "out" / "train"))
    assert read.classes == ["a%25b", "dog", "tabby cat"]
    assert len(read) == 9
    image, number = read[0]
    assert image.size == (96, 72)
    assert number == 0
