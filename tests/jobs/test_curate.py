"""The main job on the sample, on an embedded Ray: what was planted is found."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cvdata import Workspace
from cvdata.cli import main
from cvdata.sample import Truth, make_sample
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata, make_photos
from tests.tables.flows import rows_digest


@pytest.fixture(scope="module")
def curated(
    tmp_path_factory: pytest.TempPathFactory, ray_up: None
) -> tuple[Path, Truth, Workspace]:
    folder = tmp_path_factory.mktemp("curate")
    truth = make_sample(folder / "photos")
    assert _curate(folder) == 3, "4.7 % of the sample cannot be read: above the warning rate"
    return folder, truth, Workspace(str(folder / "w"))


def _curate(folder: Path, *more: str) -> int:
    words = ["curate", str(folder / "photos"), "--workspace", str(folder / "w")]
    flags = ["--label-from-folder", "--split-from-folder", "--engine", "ray", "--workers", "2"]
    return main([*words, *flags, *more])


def _by_path(workspace: Workspace, table: str) -> dict[bytes, dict[str, object]]:
    keys = workspace.read("records", ["image_id", "key"])
    names = dict(zip(keys["image_id"].to_pylist(), keys["key"].to_pylist(), strict=True))
    return {names[row["image_id"]]: row for row in workspace.read(table).to_pylist()}


def _raw(names: object) -> set[bytes]:
    return {decode_path(str(n)) for n in names}  # type: ignore[attr-defined]


def test_every_file_is_a_record_with_its_label_and_split(
    curated: tuple[Path, Truth, Workspace],
) -> None:
    _, truth, workspace = curated
    records = _by_path(workspace, "records")
    assert set(records) == _raw(truth.files)
    for name, known in truth.files.items():
        row = records[decode_path(name)]
        assert (row["label"], row["split"]) == (known.label, known.split), name
        assert row["size_bytes"] == known.size_bytes or known.sha256 is None


def test_every_bad_file_has_exactly_its_code(curated: tuple[Path, Truth, Workspace]) -> None:
    _, truth, workspace = curated
    rows = _by_path(workspace, "measures")
    found = {path: row["error"] for path, row in rows.items() if row["error"]}
    assert found == {decode_path(n): code for n, code in truth.errors.items()}
    assert all(rows[path]["error_detail"] is not None for path in found)


def test_bytes_and_metadata_are_those_of_the_truth(
    curated: tuple[Path, Truth, Workspace],
) -> None:
    _, truth, workspace = curated
    rows = _by_path(workspace, "measures")
    with_exif = 0
    for name, known in truth.files.items():
        row = rows[decode_path(name)]
        if row["error"]:
            continue
        assert row["sha256"] == bytes.fromhex(str(known.sha256)), name
        if known.exif:
            with_exif += 1
            assert row["exif_make"] == known.exif.get("make"), name
            assert row["exif_model"] == known.exif.get("model"), name
            assert row["has_gps"] == known.exif.get("has_gps", False), name
    assert with_exif > 50


def test_planted_issues_are_flagged(curated: tuple[Path, Truth, Workspace]) -> None:
    _, truth, workspace = curated
    found = _flagged(workspace)
    for issue, planted in truth.issues.items():
        if issue == "mismatched_label":
            continue
        missed = _raw(planted) - found.get(issue, set())
        assert not missed, f"{issue}: {missed}"


def test_where_a_definition_decides_exactly_nothing_else_is_flagged(
    curated: tuple[Path, Truth, Workspace],
) -> None:
    _, truth, workspace = curated
    found = _flagged(workspace)
    for issue, expected in truth.expected_flags.items():
        assert found.get(issue, set()) == _raw(expected), issue


def _flagged(workspace: Workspace) -> dict[str, set[bytes]]:
    keys = workspace.read("records", ["image_id", "key"])
    names = dict(zip(keys["image_id"].to_pylist(), keys["key"].to_pylist(), strict=True))
    issues = workspace.read("issues")
    found: dict[str, set[bytes]] = {}
    for row in issues.filter(issues["is_flagged"]).to_pylist():
        found.setdefault(row["issue"], set()).add(names[row["image_id"]])
    return found


def test_exact_copies_have_equal_digests(curated: tuple[Path, Truth, Workspace]) -> None:
    _, truth, workspace = curated
    rows = _by_path(workspace, "measures")
    n_bytes = n_pixels = 0
    for group in truth.duplicates:
        base = rows[decode_path(group.base)]
        for copy in group.copies:
            row = rows[decode_path(copy.path)]
            if copy.edit == "byte_copy":
                n_bytes += 1
                assert row["sha256"] == base["sha256"]
            if copy.edit.startswith("resaved"):
                n_pixels += 1
                assert row["pixel_digest"] == base["pixel_digest"]
                assert row["sha256"] != base["sha256"]
    assert n_bytes >= 10
    assert n_pixels >= 10


def test_the_law_of_conservation_and_verify(curated: tuple[Path, Truth, Workspace]) -> None:
    _, truth, workspace = curated
    rows = workspace.read("measures", ["error"])
    assert len(rows) == len(truth.files)
    assert len(rows) - rows["error"].null_count == len(truth.errors)
    assert workspace.verify() == []


def test_the_ten_questions_are_answered(curated: tuple[Path, Truth, Workspace]) -> None:
    _, truth, workspace = curated
    answers = json.loads(workspace.artifact("summary.json"))
    assert [q["number"] for q in answers["questions"]] == list(range(1, 11))
    assert all(q["answer"] for q in answers["questions"])
    counts = workspace.read("counts")
    scope = pc.and_(pc.equal(counts["scope"], "all"), pc.equal(counts["field"], "error"))
    errors = counts.filter(scope)
    found = dict(zip(errors["value"].to_pylist(), errors["n"].to_pylist(), strict=True))
    assert found.pop("ok") == len(truth.files) - len(truth.errors)
    codes = list(truth.errors.values())
    assert found == {code: codes.count(code) for code in set(codes)}


def test_the_report_names_every_bad_file(curated: tuple[Path, Truth, Workspace]) -> None:
    folder, truth, workspace = curated
    path = folder / "w" / "report" / str(workspace.head.seq) / "report.html"
    page = path.read_text(encoding="utf-8")
    for name in truth.errors:
        stem = os.fsdecode(decode_path(name)).rsplit("/", 1)[-1]
        if stem.isascii() and stem.isprintable():
            assert stem in page, stem
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(page) < 10_000_000


def test_a_second_run_changes_nothing(curated: tuple[Path, Truth, Workspace]) -> None:
    folder, _, workspace = curated
    before = {n: rows_digest(workspace.read(n)) for n in ("measures", "issues", "counts")}
    seq = workspace.head.seq
    assert _curate(folder) == 3
    again = Workspace(str(folder / "w"))
    assert again.head.seq == seq
    assert {n: rows_digest(again.read(n)) for n in before} == before


def test_tables_join_on_image_id_alone(curated: tuple[Path, Truth, Workspace]) -> None:
    _, _, workspace = curated
    measures = workspace.read("measures", ["image_id", "width"])
    records = workspace.read("records", ["image_id", "label"])
    joined = records.join(measures, "image_id", join_type="inner")
    assert joined.num_rows == records.num_rows == measures.num_rows
    assert joined.schema.field("width").type == pa.int32()


def test_a_plan_goes_on_where_a_job_needs_those_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ingested, not scanned: what needs measures or embeddings says so, and the run would work."""
    make_photos(tmp_path / "photos", range(3))
    where = ("--workspace", tmp_path / "w")
    assert cvdata("ingest", tmp_path / "photos", *where) == 0
    for flags in ((), ("--model", "default")):
        assert cvdata("curate", tmp_path / "photos", *where, *flags, "--dry-run") == 0
        told = capsys.readouterr().out
        assert "plan: not before the jobs above have run" in told
        assert "no measures yet" in told
    assert Workspace(str(tmp_path / "w")).head.seq == 1
