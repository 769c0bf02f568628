"""labels end to end: flips on the sample are found, copies do not leak, Ray finds the same."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from cvdata import Workspace
from cvdata.runs import label_issues
from cvdata.sample import Truth
from tests.jobs.flows import cvdata
from tests.jobs.labelled import doubted, flipped, true_labels
from tests.tables.flows import rows_digest

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def noisy(
    embedded: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, tuple[Path, set[bytes], dict[bytes, str]]]:
    """By seed: the workspace with 5 % of its labels flipped, which are wrong, and what is true."""
    folder, truth = embedded
    true = true_labels(folder / "w", truth)
    made = {}
    for seed in SEEDS:
        where = tmp_path_factory.mktemp("labels") / "w"
        flipped(folder / "w", where, 0.05, seed, set(true))
        assert cvdata("labels", "--workspace", where) == 0
        rows = Workspace(str(where)).read("records", ["image_id", "label"]).to_pylist()
        wrong = {r["image_id"] for r in rows if r["label"] != true.get(r["image_id"], r["label"])}
        made[seed] = where, wrong, true
    return made


Noisy = dict[int, tuple[Path, set[bytes], dict[bytes, str]]]


@pytest.mark.parametrize(("method", "floor"), [("consensus", 0.8), ("confident_learning", 0.8)])
def test_flipped_labels_are_found(noisy: Noisy, method: str, floor: float) -> None:
    """5 % flips, and the 22 wrong labels that the sample has by itself: over three draws."""
    n_flagged = n_wrong = n_hit = n_right = 0
    for where, wrong, true in noisy.values():
        found = doubted(where, method)
        hits = set(found) & wrong
        n_flagged, n_wrong, n_hit = n_flagged + len(found), n_wrong + len(wrong), n_hit + len(hits)
        n_right += sum(found[i]["suggested"] == true[i] for i in hits)
    print(f"{method}: precision {n_hit / n_flagged:.3f}, recall {n_hit / n_wrong:.3f}")
    assert n_hit / n_flagged >= floor, f"precision {n_hit / n_flagged:.3f}"
    assert n_hit / n_wrong >= 0.8, f"recall {n_hit / n_wrong:.3f}"
    assert n_right / n_hit >= 0.9


def test_ranks_follow_scores_and_flags_explain_themselves(noisy: Noisy) -> None:
    where, _, _ = noisy[1]
    rows = Workspace(str(where)).read("label_issues").to_pylist()
    ids = {i.hex() for i in Workspace(str(where)).read("records")["image_id"].to_pylist()}
    for method in ("knn", "confident_learning", "consensus"):
        mine = sorted((r for r in rows if r["method"] == method), key=lambda r: r["rank"])
        assert [r["rank"] for r in mine] == list(range(1, len(mine) + 1))
        scores = [r["score"] for r in mine]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= s <= 1 for s in scores)
        for row in mine:
            assert row["label"] != row["suggested"]
            assert (row["explanation"] is not None) == row["is_flagged"]
            if row["is_flagged"] and method != "confident_learning":
                near = json.loads(row["explanation"])["nearest"]
                assert {i for i, _ in near} <= ids
                assert row["image_id"].hex() not in {i for i, _ in near}


def test_copies_neither_vote_nor_teach(noisy: Noisy) -> None:
    where, _, _ = noisy[1]
    workspace = Workspace(str(where))
    groups = {
        r["image_id"].hex(): r["group_id"]
        for r in workspace.read("duplicates").to_pylist()
        if r["method"] == "any"
    }
    for row in doubted(where, "knn").values():
        mine = groups.get(row["image_id"].hex())
        near = [i for i, _ in json.loads(str(row["explanation"]))["nearest"]]
        assert all(groups.get(i) != mine for i in near if mine is not None)


def test_a_second_run_commits_nothing_and_a_setting_does(noisy: Noisy, tmp_path: Path) -> None:
    shutil.copytree(noisy[1][0], tmp_path / "w")
    seq = Workspace(str(tmp_path / "w")).head.seq
    assert cvdata("labels", "--workspace", tmp_path / "w") == 0
    assert Workspace(str(tmp_path / "w")).head.seq == seq
    assert cvdata("labels", "--workspace", tmp_path / "w", "--neighbors", "7") == 0
    assert Workspace(str(tmp_path / "w")).head.seq == seq + 1


@pytest.mark.usefixtures("ray_up")
def test_ray_finds_the_same(noisy: Noisy, tmp_path: Path) -> None:
    where = noisy[2][0]
    shutil.copytree(where, tmp_path / "w")
    flags = ("--workers", "2", "--refresh")
    assert cvdata("labels", "--workspace", tmp_path / "w", *flags, engine="ray") == 0
    a, b = (Workspace(str(w)).read("label_issues") for w in (where, tmp_path / "w"))
    assert rows_digest(a) == rows_digest(b)


def test_ranges_change_nothing(
    noisy: Noisy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = noisy[2][0]
    shutil.copytree(where, tmp_path / "w")
    monkeypatch.setattr(label_issues, "RANGE_ROWS", 60)
    assert cvdata("labels", "--workspace", tmp_path / "w", "--refresh") == 0
    a, b = (Workspace(str(w)).read("label_issues") for w in (where, tmp_path / "w"))
    assert rows_digest(a) == rows_digest(b)


def test_a_doubted_label_is_an_issue(noisy: Noisy, tmp_path: Path) -> None:
    """Whichever of eda and labels ran last; the other issues stay as they were."""

    def issues() -> tuple[set[bytes], list[tuple[bytes, str, float]]]:
        rows = Workspace(str(tmp_path / "w")).read("issues").to_pylist()
        mine = [r for r in rows if r["issue"] == "mismatched_label"]
        assert all(r["is_flagged"] == (r["severity"] > 0.5) for r in mine)
        others = [(r["image_id"], r["issue"], r["severity"]) for r in rows if r not in mine]
        return {r["image_id"] for r in mine if r["is_flagged"]}, others

    shutil.copytree(noisy[1][0], tmp_path / "w")
    where = tmp_path / "w"
    assert cvdata("eda", "--workspace", where) == 0
    first, others = issues()
    assert first == set(doubted(where, "consensus"))
    assert len(first) > 20
    assert cvdata("labels", "--workspace", where, "--margin", "0.8") == 0
    second, others_then = issues()
    assert second == set(doubted(where, "consensus"))
    assert second < first
    assert others_then == others
    seq = Workspace(str(where)).head.seq
    assert cvdata("eda", "--workspace", where) == 0
    assert Workspace(str(where)).head.seq == seq, "eda's issues are those of its measures still"


def predicted(where: Path, rows: list[dict[str, object]], name: str, boxes: bool = False) -> None:
    """A table of predictions, as a model of another project would have left it."""
    fields = [
        pa.field("image_id", pa.binary(16), nullable=False),
        pa.field("revision", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("error_detail", pa.string()),
        pa.field("label_ids", pa.list_(pa.int32())),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("scores", pa.list_(pa.float32())),
    ]
    if boxes:
        fields.append(pa.field("xyxy", pa.list_(pa.list_(pa.float32(), 4))))
    schema = pa.schema(fields)
    with Workspace(str(where)).change("infer", {}) as change:
        change.replace(f"predictions/{name}", [pa.Table.from_pylist(rows, schema)], schema)


def test_a_models_scores_find_flips_even_of_rare_classes(noisy: Noisy, tmp_path: Path) -> None:
    shutil.copytree(noisy[3][0], tmp_path / "w")
    where, wrong, true = tmp_path / "w", noisy[3][1], noisy[3][2]
    records = Workspace(str(where)).read("records", ["image_id", "revision"]).to_pylist()
    classes = sorted(set(true.values()))
    rows = []
    for r in records:
        if (label := true.get(r["image_id"])) is not None:
            scores = [0.999 if c == label else 0.001 / (len(classes) - 1) for c in classes]
            ids = list(range(len(classes)))
            rows.append({**r, "label_ids": ids, "labels": classes, "scores": scores})
    predicted(where, rows, "oracle")
    flags = ("--predictions", "oracle", "--embeddings", "")
    assert cvdata("labels", "--workspace", where, *flags) == 0
    assert set(doubted(where, "model")) == wrong
    assert set(doubted(where, "confident_learning")) == wrong
    assert all(r["suggested"] == true[i] for i, r in doubted(where, "model").items())


def test_requests_that_cannot_be_met(
    embedded: tuple[Path, Truth], capsys: pytest.CaptureFixture[str]
) -> None:
    where = embedded[0] / "w"
    for flags, said in (
        (("--embeddings", "none"), "cvdata infer"),
        (("--embeddings", "", "--predictions", "x"), "cvdata infer"),
        (("--embeddings", ""), "nothing was asked"),
        (("--boxes", "x"), "no detector's table"),
        (("--min-class", "5000"), "Lower --min-class"),
    ):
        assert cvdata("labels", "--workspace", where, *flags) == 2
        assert said in capsys.readouterr().err
    for flags in (("--embeddings", "none"), ("--embeddings", "")):
        assert cvdata("labels", "--workspace", where, *flags, "--dry-run") == 2, "as the run would"
    assert cvdata("labels", "--workspace", where, "--dry-run") == 0
    assert "label_issues" not in Workspace(str(where)).tables()
