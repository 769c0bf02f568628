"""export: what is selected goes out, with its labels, boxes and pixels; what does not is told."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from cvdata import Workspace
from cvdata.engine.session import EngineConfig
from cvdata.runs.export import export as run_export
from cvdata.runs.export import plan_work
from cvdata.runs.export_config import ExportSettings
from cvdata.runs.export_rows import part_rows
from cvdata.schema import MERGED, SPLITS
from tests.jobs.exporting import boxed_workspace, export, facts, ingest, select, told
from tests.jobs.flows import cvdata, make_photos


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of 60 images with boxes in two splits, and three without a label file."""
    return boxed_workspace(tmp_path_factory.mktemp("boxed"))


def test_the_selection_says_what_goes_out(boxed: Path, tmp_path: Path) -> None:
    """Dropped images stay away with their reasons told; weights, splits and merged boxes count."""
    rows = Workspace(str(boxed)).read("records")
    workspace = Workspace(str(tmp_path / "w"))
    known = rows.to_pylist()
    keys = sorted(row["key"].decode() for row in known)
    merged = next(row for row in known if row["key"].decode() == keys[1])
    moved = next(row for row in known if row["key"].decode() == keys[2])
    box = {"label": "new", "xyxy": [1.0, 2.0, 3.0, 4.0]}
    with workspace.change("ingest", {}) as change:
        change.replace("records", [rows], rows.schema)
        row = {"image_id": merged["image_id"], "revision": merged["revision"], "boxes": [box]}
        change.replace("merged", [pa.Table.from_pylist([row], MERGED)], MERGED)
        row = {"image_id": moved["image_id"], "revision": moved["revision"], "split": "test"}
        change.replace("splits", [pa.Table.from_pylist([row], SPLITS)], SPLITS)
    drop = {keys[0]: ["duplicate:phash:00ff", "issue:dark"], keys[5]: ["issue:dark"]}
    select(tmp_path / "w", drop, {keys[3]: 2.5})
    to = tmp_path / "out"
    assert export(tmp_path / "w", to, "coco") == 0
    figures = told(to)
    assert figures["reasons"] == {"duplicate:phash": 1, "issue:dark": 2}
    assert (figures["n_images"], figures["n_records"]) == (58, 60)
    after = facts(ingest(to, tmp_path / "again", "--format", "coco"))
    assert {Path(keys[0]).stem, Path(keys[5]).stem}.isdisjoint(after)
    assert after[Path(keys[1]).stem][2] == [("new", 1.0, 2.0, 3.0, 4.0)]
    assert after[Path(keys[2]).stem][0] == "test"
    lines = [json.loads(line) for line in (to / "provenance.jsonl").read_text().splitlines()]
    assert {line["key"]: line["weight"] for line in lines if line["weight"] != 1} == {keys[3]: 2.5}
    card = (to / "README.md").read_text()
    assert "2 images dropped, among other reasons for `issue:dark`" in card
    assert "assigned by `cvdata split`" in card


def test_images_that_fail_are_told_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path / "photos" / "cat", range(20))
    ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    (tmp_path / "photos" / "cat" / "00003.jpg").unlink()
    (tmp_path / "photos" / "cat" / "00004.jpg").write_bytes(b"other bytes")
    assert export(tmp_path / "w", tmp_path / "no", "imagefolder", "--max-error-rate", "0.01") == 6
    assert "nothing is" in capsys.readouterr().err
    assert not (tmp_path / "no" / "export.json").exists()
    assert export(tmp_path / "w", tmp_path / "out", "imagefolder") == 3
    assert told(tmp_path / "out")["errors"] == {"changed": 1, "not_found": 1}
    assert len(list((tmp_path / "out" / "cat").iterdir())) == 18
    assert (
        "1 images that failed while they were written: `changed`"
        in (tmp_path / "out" / "README.md").read_text()
    )


def test_unreadable_images_stay_away_where_nothing_is_selected(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos" / "cat", range(6))
    (tmp_path / "photos" / "cat" / "bad.jpg").write_bytes(b"\xff\xd8\xff no")
    ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    assert cvdata("scan", "--workspace", tmp_path / "w", "--max-error-rate", "1") in (0, 3)
    assert export(tmp_path / "w", tmp_path / "out", "imagefolder") == 0
    assert (told(tmp_path / "out")["n_images"], told(tmp_path / "out")["n_unreadable"]) == (6, 1)


def test_settings_are_all_in_the_fingerprint(boxed: Path, tmp_path: Path) -> None:
    """Each option that can change a byte makes another plan."""
    workspace = Workspace(str(boxed))
    plain = ExportSettings()
    others = [
        {"names": "id"},
        {"classes": ["dog", "cat", "a/b"]},
        {"encode": "png"},
        {"max_side": 50},
        {"upright": True},
        {"shuffle": 3},
        {"shard_rows": 7},
        {"licence": "CC0"},
        {"title": "t"},
        {"unlabeled": "x"},
    ]
    marks = {
        plan_work(
            workspace,
            plain.model_copy(update=update).options(str(tmp_path / "o"), "parquet", {}),
        ).marks["fingerprint"]
        for update in [{}, *others]
    }
    assert len(marks) == len(others) + 1
    part_rows.cache_clear()
    work = plan_work(workspace, plain.options(str(tmp_path / "o"), "parquet", {}))
    assert run_export(work, EngineConfig("serial"))["n_images"] == 60


def test_pixels_are_turned_shrunk_and_encoded(tmp_path: Path) -> None:
    """Boxes, keypoints and masks follow; what is as asked keeps its bytes."""
    images, annotations = tmp_path / "coco" / "images", []
    images.mkdir(parents=True)
    entries = []
    rng = np.random.default_rng(0)
    for n, (size, orientation) in enumerate([((80, 40), 1), ((400, 200), 1), ((400, 200), 6)]):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = rng.integers(0, 256, (size[1] // 10, size[0] // 10, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize(size)
        picture.save(images / f"{n}.jpg", exif=exif)
        width, height = size if orientation == 1 else size[::-1]
        entries.append({"id": n, "file_name": f"{n}.jpg", "width": width, "height": height})
        annotations.append(
            {"id": n, "image_id": n, "category_id": 1, "bbox": [10, 20, width / 2, height / 4]}
            | {"keypoints": [10, 20, 2], "segmentation": [[10, 20, 30, 20, 30, 40]]}
        )
    parts = {"images": entries, "annotations": annotations}
    parts["categories"] = [{"id": 1, "name": "thing"}]
    (tmp_path / "coco" / "instances.json").write_text(json.dumps(parts))
    ingest(tmp_path / "coco", tmp_path / "w")
    assert export(tmp_path / "w", tmp_path / "out", "coco", "--max-side", "100", "--upright") == 0
    assert told(tmp_path / "out")["n_rendered"] == 2
    assert (tmp_path / "out" / "images" / "0.jpg").read_bytes() == (images / "0.jpg").read_bytes()
    found = json.loads((tmp_path / "out" / "annotations" / "instances.json").read_text())
    sizes = {0: (80, 40), 1: (100, 50), 2: (50, 100)}
    for entry, annotation in zip(found["images"], found["annotations"], strict=True):
        width, height = sizes[entry["id"]]
        with Image.open(tmp_path / "out" / "images" / entry["file_name"]) as picture:
            assert picture.size == (entry["width"], entry["height"]) == (width, height)
            assert entry["id"] == 0 or not picture.getexif()
        scale = 1 if entry["id"] == 0 else 0.25
        assert annotation["bbox"] == [10 * scale, 20 * scale, width / 2, height / 4]
        assert annotation["keypoints"] == [10 * scale, 20 * scale, 2]
        assert annotation["segmentation"][0][:2] == [10 * scale, 20 * scale]
    assert export(tmp_path / "w", tmp_path / "raw", "coco") == 0
    assert told(tmp_path / "raw")["n_turned"] == 1
    assert "carry an EXIF orientation" in (tmp_path / "raw" / "README.md").read_text()
