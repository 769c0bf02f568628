"""scan end to end: only what is new costs, bad images are rows, the engine changes nothing."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from cvdata import Workspace
from cvdata.errors import ErrorCode
from tests.corpus import cases
from tests.jobs.flows import cvdata, make_photos
from tests.jobs.poison import MARKS
from tests.tables.flows import part_digests, rows_digest

FEW = ("--measures", "file,geometry,pixel_digest,phash")


def _decoded(workspace: Path) -> int:
    return int(Workspace(str(workspace)).commits()[-1].stats["n_read"])


def test_only_what_is_new_or_changed_is_decoded(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(800))
    assert cvdata("ingest", photos, "--workspace", where) == 0
    assert cvdata("scan", "--workspace", where, *FEW) == 0
    assert _decoded(where) == 800
    make_photos(photos, range(800, 1000))
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("scan", "--workspace", where, *FEW) == 0
    assert _decoded(where) == 200
    n_commits = len(Workspace(str(where)).commits())
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("scan", "--workspace", where, *FEW) == 0
    assert len(Workspace(str(where)).commits()) == n_commits, "nothing to do, nothing done"
    shutil.copy(photos / "00001.jpg", photos / "00000.jpg")
    (photos / "00002.jpg").unlink()
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("scan", "--workspace", where, *FEW) == 0
    assert _decoded(where) == 1
    workspace = Workspace(str(where))
    rows = workspace.read("measures", ["image_id", "sha256"])
    assert len(rows) == 999
    keys = workspace.read("records", ["image_id", "key"])
    digests = dict(zip(keys["key"].to_pylist(), rows["sha256"].to_pylist(), strict=True))
    assert digests[b"00000.jpg"] == digests[b"00001.jpg"]
    assert b"00002.jpg" not in digests
    assert workspace.verify() == []


def test_a_measure_added_later_is_computed_alone(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(100))
    cvdata("ingest", photos, "--workspace", where)
    cvdata("scan", "--workspace", where, *FEW)
    before = part_digests(Workspace(str(where)), _sets(where)[0])
    assert cvdata("scan", "--workspace", where, "--measures", "file,phash,whash,colorhash") == 0
    old, new = _sets(where)
    assert part_digests(Workspace(str(where)), old) == before
    added = Workspace(str(where)).head.tables[new].meta["measures"]
    assert [m["name"] for m in added] == ["colorhash", "whash"]
    wide = Workspace(str(where)).read("measures", ["phash", "whash", "width"])
    assert wide.num_rows == 100
    assert wide["whash"].null_count == wide["phash"].null_count == wide["width"].null_count == 0
    make_photos(photos, range(100, 130))
    cvdata("ingest", photos, "--workspace", where)
    cvdata("scan", "--workspace", where, "--measures", "file,phash,whash,colorhash")
    assert _decoded(where) == 30, "both sets, one decode"
    wide = Workspace(str(where)).read("measures", ["phash", "whash", "width"])
    assert [c.null_count for c in wide.columns] == [0, 0, 0]
    assert wide.num_rows == 130


def _sets(where: Path) -> list[str]:
    tables = Workspace(str(where)).head.tables
    sets = [n for n in tables if n.startswith("measures/")]
    return sorted(sets, key=lambda n: tables[n].meta["order"])


@pytest.mark.usefixtures("ray_up")
def test_workers_chunks_and_engines_change_nothing(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make_photos(photos, range(150))
    (photos / "broken.jpg").write_bytes((photos / "00000.jpg").read_bytes()[:700])
    found = set()
    runs = [("serial", 1, 64), ("serial", 1, 1024), ("serial", 1, 7)]
    for engine, workers, rows in [*runs, ("ray", 1, 64), ("ray", 2, 33), ("ray", 4, 16)]:
        where = tmp_path / f"{engine}{workers}-{rows}"
        cvdata("ingest", photos, "--workspace", where)
        options = ("--workers", workers, "--chunk-rows", rows)
        cvdata("scan", "--workspace", where, *options, engine=engine)
        found.add(rows_digest(Workspace(str(where)).read("measures")))
    assert len(found) == 1


@pytest.mark.parametrize("engine", ["serial", "ray"])
@pytest.mark.usefixtures("ray_up")
def test_a_poison_image_costs_its_own_row(tmp_path: Path, engine: str) -> None:
    photos, clean = tmp_path / "photos", tmp_path / "clean"
    make_photos(photos, range(60))
    cvdata("ingest", photos, "--workspace", clean)
    measures = ("--measures", "file,color,phash,tests.jobs.poison:Poison")
    assert cvdata("scan", "--workspace", clean, *measures) == 0
    for i, mark in enumerate(MARKS):
        data = (photos / "00000.jpg").read_bytes()
        (photos / f"x{i}.jpg").write_bytes(data + mark)
        (photos / f"0000{i}x.jpg").write_bytes(data + b"BUG")
    where = tmp_path / "w"
    cvdata("ingest", photos, "--workspace", where)
    more = ("--time-limit", "3", "--max-error-rate", "1")
    assert cvdata("scan", "--workspace", where, *measures, *more, engine=engine) == 3
    workspace = Workspace(str(where))
    keys = workspace.read("records", ["image_id", "key"])
    rows = workspace.read("measures").append_column("key", keys["key"])
    by_key = {row["key"]: row for row in rows.to_pylist()}
    for i, code in enumerate(MARKS.values()):
        assert by_key[b"x%d.jpg" % i]["error"] == code
        assert by_key[b"x%d.jpg" % i]["phash"] is None
        bug = by_key[b"0000%dx.jpg" % i]
        assert bug["error"] == ErrorCode.MEASURE_FAILED
        assert "poison: ZeroDivisionError" in bug["error_detail"]
        assert bug["is_harmless"] is None
        assert bug["phash"] == by_key[b"00000.jpg"]["phash"], "other measures keep their values"
    good = Workspace(str(clean)).read("measures")
    mine = rows.filter(pa.compute.is_null(rows["error"])).drop_columns("key")
    assert rows_digest(mine) == rows_digest(good), "neighbours are bit-identical"


def test_too_many_errors_commit_nothing_and_many_warn(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(40))
    for i in range(20):
        (photos / f"bad{i}.jpg").write_bytes(b"no image")
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("scan", "--workspace", where, *FEW) == 6
    assert "measures" not in Workspace(str(where)).tables()
    assert cvdata("scan", "--workspace", where, *FEW, "--max-error-rate", "0.5") == 3
    relaxed = ("--max-error-rate", "0.5", "--warn-error-rate", "0.5")
    assert cvdata("scan", "--workspace", where, *FEW, *relaxed) == 0


def test_a_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(10))
    cvdata("ingest", photos, "--workspace", where)
    before = sorted(p for p in where.rglob("*") if p.is_file())
    assert cvdata("scan", "--workspace", where, "--dry-run") == 0
    assert sorted(p for p in where.rglob("*") if p.is_file()) == before
    out = capsys.readouterr().out
    assert "plan: 10 of 10 images pending" in out
    assert "max_error_rate: 0.05" in out


def test_refresh_computes_everything_anew(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(10))
    cvdata("ingest", photos, "--workspace", where)
    cvdata("scan", "--workspace", where, *FEW)
    assert cvdata("scan", "--workspace", where, *FEW, "--refresh") == 0
    assert _decoded(where) == 10
    assert len(_sets(where)) == 1, "the older generation is not live any more"
    assert cvdata("scan", "--workspace", where, *FEW) == 0
    assert _decoded(where) == 10


def test_a_request_that_cannot_be_met_says_what_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cvdata("scan", "--workspace", tmp_path / "w") == 2
    assert "cvdata ingest SOURCE" in capsys.readouterr().err
    photos = tmp_path / "photos"
    make_photos(photos, range(3))
    cvdata("ingest", photos, "--workspace", tmp_path / "w")
    assert cvdata("scan", "--workspace", tmp_path / "w", "--measures", "fhash") == 2
    assert "phash" in capsys.readouterr().err
    assert cvdata("ingest", tmp_path / "nowhere", "--workspace", tmp_path / "w") == 2


def test_hostile_neighbours_change_no_row(tmp_path: Path) -> None:
    """The whole corpus of odd files beside good ones: each has its code, they keep their rows."""
    photos, clean, where = tmp_path / "photos", tmp_path / "clean", tmp_path / "w"
    make_photos(photos, range(80))
    cvdata("ingest", photos, "--workspace", clean)
    assert cvdata("scan", "--workspace", clean) == 0
    expected = {}
    for i, case in enumerate(cases()):
        name = f"{i * 7 % 80:05d}-{i:03d}-{Path(case.name).name}"
        (photos / name).write_bytes(case.data)
        expected[name.encode()] = None if case.code is None else str(case.code)
    assert len(expected) >= 80
    cvdata("ingest", photos, "--workspace", where, "--all-files")
    assert cvdata("scan", "--workspace", where, "--max-error-rate", "1") == 3
    workspace = Workspace(str(where))
    keys = workspace.read("records", ["image_id", "key"])["key"].to_pylist()
    rows = workspace.read("measures")
    found = dict(zip(keys, rows["error"].to_pylist(), strict=True))
    assert {k: found[k] for k in expected} == expected
    mine = rows.filter(pa.array([k not in expected for k in keys]))
    assert rows_digest(mine) == rows_digest(Workspace(str(clean)).read("measures"))
