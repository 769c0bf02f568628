"""Augmented copies, end to end: what is made, of what, how often, and where it is written."""

import json
from pathlib import Path

import pytest

from cvdata.schema import image_id
from cvdata.workspace import Workspace
from tests.jobs.augmenting import augment, copies, ingested, labelled, pixels, rows_of
from tests.jobs.flows import cvdata, make_photos


def _made(where: Path) -> int:
    stats = Workspace(str(where)).head.stats
    return int(stats["n_made"])


def test_copies_of_the_training_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ingested(tmp_path)
    assert augment(where, "--variants", 3) == 0
    assert "27 copies = 27 ok + 0 errors" in capsys.readouterr().out
    records = {r["image_id"]: r for r in Workspace(str(where)).read("records").to_pylist()}
    rows = rows_of(where)
    assert len(rows) == 27
    assert len({row["image_id"] for row in rows}) == 27
    for row in rows:
        parent = records[row["parent_id"]]
        assert parent["split"] == row["split"] == "train"
        assert row["label"] == parent["label"]
        assert row["labels"] == [{"label": parent["label"], "weight": 1.0}]
        key = f"{row['parent_id'].hex()}#{row['variant']}".encode()
        assert row["image_id"] == image_id("augmented/light", key)
        assert [step["step"] for step in json.loads(row["params"])] == [0, 1, 2, 3]
        assert pixels(row["uri"]).shape == (row["height"], row["width"], 3)
        assert Path(row["uri"]).stat().st_size == row["size_bytes"]
    assert len({row["sha256"] for row in rows}) == 27
    assert Workspace(str(where)).verify() == []


def test_only_what_is_new_costs(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    augment(where, "--variants", 2)
    before = {row["image_id"]: row for row in rows_of(where)}
    seq = Workspace(str(where)).head.seq
    assert augment(where, "--variants", 2) == 0
    assert Workspace(str(where)).head.seq == seq, "nothing new, nothing committed"
    labelled(tmp_path / "photos", 16)
    flags = ("--label-from-folder", "--split-from-folder")
    cvdata("ingest", tmp_path / "photos", "--workspace", where, *flags)
    assert augment(where, "--variants", 2) == 0
    assert _made(where) == 6, "three new training images"
    after = {row["image_id"]: row for row in rows_of(where)}
    assert {k: after[k] for k in before} == before
    assert augment(where, "--variants", 3) == 0
    assert _made(where) == 12
    assert augment(where, "--variants", 1) == 0
    assert _made(where) == 0
    assert len(rows_of(where)) == 12, "variants that are not wanted leave the table"
    assert Workspace(str(where)).verify() == []


def test_what_a_copy_depends_on(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    augment(where)
    first = {row["parent_id"]: row["sha256"] for row in rows_of(where)}
    augment(where, "--seed", 1)
    other = {row["parent_id"]: row["sha256"] for row in rows_of(where)}
    assert set(first) == set(other)
    assert all(first[k] != other[k] for k in first)
    augment(where)
    assert {row["parent_id"]: row["sha256"] for row in rows_of(where)} == first
    augment(where, "--format", "png")
    assert {Path(row["uri"]).suffix for row in rows_of(where)} == {".png"}
    changed = tmp_path / "photos" / "train" / "cat" / "00000.jpg"
    make_photos(tmp_path / "other", range(77, 78), (64, 48))
    changed.write_bytes((tmp_path / "other" / "00077.jpg").read_bytes())
    flags = ("--label-from-folder", "--split-from-folder")
    cvdata("ingest", tmp_path / "photos", "--workspace", where, *flags)
    augment(where, "--format", "png")
    assert _made(where) == 1
    assert len(rows_of(where)) == 9


def test_two_policies_stand_beside_each_other(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    augment(where, "--policy", "light")
    before = rows_of(where)
    augment(where, "--policy", "mixup")
    assert rows_of(where) == before
    ids = {row["image_id"] for row in rows_of(where, "mixup")}
    assert len(ids) == 9
    assert not ids & {row["image_id"] for row in before}


def test_a_bad_image_is_an_error_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(30))
    (photos / "00003.jpg").write_bytes((photos / "00003.jpg").read_bytes()[:400])
    (photos / "00004.jpg").write_bytes(b"")
    cvdata("ingest", photos, "--workspace", where)
    assert augment(where, "--variants", 2, "--max-error-rate", 0.01) == 6
    assert "augmented/light" not in Workspace(str(where)).tables()
    assert augment(where, "--variants", 2) == 3
    assert "60 copies = 56 ok + 4 errors (empty 2, truncated 2)" in capsys.readouterr().out
    bad = [row for row in rows_of(where) if row["error"]]
    assert sorted(row["error"] for row in bad) == ["empty", "empty", "truncated", "truncated"]
    assert all(row["uri"] is None and row["params"] is None for row in bad)


def test_known_bad_images_are_not_tried(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(10))
    (photos / "00003.jpg").write_bytes(b"no image")
    cvdata("ingest", photos, "--workspace", where)
    cvdata("scan", "--workspace", where, "--measures", "geometry")
    assert augment(where) == 0
    assert len(rows_of(where)) == 9


def test_an_operation_from_outside(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    make_photos(tmp_path / "photos" / "train" / "cat", range(90, 91), (50, 48))
    flags = ("--label-from-folder", "--split-from-folder")
    cvdata("ingest", tmp_path / "photos", "--workspace", where, *flags)
    config = tmp_path / "own.yaml"
    config.write_text(
        "policy: own\noperations:\n- tests.augment.outside:Tint: {amount: 60, refuses: 50}\n"
    )
    assert augment(where, "--config", config) == 3
    rows = rows_of(where, "own")
    (bad,) = [row for row in rows if row["error"]]
    assert bad["error"] == "augment_failed"
    assert "ZeroDivisionError: this width is refused" in bad["error_detail"]
    assert len(rows) == 10


def test_a_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ingested(tmp_path)
    before = sorted(p for p in where.rglob("*") if p.is_file())
    assert augment(where, "--dry-run", "--variants", 4) == 0
    assert sorted(p for p in where.rglob("*") if p.is_file()) == before
    out = capsys.readouterr().out
    assert "plan: 36 of 36 copies of 9 images pending (by --variants), 1 chunks" in out
    assert "min_visible: 0.3" in out


@pytest.mark.parametrize("name", ["grid.png", "grid.html"])
def test_a_preview_is_all_that_it_writes(tmp_path: Path, name: str) -> None:
    where = ingested(tmp_path)
    before = sorted(p for p in where.rglob("*") if p.is_file())
    target = tmp_path / "out" / name
    assert augment(where, "--policy", "cutmix", "--preview", target) == 0
    assert sorted(p for p in where.rglob("*") if p.is_file()) == before
    if name.endswith("png"):
        assert pixels(str(target)).shape[1] == 8 + 6 * 232
    else:
        page = target.read_text()
        assert page.count("<img ") == 36
        assert page.count("src=") == page.count("data:image/jpeg;base64,") == 36
        assert "cutmix: rectangle" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--policy", "lihgt"), "ready ones are light, medium"),
        (("--policy", "own", "--operations", "rotat"), "did you mean 'rotate'"),
        (("--operations", "nowhere:Tint"), "cannot import augmentation"),
        (("--operations", "tests.augment.outside:Nameless"), "is no augmentation"),
        (("--splits", "test"), "the records have 'train', 'val'"),
        (("--preview", "grid.gif"), ".png or .html"),
        (("--policy", "../own", "--operations", "rotate"), "a policy's name is letters"),
    ],
)
def test_a_request_that_cannot_be_met_says_what_to_change(
    tmp_path: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ingested(tmp_path, 8)
    assert augment(where, *options) == 2
    assert message in capsys.readouterr().err


def test_a_field_that_cannot_be_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ingested(tmp_path, 8)
    for text, message in [
        ("- rotate: {degrees: 200}", "degrees lies in 0 … 180"),
        ("- rotate: {degree: 20}", "its fields are degrees, interpolation, fill"),
        ("- crop: {low: 0.9, high: 0.5}", "low 0.9 is above high 0.5"),
        ("- rotate: {p: 2}", "p is a probability"),
    ]:
        config = tmp_path / "own.yaml"
        config.write_text(f"policy: own\noperations:\n{text}\n")
        assert augment(where, "--config", config) == 2
        assert message in capsys.readouterr().err


def test_copies_elsewhere(tmp_path: Path) -> None:
    where, other = ingested(tmp_path), tmp_path / "elsewhere"
    assert augment(where, "--output", other) == 0
    rows = rows_of(where)
    assert all(Path(row["uri"]).is_relative_to(other / "light") for row in rows)
    inside = copies(where)
    assert augment(where) == 0, "and back into the workspace"
    again = copies(where)
    assert again["sha256"].to_pylist() == inside["sha256"].to_pylist()
    assert all(Path(uri).is_relative_to(where) for uri in again["uri"].to_pylist())
