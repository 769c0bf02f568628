"""dedup run again with more images: what was seen stays seen, what was settled stays settled."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvdata import Workspace
from cvdata.duplicates.thresholds import CALIBRATION
from tests.jobs.flows import cvdata
from tests.kernels.test_verification import form, photo


def _key(workspace: Workspace) -> dict[bytes, str]:
    rows = workspace.read("records", ["image_id", "key"])
    keys = [key.decode() for key in rows["key"].to_pylist()]
    return dict(zip(rows["image_id"].to_pylist(), keys, strict=True))


def _update(folder: Path) -> Workspace:
    where = folder / "w"
    flags = ("--split-from-folder", "--label-from-folder")
    assert cvdata("ingest", folder / "photos", "--workspace", where, *flags) == 0
    measures = ("--measures", "file,geometry,pixel_digest,phash")
    assert cvdata("scan", "--workspace", where, *measures) == 0
    assert cvdata("dedup", "--workspace", where) == 0
    return Workspace(str(where))


def _save(image: Image.Image, path: Path, quality: int = 92) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=quality)


def _verdicts(workspace: Workspace) -> dict[frozenset[str], bool | None]:
    names = _key(workspace)
    rows = workspace.read("pairs").to_pylist()
    return {
        frozenset((names[r["id_a"]], names[r["id_b"]])): r["is_verified"]
        for r in rows
        if r["method"] == "perceptual"
    }


def _groups(workspace: Workspace) -> dict[str, tuple[bytes, float]]:
    names = _key(workspace)
    rows = workspace.read("duplicates").to_pylist()
    return {
        names[r["image_id"]]: (r["group_id"], r["distance"]) for r in rows if r["method"] == "any"
    }


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two forms that differ in an amount, in two splits; a photograph and a copy of it."""
    folder = tmp_path_factory.mktemp("forms")
    _save(form("41.50"), folder / "photos" / "train" / "a" / "one.jpg")
    _save(form("97.20"), folder / "photos" / "test" / "a" / "two.jpg")
    _save(photo("coffee"), folder / "photos" / "train" / "b" / "coffee.jpg")
    _save(photo("coffee").resize((300, 200)), folder / "photos" / "train" / "b" / "small.jpg", 40)
    return folder


def test_a_pair_that_was_turned_down_stays_turned_down(forms: Path) -> None:
    pair = frozenset(("train/a/one.jpg", "test/a/two.jpg"))
    first = _update(forms)
    assert _verdicts(first)[pair] is False
    before = _groups(first)
    assert {"train/b/coffee.jpg", "train/b/small.jpg"} == set(before)
    for k, size in enumerate([(400, 262), (256, 168)]):
        _save(form("41.50").resize(size), forms / "photos" / "train" / "a" / f"more{k}.jpg", 80)
        _save(photo("coffee").resize(size), forms / "photos" / "train" / "b" / f"more{k}.jpg", 60)
        again = _update(forms)
        names = _key(again)
        assert _verdicts(again)[pair] is False
        groups = _groups(again)
        assert "test/a/two.jpg" not in groups
        assert f"train/a/more{k}.jpg" in groups
        leaks = again.read("leaks").to_pylist()
        assert not [r for r in leaks if {names[r["id_a"]], names[r["id_b"]]} == pair]
        for name, (_, distance) in before.items():
            assert groups[name][1] == distance, "a settled copy keeps its distance"


def test_bridges_and_components_are_of_pairs_that_stand(forms: Path) -> None:
    """The two forms are candidates of each other: chaining them is not what is reported."""
    import json

    workspace = _update(forms)
    figures = json.loads(workspace.artifact("dedup.json"))["methods"]["any"]
    sizes: dict[bytes, int] = {}
    for group, _ in _groups(workspace).values():
        sizes[group] = sizes.get(group, 0) + 1
    assert figures["components"] == sorted(sizes.values(), reverse=True)
    assert figures["n_bridges"] == 0
    assert figures["n_standing"] < figures["n_pairs"]


def test_embeddings_without_a_known_threshold_are_left_out_or_refused(
    forms: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    where = forms / "unknown"
    shutil.copytree(forms / "w", where)
    model = ("--model", "tests.jobs.test_dedup_history:Corners")
    assert cvdata("infer", "--workspace", where, *model, "--table", "corners") == 0
    capsys.readouterr()
    assert cvdata("dedup", "--workspace", where) == 0
    assert "semantic left out" in capsys.readouterr().out
    assert cvdata("dedup", "--workspace", where, "--methods", "semantic") == 2
    assert "cvdata calibrate" in capsys.readouterr().err
    more = (*model, "--table", "corners", "--edits", "resized_50,reencoded_q20", "--images", "4")
    assert cvdata("calibrate", "--workspace", where, *more) == 0
    assert CALIBRATION in Workspace(str(where)).head.artifacts
    assert cvdata("dedup", "--workspace", where) == 0
    out = capsys.readouterr().out
    assert "calibrated" in out
    methods = {r["method"] for r in Workspace(str(where)).read("pairs").to_pylist()}
    assert "semantic" in methods


class Corners:
    """An encoder for tests: the picture at 4 × 4, less its mean."""

    name = "corners"
    dimension, licence, labels = 48, "none", ()
    size = (4, 4)
    weights_digest = "0" * 64
    fingerprint = "corners-1"

    def __init__(self, **_: object) -> None:
        from cvdata.models.base import Task

        self.task = Task.EMBED

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def prepare(self, rgb: np.ndarray) -> object:
        from cvdata.models.base import Geometry, Prepared

        small = Image.fromarray(rgb).resize((4, 4), Image.Resampling.BOX)
        return Prepared(np.ascontiguousarray(small), Geometry(rgb.shape[1], rgb.shape[0]))

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        flat = np.stack(batch).reshape(len(batch), -1).astype(np.float32)
        flat += np.linspace(0, 1, flat.shape[1], dtype=np.float32)  # a grey image has a direction
        flat -= flat.mean(axis=1, keepdims=True)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)
