"""Small, lopsided and partly broken tables: outliers, labels, map and drift say what they can."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cvdata import Workspace
from cvdata.cli import main
from tests.jobs.flows import cvdata
from tests.outliers.making import ids_of, workspace_of

D = 24


def vectors(n: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Unit vectors around a centre for each class, and the classes."""
    rng = np.random.default_rng(seed)
    centres, group = rng.normal(0, 1, (n_classes, D)), np.arange(n) % n_classes
    rows = centres[group] + rng.normal(0, 0.2, (n, D))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), [f"c{g:03d}" for g in group]


def made(where: Path, rows: np.ndarray, labels: list[str]) -> Path:
    facts = {"mean_r": np.random.default_rng(1).normal(100, 9, len(rows))}
    workspace_of(where, rows.astype(np.float32), labels, facts)
    return where


def methods_of(where: Path, table: str) -> dict[str, set[bytes]]:
    rows = Workspace(str(where)).read(table).to_pylist()
    return {
        m: {r["image_id"] for r in rows if r["method"] == m} for m in {r["method"] for r in rows}
    }


def test_vectors_without_a_direction_are_left_out(tmp_path: Path) -> None:
    rows, labels = vectors(90, 3)
    labels[40], labels[89] = "c002", "alone"
    rows[0], rows[1, 3], rows[2] = np.nan, np.inf, 0
    where = made(tmp_path / "w", rows, labels)
    ids = ids_of(90)
    named = ("--workspace", where, "--embeddings", "made")
    assert cvdata("outliers", *named) == 0
    assert methods_of(where, "outliers")["knn"] == set(ids[2:]), "zeros are a place, if an odd one"
    assert cvdata("labels", *named) == 0
    rows_ = Workspace(str(where)).read("label_issues").to_pylist()
    flagged = {r["image_id"] for r in rows_ if r["is_flagged"] and r["method"] == "consensus"}
    assert flagged == {ids[40]}
    assert cvdata("map", *named, "--steps", "60", "--perplexity", "9") == 0
    placed = Workspace(str(where)).read("map/made")["image_id"].to_pylist()
    assert set(placed) == set(ids[3:])
    assert main(["drift", str(where), str(where), "--embeddings", "made"]) == 0


@pytest.mark.parametrize("kind", ["few", "one_class", "a_hundred_classes", "copies", "constant"])
def test_lopsided_sets_are_judged_or_refused_in_words(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, n_classes = {"few": (24, 2), "one_class": (60, 1), "a_hundred_classes": (500, 100)}.get(
        kind, (60, 3)
    )
    rows, labels = vectors(n, n_classes)
    if kind == "copies":
        rows = rows[np.arange(n) % n_classes]
    if kind == "constant":
        rows[:] = rows[0]
    where = made(tmp_path / "w", rows, labels)
    named = ("--workspace", where, "--embeddings", "made")
    assert cvdata("outliers", *named) == 0
    found = methods_of(where, "outliers")
    assert len(found["robust_z"]) == n
    assert ("knn" in found) == (kind in ("few", "one_class", "a_hundred_classes"))
    code = cvdata("labels", *named)
    if kind == "one_class":
        assert code == 2
        assert "two are needed to tell labels apart" in capsys.readouterr().err
        return
    assert code == 0
    judged = Workspace(str(where)).read("label_issues").to_pylist()
    assert [r for r in judged if r["is_flagged"] and r["method"] == "consensus"] == []


def test_half_precision_says_the_same(tmp_path: Path) -> None:
    """Vectors that half precision holds exactly, stored as float16 and as float32."""
    rows, labels = vectors(80, 2)
    rows = rows.astype(np.float16).astype(np.float32)
    scores = []
    for name in ("single", "half"):
        where = made(tmp_path / name, rows, labels)
        if name == "half":
            _halve(where, rows)
        assert cvdata("outliers", "--workspace", where, "--methods", "knn,lof,mahalanobis") == 0
        scores.append(Workspace(str(where)).read("outliers").drop_columns(["explanation"]))
    assert scores[0].equals(scores[1])


def _halve(where: Path, rows: np.ndarray) -> None:
    workspace = Workspace(str(where))
    old = workspace.read("embeddings/made")
    flat = pa.array(rows.astype(np.float16).ravel())
    by_id = {key: i for i, key in enumerate(ids_of(len(rows)))}
    at = pa.array([by_id[key] for key in old["image_id"].to_pylist()])
    halved = pa.FixedSizeListArray.from_arrays(flat, D).take(at)
    table = old.set_column(old.schema.get_field_index("embedding"), "embedding", halved)
    with workspace.change("made", {}) as change:
        change.replace("embeddings/made", [table], table.schema, meta={"dimension": D})


def test_infinite_measures_say_nothing(tmp_path: Path) -> None:
    """Of a measure from outside: they were a traceback, and drowned what else was odd."""
    rng = np.random.default_rng(0)
    red, histogram = rng.normal(100, 9, 60), rng.random((60, 16))
    green = red.copy()
    green[:3], green[30] = (np.inf, -np.inf, np.nan), 1000
    histogram[7, 2], histogram[8, 2] = np.inf, np.nan
    workspace_of(tmp_path / "w", None, None, {"mean_r": red, "mean_g": green, "hist_r": histogram})
    assert cvdata("outliers", "--workspace", tmp_path / "w") == 0
    rows = Workspace(str(tmp_path / "w")).read("outliers").to_pylist()
    ids = ids_of(60)
    best = {r["method"]: r["image_id"] for r in rows if r["rank"] == 1}
    assert best["robust_z"] == ids[30]
    assert methods_of(tmp_path / "w", "outliers")["histogram"] == {*ids[:7], *ids[9:]}
