"""source -> export -> ingest gives the same records; other readers read what was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.jobs.exporting import export, facts, ingest, select
from tests.jobs.flows import make_photos

READ_BACK: dict[str, tuple[str, ...]] = {
    "coco": (),
    "yolo": (),
    "voc": (),
    "webdataset": (),
    "parquet": ("--source-options", "id=key", "--source-options", "boxes=boxes"),
    "huggingface": ("--source-options", "id=key", "--source-options", "boxes=boxes"),
}


@pytest.fixture(scope="module", params=["coco256", "bccd"])
def real(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, list[dict[str, Any]]]:
    """A workspace of real images with boxes, their folder's name, and its records."""
    where = tmp_path_factory.mktemp(request.param) / "w"
    return where, request.param, ingest(shared_data / request.param, where)


@pytest.mark.parametrize("kind", READ_BACK)
def test_boxes_come_back_to_the_pixel(
    kind: str, real: tuple[Path, str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """On real images: the same names, splits, labels and boxes."""
    where, name, records = real
    assert export(where, tmp_path / "out", kind) == 0
    form = "parquet" if kind == "huggingface" else kind
    rows = ingest(tmp_path / "out", tmp_path / "w", "--format", form, *READ_BACK[kind])
    before, after = facts(records), facts(rows)
    if kind == "yolo" and name == "bccd":  # two boxes without area, which YOLO does not have
        before = {k: (s, n, _with_area(boxes)) for k, (s, n, boxes) in before.items()}
        assert sum(len(v[2] or ()) for v in before.values()) == 4886
    assert after.keys() == before.keys()
    for key, (split, label, boxes) in before.items():
        found = after[key][2]
        assert after[key][:2] == (split, label)
        if kind in ("coco", "voc"):  # they do not tell "none" from "nothing is known"
            boxes = boxes or []
        assert (found is None) == (boxes is None)
        assert [box[0] for box in found or ()] == [box[0] for box in boxes or ()]
        again = np.array([box[1:] for box in found or ()], np.float32)
        pixels = np.array([box[1:] for box in boxes or ()], np.float32)
        if kind == "yolo":  # fractions, and clipped: some boxes end 0.0002 px outside
            np.testing.assert_allclose(again, pixels, rtol=0, atol=1e-3)
        else:
            assert np.array_equal(again, pixels)


def _with_area(boxes: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [box for box in boxes if box[3] > box[1] and box[4] > box[2]]


def test_pycocotools_reads_coco(
    real: tuple[Path, str, list[dict[str, Any]]], shared_data: Path, tmp_path: Path
) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    where, name, records = real
    assert export(where, tmp_path / "out", "coco") == 0
    source = {p.name: p.read_bytes() for p in (shared_data / name).rglob("*.jpg")}
    for split in ("train", "val"):
        truth = COCO(str(tmp_path / "out" / "annotations" / f"instances_{split}.json"))
        rows = [row for row in records if row["split"] == split]
        assert len(truth.imgs) == len(rows)
        assert len(truth.anns) == sum(len(row["boxes"] or ()) for row in rows)
        for image in truth.loadImgs(truth.getImgIds()):
            path = tmp_path / "out" / "images" / split / image["file_name"]
            assert path.read_bytes() == source[path.name], "untouched"
            with Image.open(path) as picture:
                assert picture.size == (image["width"], image["height"])
    said = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1}
        for a in truth.anns.values()
    ]
    run = COCOeval(truth, truth.loadRes(said), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert run.stats[0] > 0.99, "boxes without area match nothing"


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Two splits of three classes, one with a name that is no folder's."""
    for n, label in enumerate(("tabby cat", "dog", "a%b")):
        for m, split in enumerate(("train", "val")):
            start = 10 * (3 * m + n)
            make_photos(tmp_path / "photos" / split / label, range(start, start + 3))
    rows = ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    return tmp_path / "w", rows


def test_torchvision_reads_an_imagefolder(
    labelled: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    from torchvision.datasets import ImageFolder

    where, rows = labelled
    assert export(where, tmp_path / "out", "imagefolder") == 0
    read = ImageFolder(str(tmp_path / "out" / "train"))
    assert read.classes == ["a%25b", "dog", "tabby cat"]
    assert len(read) == 9
    assert read[0][0].size == (96, 72)
    again = facts(ingest(tmp_path / "out", tmp_path / "again", "--label-from-folder"))
    named = {"a%b": "a%25b"}
    assert again == {k: (s, named.get(n, n), b) for k, (s, n, b) in facts(rows).items()}


def test_webdataset_reads_its_shards(
    labelled: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    import webdataset

    where, rows = labelled
    words = ("--shard-rows", "4", "--shuffle", "7")
    assert export(where, tmp_path / "out", "webdataset", *words) == 0
    shards = sorted(str(p) for p in (tmp_path / "out").glob("*.tar"))
    assert [Path(s).name for s in shards] == [
        f"{split}-{n:06d}.tar" for split in ("train", "val") for n in range(3)
    ]
    read = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
    samples = list(read)
    classes = ["a%b", "dog", "tabby cat"]
    assert {s["__key__"]: classes[s["cls"]] for s in samples} == {
        name: label for name, (_, label, _) in facts(rows).items()
    }
    assert all(s["jpg"].size == (96, 72) and s["json"]["label_id"] == s["cls"] for s in samples)
    assert [s["__key__"] for s in samples] != sorted(s["__key__"] for s in samples), "shuffled"
    again = facts(ingest(tmp_path / "out", tmp_path / "again", "--format", "webdataset"))
    assert again == facts(rows), "the name of the class comes back, not its number"


def test_datasets_reads_its_folder(
    real: tuple[Path, str, list[dict[str, Any]]],
    labelled: tuple[Path, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    where, _, records = real
    assert export(where, tmp_path / "boxes", "huggingface") == 0
    read = datasets.load_dataset(str(tmp_path / "boxes"), cache_dir=str(tmp_path / "cache"))
    val = read["val"]
    names = val.features["objects"]["category"].feature.names
    truth = {row["key"].decode().rpartition("/")[2]: row for row in records}
    assert len(val) == sum(row["split"] == "val" for row in records)
    row = val[0]
    boxes = truth[row["key"].rpartition("/")[2]]["boxes"]
    assert [names[c] for c in row["objects"]["category"]] == [box["label"] for box in boxes]
    x, y, w, h = np.array(row["objects"]["bbox"], np.float32).T
    corners = np.stack([x, y, x + w, y + h], axis=1)
    np.testing.assert_allclose(corners, [box["xyxy"] for box in boxes], atol=1e-3)
    assert row["image"].size[0] > 0
    select(labelled[0], {"train/dog/00010.jpg": ["user"]}, {"val/dog/00040.jpg": 2.5})
    assert export(labelled[0], tmp_path / "labels", "huggingface") == 0
    read = datasets.load_dataset(str(tmp_path / "labels"), cache_dir=str(tmp_path / "cache2"))
    assert read["train"].features["label"].names == ["a%b", "dog", "tabby cat"]
    assert (len(read["train"]), len(read["val"])) == (8, 9)
    assert sorted(read["val"]["weight"])[-2:] == [1.0, 2.5]
