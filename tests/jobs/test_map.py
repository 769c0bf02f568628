"""map end to end: a place for each image, classes together, the same wherever it is computed."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from cvdata import Workspace
from cvdata.projection import Layouting, lay_out
from cvdata.runs import map as map_run
from cvdata.sample import Truth
from tests.jobs.flows import cvdata
from tests.jobs.labelled import true_labels
from tests.outliers.making import workspace_of
from tests.tables.flows import rows_digest

QUICK = ("--fit-rows", "300", "--steps", "250")


@pytest.fixture(scope="module")
def mapped(embedded: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("map") / "w"
    shutil.copytree(embedded[0] / "w", where)
    assert cvdata("map", "--workspace", where, *QUICK) == 0
    return where


def test_every_embedded_image_has_a_place(mapped: Path) -> None:
    workspace = Workspace(str(mapped))
    rows = workspace.read("map/default")
    vectors = workspace.read("embeddings/default", ["image_id", "error"])
    vectors = vectors.filter(pc.is_null(vectors["error"]))
    assert rows["image_id"].to_pylist() == vectors["image_id"].to_pylist()
    assert sum(rows["is_fitted"].to_pylist()) == 300
    for axis in ("x", "y"):
        assert np.abs(np.asarray(rows[axis])).max() <= 1


def neighbours_alike(points: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose nearest point on the map is of their class."""
    apart = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    return float((labels[apart.argmin(axis=1)] == labels).mean())


def test_classes_lie_together_those_placed_too(mapped: Path, embedded: tuple[Path, Truth]) -> None:
    true = true_labels(mapped, embedded[1])
    everyone = Workspace(str(mapped)).read("map/default").to_pylist()
    rows = [r for r in everyone if r["image_id"] in true]
    points = np.array([(r["x"], r["y"]) for r in rows])
    labels = np.array([true[r["image_id"]] for r in rows])
    assert neighbours_alike(points, labels) > 0.6
    placed = np.array([not r["is_fitted"] for r in rows])
    apart = ((points[placed, None] - points[None, ~placed]) ** 2).sum(axis=2)
    assert (labels[~placed][apart.argmin(axis=1)] == labels[placed]).mean() > 0.6


def test_a_second_run_commits_nothing(mapped: Path) -> None:
    seq = Workspace(str(mapped)).head.seq
    assert cvdata("map", "--workspace", mapped, *QUICK) == 0
    assert Workspace(str(mapped)).head.seq == seq


@pytest.mark.usefixtures("ray_up")
def test_ray_draws_the_same(mapped: Path, tmp_path: Path) -> None:
    shutil.copytree(mapped, tmp_path / "w")
    flags = (*QUICK, "--workers", "2", "--refresh")
    assert cvdata("map", "--workspace", tmp_path / "w", *flags, engine="ray") == 0
    a, b = (Workspace(str(w)).read("map/default") for w in (mapped, tmp_path / "w"))
    assert rows_digest(a) == rows_digest(b)


def test_ranges_change_nothing(
    mapped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(mapped, tmp_path / "w")
    monkeypatch.setattr(map_run, "RANGE_ROWS", 60)
    assert cvdata("map", "--workspace", tmp_path / "w", *QUICK, "--refresh") == 0
    a, b = (Workspace(str(w)).read("map/default") for w in (mapped, tmp_path / "w"))
    assert rows_digest(a) == rows_digest(b)


def test_places_hang_on_the_image_alone() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 32))
    rows = (centres[rng.integers(0, 4, 160)] + rng.normal(0, 0.2, (160, 32))).astype(np.float32)
    layout = lay_out(rows[:100], Layouting(steps=100))
    together, alone = layout.place(rows[100:]), [layout.place(r[None])[0] for r in rows[100:]]
    assert np.array_equal(together, np.array(alone))
    again = lay_out(rows[:100], Layouting(steps=100))
    assert np.array_equal(layout.points, again.points)


def test_too_little_is_said(mapped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cvdata("map", "--workspace", mapped, "--embeddings", "none") == 2
    assert "cvdata infer" in capsys.readouterr().err


def test_equal_images_lie_in_one_place(tmp_path: Path) -> None:
    """They were NaN, NaN. One of the last bits differs, as a model's do in another batch."""
    vectors = np.tile(np.eye(8, dtype=np.float32)[0], (12, 1))
    vectors[3, 1] = 1e-7
    workspace_of(tmp_path / "w", vectors)
    named = ("--workspace", tmp_path / "w", "--embeddings", "made")
    assert cvdata("map", *named, "--fit-rows", "8") == 0
    rows = Workspace(str(tmp_path / "w")).read("map/made")
    assert set(rows["x"].to_pylist()) | set(rows["y"].to_pylist()) == {0.0}
    assert rows["is_fitted"].to_pylist().count(True) == 8


def test_too_few_images_are_refused_before_they_are_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace_of(tmp_path / "w", np.eye(4, dtype=np.float32))
    named = ("--workspace", tmp_path / "w", "--embeddings", "made")
    for flags in ((), ("--dry-run",)):
        assert cvdata("map", *named, *flags) == 2
        assert "has 4 vectors; a map needs 5" in capsys.readouterr().err
