"""explore writes clusters to look at, tells of SemDeDup, and drops nothing."""

from pathlib import Path

import pytest

from cvdata import Workspace
from tests.jobs.flows import cvdata, make_photos

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
    assert f"explore: {method} puts 16 images" in told
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
