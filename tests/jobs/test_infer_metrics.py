"""infer measures what it said: metrics against labels, boxes and masks, and against yesterday."""

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from PIL import Image
from sklearn import metrics as sk

from cvdata import Workspace
from cvdata.image import open_image
from cvdata.models import Task
from tests.jobs.flows import cvdata, make_photos
from tests.jobs.odd_judges import COLOURS
from tests.models.conftest import default_model

JUDGE = ("--model", "tests.jobs.odd_judges:Judge")
TABLE = "predictions/tests.jobs.odd_judges-Judge"
METRICS = "metrics/tests.jobs.odd_judges-Judge"
FOLDERS = ("--label-from-folder", "--split-from-folder")
MASKED = ("--source-options", "images=images", "--source-options", "masks=masks")
N = 60


def _ask(where: Path, *words: object) -> int:
    return cvdata("infer", "--workspace", where, *JUDGE, *words)


def _numbers(where: Path, table: str = METRICS, scope: str = "all", group: str = "") -> dict:
    rows = Workspace(str(where)).read(table).to_pylist()
    mine = [r for r in rows if (r["scope"], r["group"]) == (scope, group)]
    return {row["metric"]: row["value"] for row in mine}


def _told(where: Path, table: str = METRICS) -> dict:
    return json.loads(Workspace(str(where)).artifact(f"{table}.json"))


def _config(path: Path, **parameters: object) -> Path:
    path.write_text(json.dumps({"parameters": parameters}))
    return path


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one colour in folders by split and name; every seventh lies in a wrong one."""
    folder = tmp_path_factory.mktemp("coloured")
    names = list(COLOURS)
    rng = np.random.default_rng(3)
    for i in range(N):
        true = i % len(names)
        said = names[(true + (i % 7 == 0)) % len(names)]
        noise = rng.integers(-20, 21, (40, 60, 3))
        pixels = np.clip(np.array(COLOURS[said]) + noise, 0, 255).astype(np.uint8)
        path = folder / ("train" if i % 3 else "test") / names[true] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def test_metrics_are_those_of_scikit_learn(coloured: Path, tmp_path: Path) -> None:
    where = tmp_path / "w"
    cvdata("ingest", coloured, "--workspace", where, *FOLDERS)
    assert _ask(where) == 0
    workspace = Workspace(str(where))
    records = workspace.read("records", ["image_id", "label", "split"])
    rows = workspace.read(TABLE)
    names = list(COLOURS)
    truth = np.array([names.index(lb) for lb in records["label"].to_pylist()])
    said = pc.list_element(rows["label_ids"], 0).to_numpy()
    assert 0 < (truth != said).sum() < N
    ours = _numbers(where)
    assert ours["n_images"] == N
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(truth, said))
    for name in ("precision", "recall", "f1"):
        oracle = getattr(sk, f"{name}_score")(truth, said, average="macro")
        assert ours[name] == pytest.approx(oracle)
    scores = np.zeros((N, len(names)))
    for row, (ids, values) in enumerate(
        zip(rows["label_ids"].to_pylist(), rows["scores"].to_pylist(), strict=True)
    ):
        scores[row, ids] = values
    area = np.mean([sk.roc_auc_score(truth == c, scores[:, c]) for c in range(len(names))])
    assert ours["auroc"] == pytest.approx(area)
    is_test = np.array(records["split"].to_pylist()) == "test"
    by_split = _numbers(where, scope="split", group="test")
    assert by_split["accuracy"] == pytest.approx(sk.accuracy_score(truth[is_test], said[is_test]))
    recalls = sk.recall_score(truth, said, average=None)
    for label, recall in zip(names, recalls, strict=True):
        assert _numbers(where, scope="label", group=label)["recall"] == pytest.approx(recall)
    told = _told(where)
    matrix = sk.confusion_matrix(truth, said)
    np.fill_diagonal(matrix, 0)
    assert {(c["truth"], c["predicted"]): c["n"] for c in told["confusions"]} == {
        (names[t], names[p]): matrix[t, p] for t, p in zip(*np.nonzero(matrix), strict=True)
    }
    wrong = {i.hex() for i, bad in zip(records["image_id"].to_pylist(), truth != said) if bad}  # noqa: B905
    assert {one["image_id"] for one in told["hardest"]} == wrong
    assert sum(told["calibration"]["n"]) == N
    assert told["comparison"] is None


def test_only_a_change_measures_again(coloured: Path, tmp_path: Path) -> None:
    where = tmp_path / "w"
    cvdata("ingest", coloured, "--workspace", where, *FOLDERS)
    assert _ask(where) == 0
    n = len(Workspace(str(where)).commits())
    assert _ask(where) == 0
    assert len(Workspace(str(where)).commits()) == n, "nothing moved, nothing is committed"
    swapped = tmp_path / "infer.yaml"
    swapped.write_text("classes: {red: blue, blue: red}\n")
    before = _numbers(where)["accuracy"]
    assert _ask(where, "--config", swapped) == 0
    assert _numbers(where)["accuracy"] < before, "other names for the labels, other numbers"
    assert _ask(where, "--no-evaluate") == 0
    assert METRICS not in Workspace(str(where)).tables()


def test_a_nightly_run_tells_what_moved_and_warns(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "w"
    cvdata("ingest", coloured, "--workspace", where, *FOLDERS)
    limits = ("--max-label-flips", "0.1", "--max-score-drift", "0.9")
    assert _ask(where, *limits) == 0
    assert "label_flips" not in _numbers(where)
    changed = ("--config", _config(tmp_path / "new.yaml", weights="b"), "--replace")
    capsys.readouterr()
    assert _ask(where, *changed, *limits) == 3
    assert "label_flips 0.3333 is over --max-label-flips 0.1" in capsys.readouterr().out
    numbers = _numbers(where)
    assert numbers["label_flips"] == pytest.approx(1 / 3), "the second weights call green red"
    assert numbers["n_compared"] == N
    flips = _told(where)["comparison"]["flips"]
    assert len(flips) == N / 3
    assert {(f["before"], f["after"]) for f in flips} == {("green", "red")}
    assert Workspace(str(where)).tables()[TABLE] == N, "a warning is committed"
    assert _ask(where, *changed, *limits) == 0, "the same again: nothing moved since"


def test_embeddings_are_measured_and_their_drift_warns(coloured: Path, tmp_path: Path) -> None:
    default_model(Task.EMBED)
    where = tmp_path / "w"
    cvdata("ingest", coloured, "--workspace", where, *FOLDERS)
    ask = ("infer", "--workspace", where, "--model", "tests.jobs.odd_judges:Colour")
    assert cvdata(*ask, "--max-embedding-drift", "0.01") == 0
    table = "metrics/tests.jobs.odd_judges-Colour-embed"
    numbers = _numbers(where, table)
    kept = Workspace(str(where)).read("embeddings/tests.jobs.odd_judges-Colour")
    labels = Workspace(str(where)).read("records", ["label"])["label"].to_pylist()
    likeness = np.array(kept["embedding"].to_pylist()) @ np.array(kept["embedding"].to_pylist()).T
    np.fill_diagonal(likeness, -1)
    nearest = [labels[i] for i in likeness.argmax(axis=1)]
    assert numbers["precision_at_1"] == pytest.approx(
        np.mean(np.array(nearest) == labels), abs=0.05
    )
    assert 0 < numbers["verification_eer"] < 0.4
    turned = ("--config", _config(tmp_path / "turned.yaml", turn=True), "--replace")
    assert cvdata(*ask, *turned, "--max-embedding-drift", "0.01") == 3
    rows = Workspace(str(where)).read("embeddings/tests.jobs.odd_judges-Colour")
    vectors = np.array(rows["embedding"].to_pylist())
    drift = 1 - (vectors * vectors[:, ::-1]).sum(axis=1)
    assert _numbers(where, table)["embedding_drift"] == pytest.approx(drift.mean(), abs=1e-6)


def test_masks_are_measured_by_their_pixels(tmp_path: Path, shared_data: Path) -> None:
    folder, where = tmp_path / "p", tmp_path / "w"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for path in sorted((shared_data / "person_masks" / kind).iterdir())[:12]:
            (folder / kind / path.name).write_bytes(path.read_bytes())
    cvdata("ingest", folder, "--workspace", where, *MASKED)
    ask = ("infer", "--workspace", where, "--model", "tests.jobs.odd_judges:Bright")
    assert cvdata(*ask) == 0
    truth, said = [], []
    for path in sorted((folder / "images").iterdir()):
        rgb = open_image(path.read_bytes()).rgb
        mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png"))
        rows, columns = (
            np.floor((np.arange(n) + 0.5) * have / n).astype(int)
            for n, have in zip(mask.shape, rgb.shape, strict=False)
        )
        truth.append((mask > 0).ravel())
        said.append((rgb.mean(axis=2) > 128)[np.ix_(rows, columns)].ravel())
    ours = _numbers(where, "metrics/tests.jobs.odd_judges-Bright")
    assert ours["n_images"] == 12
    every, found = np.concatenate(truth), np.concatenate(said)
    assert ours["mean_iou"] == pytest.approx(sk.jaccard_score(every, found, average="macro"))
    assert ours["mean_dice"] == pytest.approx(sk.f1_score(every, found, average="macro"))
    assert ours["pixel_accuracy"] == pytest.approx(sk.accuracy_score(every, found))
    each = [sk.jaccard_score(t, s) for t, s in zip(truth, said, strict=True)]
    assert ours["image_iou"] == pytest.approx(np.mean(each))
    hardest = _told(where, "metrics/tests.jobs.odd_judges-Bright")["hardest"]
    assert [h["iou"] for h in hardest] == pytest.approx(sorted(each))


def test_the_default_model_is_right_on_real_images(tmp_path: Path, shared_data: Path) -> None:
    """The files lie in the order of every other class of ImageNet: 0, 2, 4, …"""
    default_model(Task.CLASSIFY)
    files = sorted((shared_data / "imagenet_sample").glob("*.JPEG"))
    assert len(files) == 500
    lines, classes = ["path,label"], {}
    for i, path in enumerate(files):
        wnid = path.name.partition("_")[0]
        lines.append(f"{path},{wnid}")
        classes[wnid] = str(2 * i)
    (tmp_path / "list.csv").write_text("\n".join(lines))
    config, where = tmp_path / "infer.yaml", tmp_path / "w"
    config.write_text(json.dumps({"classes": classes}))
    roots = ("--source-options", f"roots={files[0].parent}")
    assert cvdata("ingest", tmp_path / "list.csv", "--workspace", where, *roots) == 0
    assert cvdata("infer", "--workspace", where, "--task", "classify", "--config", config) == 0
    workspace = Workspace(str(where))
    truth = [int(classes[lb]) for lb in workspace.read("records", ["label"])["label"].to_pylist()]
    said = workspace.read("predictions/default")["label_ids"].to_pylist()
    top1 = np.mean([t == ids[0] for t, ids in zip(truth, said, strict=True)])
    top5 = np.mean([t in ids for t, ids in zip(truth, said, strict=True)])
    assert top1 == pytest.approx(0.838, abs=0.02)
    assert top5 == pytest.approx(0.964, abs=0.015)
    numbers = _numbers(where, "metrics/default")
    assert numbers["accuracy"] == pytest.approx(top1)
    assert numbers["top5"] == pytest.approx(top5)


def test_what_has_no_truth_has_no_metrics(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", range(5))
    cvdata("ingest", tmp_path / "photos", "--workspace", tmp_path / "w")
    assert _ask(tmp_path / "w") == 0
    assert set(Workspace(str(tmp_path / "w")).tables()) == {"records", TABLE}


def test_another_task_in_the_same_table_is_not_compared(coloured: Path, tmp_path: Path) -> None:
    where = tmp_path / "w"
    cvdata("ingest", coloured, "--workspace", where, *FOLDERS)
    assert _ask(where, "--max-label-flips", "0") == 0
    bright = ("infer", "--workspace", where, "--model", "tests.jobs.odd_judges:Bright")
    same = ("--table", "tests.jobs.odd_judges-Judge", "--max-label-flips", "0")
    assert cvdata(*bright, *same) == 2, "the answers of the first stay"
    assert cvdata(*bright, *same, "--replace") == 0
    assert METRICS not in Workspace(str(where)).tables(), "there are no masks to measure against"
