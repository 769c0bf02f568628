"""Sets without images, runs after runs that stopped, plans that say what the run then does."""

import json
from pathlib import Path

import pytest

from cvdata import Workspace
from cvdata.cli import main
from tests.jobs.flows import cvdata, make_photos

FEW = ("--measures", "file,geometry")


def test_an_empty_source_goes_through_the_whole_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    photos.mkdir()
    assert cvdata("curate", photos, "--workspace", where, "--format", "folder") == 0
    told = capsys.readouterr().out
    assert "0 records = 0 ok + 0 errors" in told
    assert "outliers: 0 images" in told
    make_photos(photos, range(3))
    assert cvdata("curate", photos, "--workspace", where) == 0
    workspace = Workspace(str(where))
    assert workspace.read("measures", ["error"])["error"].null_count == 3
    assert workspace.verify() == []


def test_files_mended_after_too_many_failed_do_not_count_any_more(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(110))
    for n in range(30):
        (photos / f"{n:05d}.jpg").write_bytes(b"no image")
    assert cvdata("ingest", photos, "--workspace", where) == 0
    assert cvdata("scan", "--workspace", where, *FEW) == 6
    make_photos(photos, range(30))
    assert cvdata("ingest", photos, "--workspace", where) == 0
    assert cvdata("scan", "--workspace", where, *FEW) == 0
    assert Workspace(str(where)).read("measures", ["error"])["error"].null_count == 110


def test_those_that_are_still_bad_still_count(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(110))
    for n in range(30):
        (photos / f"{n:05d}.jpg").write_bytes(b"no image")
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("scan", "--workspace", where, *FEW) == 6
    make_photos(photos, range(10))
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("scan", "--workspace", where, *FEW) == 6
    assert cvdata("scan", "--workspace", where, *FEW) == 6
    assert "measures" not in Workspace(str(where)).tables()


def test_a_plan_refuses_the_listing_that_the_run_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(10))
    cvdata("ingest", photos, "--workspace", where)
    for n in range(5):
        (photos / f"{n:05d}.jpg").unlink()
    assert cvdata("ingest", photos, "--workspace", where, "--dry-run") == 2
    assert "--allow-shrink" in capsys.readouterr().err
    assert cvdata("ingest", photos, "--workspace", where, "--dry-run", "--allow-shrink") == 0
    assert len(Workspace(str(where)).commits()) == 1


def test_a_newer_decode_wins_over_what_an_older_set_was_refused(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(3))
    make_photos(photos, range(3, 4), size=(400, 300))
    cvdata("ingest", photos, "--workspace", where)
    narrow = ("--measures", "geometry,whash", "--limits.max-pixels", "50000")
    cvdata("scan", "--workspace", where, *narrow)
    workspace = Workspace(str(where))
    assert workspace.read("measures", ["error"])["error"].drop_null().to_pylist() == [
        "too_many_pixels"
    ]
    assert cvdata("scan", "--workspace", where, "--measures", "geometry") == 0
    rows = workspace.refresh().read("measures", ["error", "error_detail", "width", "whash"])
    assert rows["error"].null_count == rows["error_detail"].null_count == 4
    assert max(rows["width"].to_pylist()) == 400
    assert rows["whash"].null_count == 1, "of the set that was not computed anew"


def test_a_report_plan_says_what_the_run_then_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(3))
    for words in (["ingest", photos], ["scan", *FEW], ["eda"]):
        assert cvdata(*words, "--workspace", where) == 0
    for expected in ("plan: write", "plan: nothing"):
        assert cvdata("report", "--workspace", where, "--dry-run") == 0
        assert expected in capsys.readouterr().out
        assert cvdata("report", "--workspace", where) == 0
        assert ("as it was" in capsys.readouterr().out) == (expected == "plan: nothing")


@pytest.mark.parametrize("job", ["scan", "eda", "dedup", "outliers", "decide", "report"])
def test_a_dry_run_of_a_mistyped_workspace_makes_nothing(job: str, tmp_path: Path) -> None:
    assert cvdata(job, "--workspace", tmp_path / "typo", "--dry-run") == 2
    assert not (tmp_path / "typo").exists()


def test_a_workspace_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, file = tmp_path / "photos", tmp_path / "file"
    make_photos(photos, range(1))
    file.write_text("x")
    assert cvdata("ingest", photos, "--workspace", file) == 2
    assert "is a file" in capsys.readouterr().err
    assert main(["verify", "--workspace", str(tmp_path / "typo")]) == 2
    assert "check the path" in capsys.readouterr().err


@pytest.mark.parametrize(("n", "expected"), [(0, "There are no images."), (3, "No image could be")])
def test_what_no_measure_can_tell_asks_for_none(n: int, expected: str, tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    photos.mkdir()
    for i in range(n):
        (photos / f"{i}.jpg").write_bytes(b"no image %d" % i)
    cvdata("ingest", photos, "--workspace", where, "--format", "folder")
    cvdata("scan", "--workspace", where)
    assert cvdata("eda", "--workspace", where) == 0
    summary = json.loads(Workspace(str(where)).artifact("summary.json"))
    told = {one["key"]: one["answer"] for one in (*summary["questions"], *summary["also"])}
    assert all(told[key].startswith(expected) for key in ("dimensions", "edges", "files"))
    assert not any("add the measure" in answer for answer in told.values())


def test_damage_is_named_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(2))
    cvdata("ingest", photos, "--workspace", where)
    (commit,) = (where / "_commits").iterdir()
    whole = commit.read_bytes()
    commit.write_bytes(whole[:50])
    assert main(["verify", "--workspace", str(where)]) == 7
    assert commit.name in capsys.readouterr().out
    assert main(["status", "--workspace", str(where)]) == 4
    assert commit.name in capsys.readouterr().err
    commit.write_bytes(whole)
    (where / "_format.json").write_text("{")
    assert cvdata("scan", "--workspace", where) == 4
    assert "_format.json is damaged" in capsys.readouterr().err


def test_a_plan_of_a_source_that_changed_speaks_of_no_old_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(10))
    words = ("curate", photos, "--workspace", where, "--skip", "[dedup,outliers,decide]")
    assert cvdata(*words) == 0
    capsys.readouterr()
    assert cvdata(*words, "--dry-run") == 0
    assert "0 of 10 images pending" in capsys.readouterr().out
    for change in (lambda: make_photos(photos, range(10, 11)), (photos / "00003.jpg").unlink):
        change()
        assert cvdata(*words, "--dry-run") == 0
        told = capsys.readouterr().out
        assert "the other jobs follow" in told
        assert "pending" not in told, "it was said of the records before the change"
        assert "as it was" not in told
        assert cvdata(*words) == 0
        capsys.readouterr()


def test_a_report_says_that_its_issues_are_of_an_earlier_state(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(3))
    for words in (["ingest", photos], ["scan", *FEW], ["eda"], ["report"]):
        assert cvdata(*words, "--workspace", where) == 0
    assert not _tells_of_an_earlier_state(where)
    cvdata("ingest", photos, "--workspace", where, "--label-from-folder")
    make_photos(photos, range(3, 4))
    cvdata("ingest", photos, "--workspace", where)
    cvdata("report", "--workspace", where)
    assert _tells_of_an_earlier_state(where)
    for words in (["scan", *FEW], ["eda"], ["report"]):
        assert cvdata(*words, "--workspace", where) == 0
    assert not _tells_of_an_earlier_state(where)


def _tells_of_an_earlier_state(where: Path) -> bool:
    page = where / "report" / str(Workspace(str(where)).head.seq) / "report.html"
    return "are of an earlier state" in page.read_text()
