"""outliers end to end: planted strangers come first, any engine gives the same, flags explain."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from cvdata import Workspace
from cvdata.models import Task
from cvdata.outliers.settings import DEFAULT_METHODS, ON_EMBEDDINGS
from cvdata.runs.outliers import PCA_ROWS
from tests.jobs.flows import cvdata
from tests.models.conftest import default_model
from tests.outliers.making import ids_of, workspace_of
from tests.tables.flows import rows_digest

N, FOREIGN, D = 400, 8, 24


def vectors() -> np.ndarray:
    """Three kinds of unit vectors; the last `FOREIGN` are another kind, close together."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (4, D))
    group = np.append(rng.integers(0, 3, N - FOREIGN), np.full(FOREIGN, 3))
    rows = centres[group] + rng.normal(0, 1, (N, D)) * np.where(group == 3, 0.05, 0.4)[:, None]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def made(where: Path) -> Workspace:
    rng = np.random.default_rng(1)
    labels = ["tram" if i % 3 else "seal" for i in range(N - 5)] + ["yak"] * 5
    red = rng.normal(120, 10, N)
    red[0] = 250
    histograms = rng.dirichlet(np.full(16, 50), N).astype(np.float32)
    histograms[1] = np.eye(16)[3]
    measures = {"mean_r": red, "entropy": rng.normal(6, 1, N), "hist_r": histograms}
    boxes = [["car"] for _ in range(N - 1)] + [["car", "meteor"]]
    return workspace_of(where, vectors(), labels, measures, boxes)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("outliers") / "w"
    made(where)
    assert cvdata("outliers", "--workspace", where) == 0
    return where


def rows_of(where: Path, method: str, of: str | None = None) -> dict[bytes, dict[str, object]]:
    rows = Workspace(str(where)).read("outliers").to_pylist()
    return {r["image_id"]: r for r in rows if r["method"] == method and r["class"] == of}


def test_every_method_scores_every_image_and_every_large_class(found: Path) -> None:
    for method in (*DEFAULT_METHODS, "consensus"):
        assert len(rows_of(found, method)) == N, method
        classes = len(rows_of(found, method, "tram")) + len(rows_of(found, method, "seal"))
        assert classes == N - 5, method
        assert not rows_of(found, method, "yak"), "five images are no class to compare with"


def test_planted_strangers_come_first(found: Path) -> None:
    foreign = set(ids_of(N)[-FOREIGN:])
    for method in ("knn", "lof", "mahalanobis", "one_class_svm", "kmeans", "consensus"):
        rows = rows_of(found, method)
        truth = [i in foreign for i in rows]
        assert roc_auc_score(truth, [r["score"] for r in rows.values()]) >= 0.98, method
    assert rows_of(found, "robust_z")[ids_of(N)[0]]["rank"] == 1
    assert rows_of(found, "histogram")[ids_of(N)[1]]["rank"] == 1
    assert rows_of(found, "objects")[ids_of(N)[-1]]["rank"] == 1


def test_ranks_follow_scores(found: Path) -> None:
    for method in (*DEFAULT_METHODS, "consensus"):
        for of in (None, "tram", "seal"):
            rows = list(rows_of(found, method, of).values())
            scores = np.array([r["score"] for r in rows])
            expected = [1 + int((scores > s).sum()) for s in scores]
            assert [r["rank"] for r in rows] == expected, (method, of)


def test_flags_explain_themselves(found: Path) -> None:
    known = {i.hex() for i in ids_of(N)}
    needs = {
        "robust_z": "measures",
        "histogram": "histograms",
        "kmeans": "cluster",
        "objects": "objects",
        "consensus": "rank_by_method",
    }
    n_flagged = 0
    for method in (*DEFAULT_METHODS, "consensus"):
        for of in (None, "tram"):
            for row in rows_of(found, method, of).values():
                assert (row["explanation"] is not None) == row["is_flagged"]
                if not row["is_flagged"]:
                    continue
                n_flagged += 1
                told = json.loads(str(row["explanation"]))
                assert told["score"] == pytest.approx(row["score"], rel=1e-3)
                assert needs.get(method, "neighbors") in told, method
                if method in ON_EMBEDDINGS:
                    assert {n["image_id"] for n in told["neighbors"]} <= known
                    assert row["image_id"].hex() not in {  # type: ignore[attr-defined]
                        n["image_id"] for n in told["neighbors"]
                    }
                    assert "usual" in told
    assert n_flagged > 30


def test_knn_scores_through_the_job_are_scikit_learns(tmp_path: Path) -> None:
    """Nothing trimmed, nothing projected away: distances of the embeddings themselves."""
    made(tmp_path / "w")
    flags = ("--methods", "knn", "--trim", "0", "--variance", "1", "--dimensions", D)
    assert cvdata("outliers", "--workspace", tmp_path / "w", *flags) == 0
    found = rows_of(tmp_path / "w", "knn")
    expected = NearestNeighbors(n_neighbors=10).fit(vectors()).kneighbors()[0].mean(axis=1)
    scores = [found[key]["score"] for key in ids_of(N)]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    within = rows_of(tmp_path / "w", "knn", "seal")
    keys = [key for key in ids_of(N) if key in within]
    seals = vectors()[[key in within for key in ids_of(N)]]
    expected = NearestNeighbors(n_neighbors=10).fit(seals).kneighbors()[0].mean(axis=1)
    np.testing.assert_allclose([within[key]["score"] for key in keys], expected, rtol=1e-4)


def test_nothing_new_is_nothing_to_do(found: Path, tmp_path: Path) -> None:
    shutil.copytree(found, tmp_path / "w")
    seq = Workspace(str(found)).head.seq
    assert cvdata("outliers", "--workspace", tmp_path / "w") == 0
    assert Workspace(str(tmp_path / "w")).head.seq == seq, "same inputs, same settings"
    assert cvdata("outliers", "--workspace", tmp_path / "w", "--neighbors", "5") == 0
    assert Workspace(str(tmp_path / "w")).head.seq == seq + 1
    assert not [p for p in (tmp_path / "w" / "_tmp").rglob("*") if p.is_file()]


def test_a_second_computation_is_the_same_to_the_bit(found: Path, tmp_path: Path) -> None:
    shutil.copytree(found, tmp_path / "w")
    assert cvdata("outliers", "--workspace", tmp_path / "w", "--refresh") == 0
    a, b = (Workspace(str(f)).read("outliers") for f in (found, tmp_path / "w"))
    assert rows_digest(a) == rows_digest(b)
    methods = ("--methods", "isolation_forest", "--seed")
    digests = []
    for seed in ("0", "1"):
        assert cvdata("outliers", "--workspace", tmp_path / "w", *methods, seed) == 0
        digests.append(rows_digest(Workspace(str(tmp_path / "w")).read("outliers")))
    assert digests[0] != digests[1], "the seed is heard"


@pytest.mark.usefixtures("ray_up")
def test_the_cluster_finds_the_same(found: Path, tmp_path: Path) -> None:
    shutil.copytree(found, tmp_path / "w")
    flags = ("--refresh", "--workers", "2")
    assert cvdata("outliers", "--workspace", tmp_path / "w", *flags, engine="ray") == 0
    a, b = (Workspace(str(f)).read("outliers") for f in (found, tmp_path / "w"))
    assert rows_digest(a) == rows_digest(b)


def test_ranges_and_class_tasks_change_nothing(
    found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset cut into ranges, and classes cut into buckets with guests."""
    monkeypatch.setattr("cvdata.runs.outliers.MOST_ROWS", 128)
    monkeypatch.setattr("cvdata.runs.outliers_scoring.CLASS_BUCKET", 100)
    monkeypatch.setattr("cvdata.runs.outliers_scoring.PACKED", 50)
    shutil.copytree(found, tmp_path / "w")
    assert cvdata("outliers", "--workspace", tmp_path / "w", "--refresh") == 0
    a, b = (
        Workspace(str(f))
        .read("outliers")
        .sort_by([("method", "ascending"), ("class", "ascending"), ("image_id", "ascending")])
        for f in (found, tmp_path / "w")
    )
    for name in ("image_id", "method", "class", "rank", "is_flagged"):
        assert a[name].to_pylist() == b[name].to_pylist(), name
    np.testing.assert_allclose(a["score"], b["score"], rtol=1e-6)


def test_the_sample_is_what_is_fitted_on(tmp_path: Path) -> None:
    made(tmp_path / "w")
    assert N < PCA_ROWS
    flags = ("--methods", "knn,mahalanobis", "--sample", "150")
    assert cvdata("outliers", "--workspace", tmp_path / "w", *flags) == 0
    figures = json.loads(Workspace(str(tmp_path / "w")).artifact("outliers.json"))
    assert 110 <= figures["n_sample"] <= 190
    assert len(rows_of(tmp_path / "w", "knn")) == N, "all are scored"


def test_a_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = made(tmp_path / "w")
    assert cvdata("outliers", "--workspace", tmp_path / "w", "--dry-run") == 0
    assert "400 images" in capsys.readouterr().out
    assert workspace.refresh().head.seq == 1


def test_requests_that_cannot_be_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "w")
    for flags, words in (
        (("--methods", "knm"), "unknown outlier methods knm"),
        (("--embeddings", "clip"), "cvdata infer"),
        (("--predictions", "yolo"), "cvdata infer"),
        (("--flags", '{"knn": {"fence": 1, "above": 2}}'), "exactly one"),
    ):
        assert cvdata("outliers", "--workspace", tmp_path / "w", *flags) == 2
        assert words in capsys.readouterr().err
    workspace_of(tmp_path / "bare", None, None, {"width": np.full(30, 9.0)})
    assert cvdata("outliers", "--workspace", tmp_path / "bare", "--methods", "knn") == 2
    assert "cvdata infer" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["copies", "constant", "few", "none"])
def test_datasets_that_say_little(kind: str, tmp_path: Path) -> None:
    """Copies only, constants only, fewer images than neighbours, embeddings that all failed."""
    n = 6 if kind == "few" else 60
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (n, D)).astype(np.float32)
    if kind == "copies":
        rows[:] = rows[0]
    if kind == "none":
        rows[:] = np.nan
    facts = {"mean_r": np.full(n, 7.0), "entropy": rng.normal(0, 1, n)}
    if kind == "constant":
        facts["entropy"][:] = 3
    workspace_of(tmp_path / "w", rows, ["a"] * n, facts)
    assert cvdata("outliers", "--workspace", tmp_path / "w") == 0
    figures = json.loads(Workspace(str(tmp_path / "w")).artifact("outliers.json"))
    if kind == "constant":
        assert "no measure that varies" in figures["skipped"]["robust_z"]
    else:
        assert figures["skipped"]["knn"]
        assert len(rows_of(tmp_path / "w", "robust_z")) == n


def test_blood_cells_among_photographs(shared_data: Path, tmp_path: Path) -> None:
    """2 % of another world, embedded by the default model, each method and all together."""
    default_model(Task.EMBED)
    for name, files in (
        ("photos", sorted((shared_data / "imagenet_sample").glob("*.JPEG"))),
        ("cells", sorted((shared_data / "bccd").rglob("*.jpg"))[::36][:10]),
    ):
        (tmp_path / "images" / name).mkdir(parents=True)
        for file in files:
            shutil.copy(file, tmp_path / "images" / name / file.name)
    where = tmp_path / "w"
    cvdata("ingest", tmp_path / "images", "--workspace", where)
    few = ("--measures", "geometry,color,exposure,sharpness,noise")
    assert cvdata("scan", "--workspace", where, "--model", "default", *few) in (0, 3)
    assert cvdata("outliers", "--workspace", where) == 0
    keys = Workspace(str(where)).read("records", ["image_id", "key"]).to_pylist()
    cells = {r["image_id"] for r in keys if r["key"].startswith(b"cells")}
    assert len(cells) == 10
    for method in ("knn", "lof", "mahalanobis", "consensus"):
        rows = rows_of(where, method)
        truth = [i in cells for i in rows]
        assert roc_auc_score(truth, [r["score"] for r in rows.values()]) >= 0.98, method
        assert sum(rows[i]["is_flagged"] for i in cells) >= 9, method
