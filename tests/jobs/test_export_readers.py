"""export: masks come back byte for byte, and readers of folders find what was written."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvdata.sinks import SINKS
from cvdata.sources.uris import decode_path
from tests.jobs.exporting import export, ingest, told
from tests.jobs.flows import make_photos

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def masked(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, tuple[bytes, bytes]]]:
    """A workspace of 100 photos with masks; bytes of image and mask by the file's stem."""
    where = tmp_path_factory.mktemp("masked") / "w"
    photos = shared_data / "person_masks"
    words = ("--source-options", "images=images", "--source-options", "masks=masks")
    rows = ingest(photos, where, *words)
    return where, _bytes(rows)


def _bytes(rows: Rows) -> dict[str, tuple[bytes, bytes]]:
    """Of each image with a mask: the bytes of both, by the image's stem."""
    found = {}
    for row in rows:
        assert row["mask_uri"] is not None
        stem = Path(row["key"].decode()).stem
        found[stem] = _read(row["uri"]), _read(row["mask_uri"])
    assert len(found) == len(rows) > 90
    return found


def _read(uri: str) -> bytes:
    return Path(os.fsdecode(decode_path(uri))).read_bytes()


def test_masks_come_back_from_lists_and_image_folders(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """source -> export -> ingest: image and mask are the very bytes."""
    where, before = masked
    assert export(where, tmp_path / "list", "list") == 0
    options = f"mask=mask,id=id,roots={Path(_root(before, where))}"
    rows = ingest(tmp_path / "list/images.jsonl", tmp_path / "1", "--source-options", options)
    assert _bytes(rows) == before
    hf = tmp_path / "hf"
    assert export(where, hf, "huggingface", "--sink-options", "layout=imagefolder") == 0
    words = ("--source-options", "images=images", "--source-options", "masks=masks")
    rows = ingest(hf / "data/train", tmp_path / "2", "--format", "folder", *words)
    assert _bytes(rows) == before


def test_masks_come_back_from_voc(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """With a box each, without which it is no VOC dataset."""
    where, before = masked
    root = _root(before, where)
    lines = [
        json.dumps(
            {
                "uri": f"{root}/images/{stem}.jpg",
                "mask": f"{root}/masks/{stem}.png",
                "boxes": [{"label": "person", "xyxy": [1, 2, 30, 40]}],
            }
        )
        for stem in before
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    options = f"mask=mask,boxes=boxes,roots={root}"
    ingest(tmp_path / "list.jsonl", tmp_path / "1", "--source-options", options)
    assert export(tmp_path / "1", tmp_path / "voc", "voc") == 0
    rows = ingest(tmp_path / "voc", tmp_path / "2", "--format", "voc")
    assert _bytes(rows) == before
    assert all(row["boxes"] == [{"label": "person", "xyxy": [1, 2, 30, 40]}] for row in rows)


def _root(before: dict[str, tuple[bytes, bytes]], where: Path) -> str:
    from cvdata import Workspace

    uri = Workspace(str(where)).read("records", ["uri"])["uri"][0].as_py()
    return str(Path(os.fsdecode(decode_path(uri))).parent.parent)


def test_masks_stand_in_shards_and_tables_byte_for_byte(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """webdataset's own reader, Arrow and `datasets` find the masks beside their images."""
    webdataset = pytest.importorskip("webdataset")
    import pyarrow.parquet as pq

    where, before = masked
    assert export(where, tmp_path / "wds", "webdataset", "--shard-rows", "40") == 0
    shards = sorted(str(p) for p in (tmp_path / "wds").glob("*.tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    found = {s["__key__"]: (s["jpg"], s["mask.png"]) for s in samples}
    assert found == before
    again = ingest(tmp_path / "wds", tmp_path / "w", "--format", "webdataset")
    assert len(again) == len(before), "a mask is no image of its own"
    assert export(where, tmp_path / "table", "parquet") == 0
    rows = pq.read_table(tmp_path / "table" / "data-000000.parquet").to_pylist()
    assert {Path(r["file_name"]).stem: (r["bytes"], r["mask_bytes"]) for r in rows} == before
    assert export(where, tmp_path / "hf", "huggingface") == 0
    (part,) = (tmp_path / "hf" / "data").iterdir()
    rows = pq.read_table(part).to_pylist()
    found = {Path(r["image"]["path"]).stem: (r["image"]["bytes"], r["mask"]["bytes"]) for r in rows}
    assert found == before


def test_formats_without_a_place_for_masks_say_so(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    where, before = masked
    without = {name for name, kind in SINKS.items() if not kind.places.masks}
    assert without == {"imagefolder", "coco", "yolo", "fiftyone"}
    assert export(where, tmp_path / "out", "imagefolder", "--unlabeled", "person") == 0
    assert told(tmp_path / "out")["left_out"]["masks"] == len(before)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{len(before)} masks" in card


@pytest.fixture
def flowers(tmp_path: Path) -> tuple[Path, Rows]:
    """Two classes in two splits; one photo has no label."""
    for n, (split, label) in enumerate(
        [("train", "rose"), ("train", "tulip"), ("val", "rose"), ("val", "tulip")]
    ):
        make_photos(tmp_path / "photos" / split / label, range(10 * n, 10 * n + 3))
    rows = ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    return tmp_path / "w", rows


def test_datasets_reads_an_image_folder_with_metadata(
    flowers: tuple[Path, Rows], shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    layout = ("--sink-options", "layout=imagefolder")
    where, rows = flowers
    to = tmp_path / "out"
    assert export(where, to, "huggingface", *layout) == 0
    read = datasets.load_dataset(str(to), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in read.items()} == {"train": 6, "val": 6}
    features = read["train"].features
    assert features["label"].names == ["rose", "tulip"]
    truth = {row["key"].decode(): row["label"] for row in rows}
    for row in read["val"]:
        assert features["label"].int2str(row["label"]) == truth[row["key"]]
        assert row["image"].size == (96, 72)
    by_name = datasets.load_dataset(
        "imagefolder", data_dir=str(to / "data"), cache_dir=str(tmp_path / "cache2")
    )
    assert sum(map(len, by_name.values())) == 12
    boxed = ingest(shared_data / "bccd", tmp_path / "cells")
    assert export(tmp_path / "cells", tmp_path / "boxes", "huggingface", *layout) == 0
    read = datasets.load_dataset(str(tmp_path / "boxes"), cache_dir=str(tmp_path / "cache3"))
    known = {row["key"].decode(): row["boxes"] for row in boxed}
    names = read["train"].features["objects"]["category"].feature.names
    row = read["train"][0]
    assert [names[c] for c in row["objects"]["category"]] == [b["label"] for b in known[row["key"]]]
    assert [b["xyxy"] for b in row["boxes"]] == [b["xyxy"] for b in known[row["key"]]]


def fiftyone_folder(folder: Path) -> dict[str, tuple[Path, Any]]:
    """A folder as FiftyOne's documentation lays it out: (image, label or detections) by uuid.

    `labels.json` holds `classes` and, by the image's path below `data/` without its extension, a
    target: null, the number of a class, or a list of {label, bounding_box} with the box as
    [x, y, width, height] in fractions of the image. Anything else raises.
    """
    document = json.loads((folder / "labels.json").read_bytes())
    assert set(document) == {"classes", "labels"}
    classes = document["classes"]
    assert all(isinstance(name, str) for name in classes)
    files = {}
    for path in (folder / "data").rglob("*"):
        uuid = path.relative_to(folder / "data").with_suffix("").as_posix()
        assert uuid not in files, "FiftyOne goes by the name without extension"
        files[uuid] = path
    assert set(files) == set(document["labels"])
    found: dict[str, tuple[Path, Any]] = {}
    for uuid, target in document["labels"].items():
        if isinstance(target, list):
            found[uuid] = files[uuid], [_detection(one, classes) for one in target]
        else:
            assert target is None or type(target) is int
            found[uuid] = files[uuid], None if target is None else classes[target]
    return found


def _detection(value: dict[str, Any], classes: list[str]) -> tuple[str, list[float]]:
    assert set(value) <= {"label", "bounding_box", "confidence", "attributes"}
    assert type(value["label"]) is int
    assert len(value["bounding_box"]) == 4
    return classes[value["label"]], value["bounding_box"]


def test_a_fiftyone_folder_is_as_its_documentation_says(
    flowers: tuple[Path, Rows], shared_data: Path, tmp_path: Path
) -> None:
    where, rows = flowers
    assert export(where, tmp_path / "labels", "fiftyone") == 0
    truth = {Path(row["key"].decode()).stem: row["label"] for row in rows}
    found = {}
    for split in ("train", "val"):
        found |= fiftyone_folder(tmp_path / "labels" / split)
    assert {uuid: label for uuid, (_, label) in found.items()} == truth
    cells = ingest(shared_data / "bccd", tmp_path / "cells")
    assert export(tmp_path / "cells", tmp_path / "boxes", "fiftyone") == 0
    boxes = {Path(row["key"].decode()).stem: row["boxes"] for row in cells}
    read = fiftyone_folder(tmp_path / "boxes" / "train")
    assert read
    for uuid, (path, detections) in read.items():
        source = shared_data / "bccd" / "JPEGImages" / path.name
        assert path.read_bytes() == source.read_bytes()
        _assert_boxes(detections, boxes[uuid], (640, 480))


def _assert_boxes(detections: Any, boxes: Any, size: tuple[int, int]) -> None:
    assert [label for label, _ in detections] == [box["label"] for box in boxes]
    width, height = size
    fractions = np.array([box for _, box in detections], np.float64).reshape(-1, 4)
    corners = fractions * [width, height, width, height]
    corners[:, 2:] += corners[:, :2]
    truth = np.array([box["xyxy"] for box in boxes], np.float64).reshape(-1, 4)
    np.testing.assert_allclose(corners, truth, atol=1e-3)


SCRIPT = """
import json, sys
from fiftyone.utils.data import importers
kind = getattr(importers, f"FiftyOneImage{sys.argv[2]}DatasetImporter")
found = {}
with kind(dataset_dir=sys.argv[1], compute_metadata=True) as importer:
    for path, metadata, label in importer:
        if sys.argv[2] == "Detection":
            value = label and [[d.label, d.bounding_box] for d in label.detections]
        else:
            value = label and label.label
        found[path] = [metadata.width, metadata.height, value]
print("RESULT" + json.dumps(found))
"""


@pytest.mark.slow
def test_fiftyone_itself_imports_its_folder(
    flowers: tuple[Path, Rows], shared_data: Path, tmp_path: Path
) -> None:
    """Set CVDATA_FIFTYONE to the Python of a virtual environment that has fiftyone."""
    python = os.environ.get("CVDATA_FIFTYONE")
    if not python:
        pytest.skip("CVDATA_FIFTYONE names no Python that has fiftyone")
    where, rows = flowers
    assert export(where, tmp_path / "labels", "fiftyone") == 0
    found = _imported(python, tmp_path / "labels" / "val", "Classification")
    truth = {Path(r["key"].decode()).stem: r["label"] for r in rows if r["split"] == "val"}
    assert {Path(path).stem: value for path, (_, _, value) in found.items()} == truth
    cells = ingest(shared_data / "bccd", tmp_path / "cells")
    assert export(tmp_path / "cells", tmp_path / "boxes", "fiftyone") == 0
    boxes = {Path(row["key"].decode()).stem: row["boxes"] for row in cells}
    found = _imported(python, tmp_path / "boxes" / "train", "Detection")
    assert len(found) > 100
    for path, (width, height, detections) in found.items():
        _assert_boxes(detections, boxes[Path(path).stem], (width, height))


def _imported(python: str, folder: Path, kind: str) -> dict[str, tuple[int, int, Any]]:
    done = subprocess.run(
        [python, "-c", SCRIPT, str(folder), kind],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT"))
    found: dict[str, tuple[int, int, Any]] = json.loads(line.removeprefix("RESULT"))
    return found
