"""Balance end to end: counts reach their target, the diverse stay, weights are the formulas'."""

import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cvdata import Workspace, schema
from cvdata.balance import k_center
from tests.jobs.flows import cvdata

TRAIN = {"a": 21, "b": 6, "one": 1}
OTHERS = {"val/a": 4, "val/b": 2}
DIM = 4


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty-handed files (nothing here looks at pixels) in classes and splits, with embeddings."""
    folder = tmp_path_factory.mktemp("balance")
    counts = {f"train/{label}": n for label, n in TRAIN.items()} | OTHERS
    for place, n in counts.items():
        (folder / "photos" / place).mkdir(parents=True)
        for i in range(n):
            (folder / "photos" / place / f"{i}.jpg").write_bytes(b"x")
    flags = ("--label-from-folder", "--split-from-folder")
    assert cvdata("ingest", folder / "photos", "--workspace", folder / "w", *flags) == 0
    write_embeddings(folder / "w")
    return folder / "w"


def write_embeddings(where: Path) -> None:
    workspace = Workspace(str(where))
    rows = workspace.read("records", ["image_id", "revision"])
    vectors = np.random.default_rng(4).normal(size=(len(rows), DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
    table = rows.append_column("embedding", lists)
    with workspace.change("test", {}) as change:
        change.replace("embeddings/mine", [table], table.schema)


def balanced(listed: Path, tmp_path: Path, *flags: str) -> Workspace:
    """A copy of the workspace, decided with these options of `balance`."""
    shutil.copytree(listed, tmp_path / "w")
    assert cvdata("decide", "--workspace", tmp_path / "w", *flags) == 0
    return Workspace(str(tmp_path / "w"))


def rows_of(workspace: Workspace) -> list[dict[str, object]]:
    """Each image: record, selection, n_copies."""
    copies = {}
    if "budget" in workspace.tables():
        assert workspace.read("budget").schema.equals(schema.BUDGET)
        copies = {r["image_id"]: r["n_copies"] for r in workspace.read("budget").to_pylist()}
    records = {r["image_id"]: r for r in workspace.read("records").to_pylist()}
    return [
        records[r["image_id"]] | r | {"n_copies": copies.get(r["image_id"], 0)}
        for r in workspace.read("selection").to_pylist()
    ]


def achieved(workspace: Workspace, split: str = "train") -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows_of(workspace):
        assert row["keep"] or not row["n_copies"]
        if row["split"] == split and row["keep"]:
            counts[str(row["label"])] += 1 + int(str(row["n_copies"]))
    return dict(counts)


def test_both_ways_every_class_is_within_one_of_the_target(listed: Path, tmp_path: Path) -> None:
    flags = ("--balance.target", "equal", "--balance.undersample", "random")
    workspace = balanced(listed, tmp_path, *flags, "--balance.oversample", "augment")
    total = sum(TRAIN.values())
    found = achieved(workspace)
    assert set(found) == set(TRAIN)
    assert all(abs(n - total / 3) < 1 for n in found.values())
    assert sum(found.values()) == total
    assert achieved(workspace, "val") == {"a": 4, "b": 2}, "evaluation is left alone"
    plan = json.loads(workspace.artifact("balance.json"))
    assert {c["label"]: c["achieved"] for c in plan["classes"]} == found
    (one,) = (row for row in rows_of(workspace) if row["label"] == "one")
    assert one["n_copies"] == found["one"] - 1
    for row in rows_of(workspace):
        assert row["keep"] or row["reasons"] == ["balance"]


def test_copies_of_a_class_are_spread_evenly(listed: Path, tmp_path: Path) -> None:
    flags = ("--balance.target", "equal", "--balance.oversample", "augment")
    workspace = balanced(listed, tmp_path, *flags, "--balance.max-copies", "30")
    assert achieved(workspace) == dict.fromkeys(TRAIN, 21)
    each = [int(str(r["n_copies"])) for r in rows_of(workspace) if r["label"] == "b"]
    train = [n for n in each if n]
    assert sum(train) == 15
    assert max(train) - min(train) <= 1
    assert each.count(0) == OTHERS["val/b"]


def test_a_plan_of_no_copies_is_written_too(listed: Path, tmp_path: Path) -> None:
    """Without the table augment would choose by itself; another config takes it away again."""
    workspace = balanced(listed, tmp_path, "--balance.oversample", "augment")
    assert len(workspace.read("budget")) == 0
    assert cvdata("decide", "--workspace", tmp_path / "w") == 0
    assert "budget" not in workspace.refresh().tables()


def test_shares_and_a_total(listed: Path, tmp_path: Path) -> None:
    flags = ("--balance.shares", "a=0.5,b=0.5", "--balance.total", "19")
    more = ("--balance.undersample", "random", "--balance.oversample", "augment")
    workspace = balanced(listed, tmp_path, *flags, *more)
    assert achieved(workspace) == {"a": 10, "b": 9, "one": 1}


def test_a_class_with_none_is_an_error_that_says_so(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(listed, tmp_path / "w")
    flags = ("--workspace", tmp_path / "w", "--balance.oversample", "augment")
    assert cvdata("decide", *flags, "--balance.shares", "a=1,zebra=1") == 2
    assert "'zebra': no image of it is left" in capsys.readouterr().err
    (tmp_path / "rules.yaml").write_text("sql: [{name: no b, where: \"label = 'b'\"}]")
    rules = ("--config", tmp_path / "rules.yaml", "--balance.target", "equal")
    assert cvdata("decide", *flags, *rules) == 2
    assert "'b': no image of it is left" in capsys.readouterr().err
    assert "selection" not in Workspace(str(tmp_path / "w")).tables()


def test_the_most_diverse_stay(listed: Path, tmp_path: Path) -> None:
    flags = ("--balance.shares", "a=1", "--balance.total", "8")
    more = ("--balance.undersample", "k_center", "--balance.embeddings", "mine")
    workspace = balanced(listed, tmp_path, *flags, *more)
    rows = [r for r in rows_of(workspace) if r["label"] == "a" and r["split"] == "train"]
    known = workspace.read("embeddings/mine").to_pylist()
    vector = {r["image_id"]: r["embedding"] for r in known}
    # from the same vectors by hand: rows in the order of their ids
    points = np.array([vector[r["image_id"]] for r in rows], np.float32)
    by_hand = {rows[i]["image_id"] for i in k_center(points, 8).tolist()}
    assert {r["image_id"] for r in rows if r["keep"]} == by_hand


@pytest.mark.parametrize("method", ["k_center", "hierarchical", "random"])
def test_what_you_keep_survives_a_cut(listed: Path, tmp_path: Path, method: str) -> None:
    (tmp_path / "keep").write_text("train/a/3.jpg\ntrain/a/17.jpg\n")
    flags = ("--balance.shares", "a=1", "--balance.total", "5", "--balance.embeddings", "mine")
    more = ("--balance.undersample", method, "--keep-list", str(tmp_path / "keep"))
    workspace = balanced(listed, tmp_path, *flags, *more)
    kept = {r["key"] for r in rows_of(workspace) if r["keep"] and r["label"] == "a"}
    assert {b"train/a/3.jpg", b"train/a/17.jpg"} <= kept
    assert achieved(workspace)["a"] == 5


@pytest.mark.parametrize("method", ["inverse", "effective"])
def test_weights_by_class(listed: Path, tmp_path: Path, method: str) -> None:
    workspace = balanced(listed, tmp_path, "--balance.weights", method, "--balance.beta", "0.9")
    raw = {
        "inverse": {c: sum(TRAIN.values()) / (3 * n) for c, n in TRAIN.items()},
        "effective": {c: (1 - 0.9) / (1 - 0.9**n) for c, n in TRAIN.items()},
    }[method]
    scale = 1.0 if method == "inverse" else 3 / sum(raw.values())
    for row in rows_of(workspace):
        expected = raw[str(row["label"])] * scale if row["split"] == "train" else 1.0
        assert row["weight"] == pytest.approx(expected, rel=1e-6)


def test_weights_count_the_copies_to_come(listed: Path, tmp_path: Path) -> None:
    flags = ("--balance.target", "equal", "--balance.oversample", "augment")
    more = ("--balance.weights", "inverse", "--balance.max-copies", "30")
    workspace = balanced(listed, tmp_path, *flags, *more)
    assert {r["weight"] for r in rows_of(workspace)} == {1.0}, "balanced by copies: nothing left"


def test_repeats_by_weight(listed: Path, tmp_path: Path) -> None:
    flags = ("--balance.target", "equal", "--balance.oversample", "repeat")
    workspace = balanced(listed, tmp_path, *flags, "--balance.max-copies", "3")
    drawn: dict[str, float] = defaultdict(float)
    for row in rows_of(workspace):
        if row["split"] == "train":
            drawn[str(row["label"])] += float(str(row["weight"]))
    assert dict(drawn) == pytest.approx({"a": 21, "b": 21, "one": 4}, rel=1e-6)
    assert "budget" not in workspace.tables()


def test_repeat_factors_of_real_boxes(shared_data: Path, tmp_path: Path) -> None:
    """LVIS's formula over COCO's boxes, image by image."""
    where = tmp_path / "w"
    flags = ("--workspace", where)
    assert cvdata("ingest", shared_data / "coco256", *flags, "--format", "yolo") == 0
    more = ("--balance.weights", "repeat", "--balance.repeat-below", "0.1")
    assert cvdata("decide", *flags, *more) == 0
    workspace = Workspace(str(where))
    records = {r["image_id"]: r for r in workspace.read("records").to_pylist()}
    objects = {i: {b["label"] for b in r["boxes"] or []} for i, r in records.items()}
    train = [i for i, r in records.items() if r["split"] == "train"]
    assert 100 < len(train) < len(records)
    counts = Counter(label for i in train for label in objects[i])
    weights = set()
    for row in workspace.read("selection").to_pylist():
        labels = objects[row["image_id"]] if row["image_id"] in train else set()
        factors = [max(1.0, np.sqrt(0.1 * len(train) / counts[label])) for label in labels]
        assert row["weight"] == pytest.approx(max(factors, default=1.0), rel=1e-6)
        weights.add(row["weight"])
    assert len(weights) > 5


def test_smote_fills_classes_up_with_vectors(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--balance.smote", "--balance.embeddings", "mine")
    shutil.copytree(listed, tmp_path / "other")
    assert cvdata("decide", "--workspace", tmp_path / "other", *flags) == 2
    assert "'one' has 1 images" in capsys.readouterr().err
    (tmp_path / "drop").write_text("train/one/0.jpg\n")
    more = (*flags, "--drop-list", str(tmp_path / "drop"))
    capsys.readouterr()
    workspace = balanced(listed, tmp_path, *more)
    assert "smote: 15 vectors in synthetic/mine" in capsys.readouterr().out
    first = workspace.read("synthetic/mine")
    assert cvdata("decide", "--workspace", tmp_path / "w", *more, "--balance.seed", "1") == 0
    rows = workspace.refresh().read("synthetic/mine")
    assert rows != first, "made anew, in place of the old ones"
    assert rows["label"].to_pylist() == ["b"] * (TRAIN["a"] - TRAIN["b"])
    vectors = np.array(rows["embedding"].to_pylist())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not workspace.verify()
    assert cvdata("decide", "--workspace", tmp_path / "w") == 0
    assert "synthetic/mine" not in workspace.refresh().tables()


def test_options_that_cannot_be_met(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--workspace", listed, "--balance.undersample", "k_center")
    assert cvdata("decide", *flags) == 2
    assert "needs `embeddings`" in capsys.readouterr().err
    assert cvdata("decide", *flags, "--balance.embeddings", "absent") == 2
    assert "cvdata infer" in capsys.readouterr().err
    only = ("--balance.weights", "inverse", "--balance.splits", '["test"]')
    assert cvdata("decide", "--workspace", listed, *only) == 2
    assert "no image is kept in test" in capsys.readouterr().err
    assert "selection" not in Workspace(str(listed)).tables()
