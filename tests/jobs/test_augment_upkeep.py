"""Copies as a source, and what verify, gc and compact make of them."""

import json
from pathlib import Path

from cvdata.maintenance import collect, find_garbage
from cvdata.runs.compact import compact_workspace
from cvdata.workspace import Workspace
from tests.jobs.augmenting import augment, copies, ingested, result_digest, rows_of
from tests.jobs.flows import cvdata


def _ingest_copies(where: Path, into: Path, policy: str) -> int:
    manifest = where / "images" / policy / "manifest.jsonl"
    name = f"augmented/{policy}"
    flags = ("--source-name", name, "--source-options", '{"id":"id","extra":"parent,labels"}')
    return cvdata("ingest", manifest, "--workspace", into, *flags)


def test_copies_are_a_source(tmp_path: Path) -> None:
    where, into = ingested(tmp_path), tmp_path / "other"
    augment(where, "--policy", "cutmix", "--variants", 2)
    assert _ingest_copies(where, into, "cutmix") == 0
    records = {r["image_id"]: r for r in Workspace(str(into)).read("records").to_pylist()}
    rows = {row["image_id"]: row for row in rows_of(where, "cutmix")}
    assert records.keys() == rows.keys(), "the ids of the copies are those of the source"
    for one, row in rows.items():
        record = records[one]
        for name in ("label", "split", "uri", "boxes", "size_bytes"):
            assert record[name] == row[name], name
        extra = json.loads(record["extra"])
        assert extra["parent"] == row["parent_id"].hex()
        mixed = [w["label"] for w in row["labels"]] != [row["label"]]
        assert bool(extra["labels"]) == mixed
    assert cvdata("scan", "--workspace", into, "--measures", "geometry") == 0
    assert Workspace(str(into)).verify() == []


def test_copies_in_the_same_workspace_are_not_augmented_again(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    augment(where)
    assert _ingest_copies(where, where, "light") == 0
    assert augment(where) == 0
    assert Workspace(str(where)).tables()["records"] == 12 + 9
    assert Workspace(str(where)).head.job == "ingest", "nothing to make"


def test_boxes_come_back_to_the_pixel(shared_data: Path, tmp_path: Path) -> None:
    where, into = tmp_path / "w", tmp_path / "other"
    cvdata("ingest", shared_data / "bccd", "--workspace", where)
    some = ("--variants", 1, "--splits", '["train",""]')
    config = tmp_path / "small.yaml"
    config.write_text(
        "policy: small\noperations:\n- resized_crop: {height: 96, width: 128}\n- horizontal_flip\n"
    )
    assert augment(where, "--config", config, *some) == 0
    assert _ingest_copies(where, into, "small") == 0
    found = {r["image_id"]: r["boxes"] for r in Workspace(str(into)).read("records").to_pylist()}
    rows = rows_of(where, "small")
    assert len(rows) > 100
    assert {row["image_id"]: row["boxes"] for row in rows} == found
    assert sum(len(row["vanished"]) for row in rows) > 50


def test_gc_keeps_the_images_of_live_rows_alone(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    augment(where, "--variants", 2)
    augment(where, "--variants", 1)
    workspace = Workspace(str(where))
    live = set(copies(where)["uri"].to_pylist())
    garbage, dead = find_garbage(workspace.store, keep=1, grace_seconds=0)
    collect(workspace.store, garbage, dead)
    images = {str(p) for p in (where / "images").rglob("*.jpg")}
    assert images == live
    assert len(live) == 9
    assert (where / "images" / "light" / "manifest.jsonl").exists()
    assert Workspace(str(where)).verify() == []


def test_compacting_keeps_every_row(tmp_path: Path) -> None:
    where = ingested(tmp_path, 96)
    augment(where, "--variants", 1, "--chunk-rows", 1)
    before = result_digest(where)
    done = compact_workspace(Workspace(str(where)))
    assert done["augmented/light"] == (72, 1)
    assert result_digest(where) == before
    assert augment(where) == 0
    assert Workspace(str(where)).head.job == "compact", "nothing to make"
    (tmp_path / "photos" / "train" / "cat" / "00000.jpg").unlink()
    flags = ("--label-from-folder", "--split-from-folder", "--allow-shrink")
    cvdata("ingest", tmp_path / "photos", "--workspace", where, *flags)
    assert len(copies(where)) == 71, "a copy goes with its parent"
    assert augment(where) == 0
    assert Workspace(str(where)).verify() == []
