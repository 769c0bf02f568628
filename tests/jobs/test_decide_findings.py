"""Outliers, doubted labels and augmented copies: rows of other jobs drop as told, and are told."""

from pathlib import Path

import pyarrow as pa
import pytest

from cvdata import Workspace, schema
from cvdata.schema_augmented import AUGMENTED
from tests.jobs.flows import cvdata, make_photos

RULES = "outliers: {lof: drop, other: warn}\nlabel_issues: {knn: drop, other: ignore}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos: 0 and 1 flagged by lof, 1 and 2 by knn_distance, labels of 3 and 4 doubted."""
    folder = tmp_path_factory.mktemp("findings")
    make_photos(folder / "photos" / "cat", range(6))
    place = ("--workspace", folder / "w")
    assert cvdata("ingest", folder / "photos", *place, "--label-from-folder") == 0
    write(folder / "w")
    (folder / "rules.yaml").write_text(RULES)
    assert cvdata("decide", *place, "--config", folder / "rules.yaml") == 0
    return folder


def write(where: Path) -> None:
    workspace = Workspace(str(where))
    rows = {r["key"]: r for r in workspace.read("records").to_pylist()}
    image = [rows[f"cat/{i:05d}.jpg".encode()] for i in range(6)]
    shared = {"score": 0.9, "rank": 1, "explanation": '{"far": 3}'}
    outliers = [
        _key(image[i]) | shared | {"method": method, "class": None, "is_flagged": i != 5}
        for i, method in [(0, "lof"), (1, "lof"), (1, "knn"), (2, "knn"), (5, "lof")]
    ]
    doubts = [
        _key(image[i])
        | shared
        | {"method": method, "label": "cat", "suggested": "dog", "is_flagged": True}
        for i, method in [(3, "knn"), (4, "confident")]
    ]
    copies = [
        {f.name: None for f in AUGMENTED}
        | {"image_id": bytes([v]) * 16, "revision": "r", "parent_id": image[5]["image_id"]}
        | {"parent_revision": "r", "variant": v, "policy": "light", "seed": 0, "partners": []}
        | {"uri": f"/made/{v}.jpg"}
        for v in range(2)
    ]
    seq = workspace.head.seq
    with workspace.change("test", {}) as change:
        for name, found, columns in (
            ("outliers", outliers, schema.OUTLIERS),
            ("label_issues", doubts, schema.LABEL_ISSUES),
            ("augmented/light", copies, AUGMENTED),
        ):
            table = pa.Table.from_pylist(found, schema=columns)
            change.replace(name, [table], columns, meta={"computed_from": seq})


def _key(row: dict[str, object]) -> dict[str, object]:
    return {"image_id": row["image_id"], "revision": row["revision"]}


def told(folder: Path, i: int, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    place = ("--workspace", folder / "w")
    assert cvdata("decide", *place, "--explain", f"cat/{i:05d}.jpg") == 0
    return capsys.readouterr().out


def test_each_drops_or_warns_as_its_method_says(folder: Path) -> None:
    workspace = Workspace(str(folder / "w"))
    records = {r["image_id"]: r["key"] for r in workspace.read("records").to_pylist()}
    found = {
        int(records[r["image_id"]][4:9]): (r["keep"], r["reasons"])
        for r in workspace.read("selection").to_pylist()
    }
    assert found == {
        0: (False, ["outlier:lof"]),
        1: (False, ["outlier:lof", "outlier:knn"]),
        2: (True, ["outlier:knn"]),
        3: (False, ["label_issue"]),
        4: (True, []),
        5: (True, []),
    }


def test_they_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(folder, 1, capsys)
    assert "outlier:lof: unlike all others by lof" in text
    assert 'lof: flagged, score 0.9, rank 1: {"far": 3}' in text
    assert "(only a warning)" in told(folder, 2, capsys)
    text = told(folder, 3, capsys)
    assert "label_issue: its label is doubted" in text
    assert "knn: flagged, doubt 0.900, rank 1, looks like dog" in text
    text = told(folder, 5, capsys)
    assert "KEPT" in text
    assert "light 0: /made/0.jpg" in text
    assert "light 1: /made/1.jpg" in text


def test_a_method_that_has_not_run_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--workspace", folder / "w", "--outliers", "lot=drop")
    assert cvdata("decide", *flags) == 2
    assert "did you mean 'lof'" in capsys.readouterr().err


def test_it_is_stale_once_images_were_ingested(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(folder / "more", range(6, 7))
    place = ("--workspace", folder / "w")
    assert cvdata("ingest", folder / "more", *place, "--source-name", "more") == 0
    capsys.readouterr()
    assert "tables have changed since this was decided" in told(folder, 5, capsys)
    assert cvdata("decide", *place) == 2
    said = capsys.readouterr().err
    assert "run `cvdata outliers" in said
    assert "`cvdata labels" in said
    assert cvdata("decide", *place, "--stale", "use") == 0
