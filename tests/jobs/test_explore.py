"""explore writes clusters to look at, tells of SemDeDup, and drops nothing."""

from pathlib import Path

import numpy as np
import pytest

from cvdata import Workspace
from tests.jobs.flows import cvdata, make_photos
from tests.outliers.making import workspace_of

MODEL = ("--model", "tests.jobs.test_dedup_history:Corners", "--table", "corners")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures and a smaller copy of four of them, embedded."""
    folder = tmp_path_factory.mktemp("explore")
    make_photos(folder / "photos" / "large", range(12), (192, 144))
    make_photos(folder / "photos" / "small", range(4), (96, 72))
    where = folder / "w"
    assert cvdata("ingest", folder / "photos", "--workspace", where) == 0
    measures = ("--measures", "file,geometry,pixel_digest,phash")
    assert cvdata("scan", "--workspace", where, *measures) == 0
    assert cvdata("infer", "--workspace", where, *MODEL) == 0
    return where


@pytest.mark.parametrize("method", ["dbscan", "kmeans", "semdedup"])
def test_each_method_has_its_rows(
    embedded: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--method", method, "--threshold", "0.97", "--clusters", "3")
    before = Workspace(str(embedded)).head.tables
    assert cvdata("explore", "--workspace", embedded, *more) == 0
    workspace = Workspace(str(embedded))
    rows = workspace.read(f"clusters/{method}").to_pylist()
    assert len(rows) == 16
    names = dict(
        zip(
            *(
                workspace.read("records", ["image_id", "key"])[c].to_pylist()
                for c in ("image_id", "key")
            ),
            strict=True,
        )
    )
    cluster = {names[r["image_id"]].decode(): r["cluster"] for r in rows}
    for i in range(4):
        assert cluster[f"small/{i:05d}.jpg"] == cluster[f"large/{i:05d}.jpg"]
    if method == "dbscan":
        assert all(cluster[f"large/{i:05d}.jpg"] == -1 for i in range(4, 12))
    told = capsys.readouterr().out
    placed = 8 if method == "dbscan" else 16
    assert f"explore: {method} puts {placed} of 16 images" in told
    assert ("at cosine 0.97" in told) == (method != "kmeans"), "k-means asks for no cosine"
    if method == "semdedup":
        dropped = [r for r in rows if not r["keep"]]
        assert len(dropped) == 4
        assert all(names[r["like"]][-9:] == names[r["image_id"]][-9:] for r in dropped)
        assert "star groups (cvdata dedup) drop 4, " in told
    kept = {n: s for n, s in workspace.head.tables.items() if not n.startswith("clusters/")}
    assert kept == {n: s for n, s in before.items() if not n.startswith("clusters/")}


def test_what_cannot_be_clustered(embedded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cvdata("explore", "--workspace", embedded) == 2
    assert "cvdata calibrate" in capsys.readouterr().err
    missing = ("--embeddings", "other", "--threshold", "0.9")
    assert cvdata("explore", "--workspace", embedded, *missing) == 2
    assert "embeddings/corners" in capsys.readouterr().err


def test_kmeans_needs_no_threshold(embedded: Path) -> None:
    """Nothing is known of this model's cosines, and k-means compares with none."""
    assert cvdata("explore", "--workspace", embedded, "--method", "kmeans") == 0
    assert Workspace(str(embedded)).head.tables["clusters/kmeans"].meta["threshold"] is None


@pytest.mark.parametrize("method", ["dbscan", "kmeans", "semdedup"])
def test_vectors_without_a_direction_and_equal_ones(
    tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = np.tile(np.eye(8, dtype=np.float32)[:2], (10, 1))
    vectors[0], vectors[1, 3], vectors[2] = np.nan, np.inf, 0
    workspace_of(tmp_path / "w", vectors)
    more = ("--method", method, "--threshold", "0.9", "--clusters", "5")
    assert cvdata("explore", "--workspace", tmp_path / "w", *more) == 0
    rows = Workspace(str(tmp_path / "w")).read(f"clusters/{method}").to_pylist()
    assert len(rows) == 17
    assert "puts 17 of 17 images into 2 clusters" in capsys.readouterr().out
