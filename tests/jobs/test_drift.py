"""drift as a gate: halves of one set agree; blurred, darkened and relabelled halves alarm."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cvdata.cli import main
from cvdata.runs import drift_sides
from cvdata.sample import Truth
from tests.jobs.flows import cvdata

MEASURES = "file,geometry,color,exposure,sharpness,noise"
DRIFTED = 8


@pytest.fixture(scope="module")
def halves(
    embedded: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Workspaces: the clean tiles of the sample in two random halves, and the second one edited."""
    folder = tmp_path_factory.mktemp("drift")
    sample, truth = embedded
    clean = sorted(
        path
        for path, entry in truth.files.items()
        if entry.plants in ((), ("clean",)) and path.endswith(".jpg") and path not in truth.errors
    )
    order = np.random.default_rng(0).permutation(len(clean))
    sides = {"a": order[::2], "b": order[1::2]}
    edits = {
        "a": lambda im: im,
        "b": lambda im: im,
        "blurred": lambda im: im.filter(ImageFilter.GaussianBlur(2)),
        "dark": lambda im: im.point(lambda v: v * 0.55),
    }
    classes = sorted({truth.files[path].label for path in clean})
    rng = np.random.default_rng(1)
    made = {}
    for name in ("a", "b", "blurred", "dark", "relabelled"):
        for at in sides.get(name, sides["b"]):
            path = clean[at]
            label = str(rng.choice(classes)) if name == "relabelled" else truth.files[path].label
            target = folder / name / "train" / label / f"{at:05d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(sample / "photos" / path) as opened:
                edits.get(name, edits["b"])(opened.convert("RGB")).save(target, compress_level=1)
        where = made[name] = folder / f"w_{name}"
        flags = ("--label-from-folder", "--split-from-folder")
        assert cvdata("ingest", folder / name, "--workspace", where, *flags) == 0
        more = ("--measures", MEASURES, "--model", "default")
        assert cvdata("scan", "--workspace", where, *more) == 0
    return made


def drift(a: object, b: object, where: Path, *flags: object) -> tuple[int, dict[str, object]]:
    code = main(["drift", str(a), str(b), "--json-file", str(where / "d.json"), *map(str, flags)])
    return code, json.loads((where / "d.json").read_text())


def alarms(found: dict[str, object], kind: str = "") -> set[str]:
    checks = found["checks"]
    assert isinstance(checks, list)
    return {c["name"] for c in checks if c["is_alarm"] and kind in ("", c["kind"])}


def test_a_random_split_does_not_alarm(halves: dict[str, Path], tmp_path: Path) -> None:
    code, found = drift(halves["a"], halves["b"], tmp_path)
    assert (code, alarms(found), found["is_drifted"]) == (0, set(), False)
    assert drift(halves["b"], halves["a"], tmp_path)[0] == 0
    assert drift(f"{halves['a']}:train", f"{halves['b']}@2", tmp_path)[0] == 0


@pytest.mark.parametrize(
    ("edited", "kind", "name"),
    [
        ("blurred", "measure", "laplacian_variance"),
        ("dark", "measure", "brightness_mean"),
        ("relabelled", "agreement", "labels"),
    ],
)
def test_an_edited_half_alarms(
    halves: dict[str, Path], tmp_path: Path, edited: str, kind: str, name: str
) -> None:
    code, found = drift(halves["a"], halves[edited], tmp_path)
    assert code == DRIFTED
    assert name in alarms(found, kind)
    assert found["is_drifted"] is True
    if edited == "relabelled":
        assert alarms(found, "measure") == set()


def test_blur_is_seen_in_the_embeddings_and_by_its_images(
    halves: dict[str, Path], tmp_path: Path
) -> None:
    page = tmp_path / "d.html"
    code, found = drift(halves["a"], halves["blurred"], tmp_path, "--html", page)
    assert code == DRIFTED
    assert alarms(found, "embedding")
    assert found["drivers"]
    html = page.read_text("utf-8")
    assert "data:image" in html
    assert 'http-equiv="Content-Security-Policy"' in html
    assert html.count("<svg") >= 8


def test_it_repeats_to_the_byte(
    halves: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for _ in range(2):
        main(["drift", str(halves["a"]), str(halves["dark"]), "--json-file", "-"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_ranges_change_nothing(
    halves: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drift(halves["a"], halves["blurred"], tmp_path)
    monkeypatch.setattr(drift_sides, "MEASURE_RANGE", 20)
    monkeypatch.setattr(drift_sides, "VECTOR_RANGE", 20)
    assert drift(halves["a"], halves["blurred"], tmp_path) == whole


@pytest.mark.usefixtures("ray_up")
def test_ray_finds_the_same(halves: dict[str, Path], tmp_path: Path) -> None:
    serial = drift(halves["a"], halves["blurred"], tmp_path)
    assert drift(halves["a"], halves["blurred"], tmp_path, "--engine", "ray") == serial


def test_without_embeddings_the_measures_name_the_images(
    halves: dict[str, Path], tmp_path: Path
) -> None:
    code, found = drift(halves["a"], halves["blurred"], tmp_path, "--embeddings", "")
    assert code == DRIFTED
    drivers = found["drivers"]
    assert isinstance(drivers, list)
    assert drivers
    assert {d["reason"] for d in drivers} <= alarms(found, "measure")


def test_limits_are_the_operators(halves: dict[str, Path], tmp_path: Path) -> None:
    wide = ("--limits.psi", "99", "--limits.ks", "1", "--limits.frechet", "99", "--limits.mmd", "9")
    flags = (*wide, "--limits.agreement", "1")
    assert drift(halves["a"], halves["dark"], tmp_path, *flags)[0] == 0


def test_what_is_not_there_is_said(
    halves: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a = halves["a"]
    for side, said in (
        (f"{a}@99", "no commit 99"),
        (f"{a}:test", "no split 'test'"),
        ("/no/such/place", "is it a workspace"),
    ):
        assert main(["drift", str(a), side]) == 2
        assert said in capsys.readouterr().err
    assert main(["drift", str(a), str(a), "--embeddings", "x"]) == 2
    assert "not in both" in capsys.readouterr().err
