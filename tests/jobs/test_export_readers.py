"""export: Hugging Face's and FiftyOne's own readers find what was written."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.jobs.exporting import export, ingest
from tests.jobs.flows import make_photos

Rows = list[dict[str, Any]]


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
    import datasets

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
