"""Gates for a model's numbers and for drift from a reference, from the command line to exit 8."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvdata.workspace import Workspace
from tests.jobs.flows import cvdata
from tests.jobs.odd_judges import COLOURS
from tests.nightly.photos import make_photos

JUDGE = "tests.jobs.odd_judges-Judge"
INFER = ("infer", "--model", "tests.jobs.odd_judges:Judge", "--summary", "json")
CHEAP = ("--measures", "file,geometry,exposure,sharpness,color")


def _answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return value


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    """Twenty plain pictures in folders by their colour, of which four lie in a wrong one."""
    names = list(COLOURS)
    for i in range(20):
        shown = names[(i + (i % 5 == 0)) % len(names)]
        path = tmp_path / "photos" / names[i % len(names)] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 60, 3), COLOURS[shown], np.uint8)).save(path)
    where = tmp_path / "w"
    cvdata("ingest", tmp_path / "photos", "--workspace", where, "--label-from-folder")
    return where


def test_a_model_is_held_to_its_numbers(coloured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infer = (*INFER, "--workspace", coloured)
    passes = ("--gates.min-metrics", f"{JUDGE}:accuracy=0.8", "--gates.max-metrics")
    assert cvdata(*infer, *passes, f"{JUDGE}:n_images=20") == 0
    gates = {gate["name"]: gate for gate in _answer(capsys)["gates"]}
    assert {name: gate["value"] for name, gate in gates.items()} == {
        f"min_metrics:{JUDGE}:accuracy": pytest.approx(0.8),
        f"max_metrics:{JUDGE}:n_images": 20,
    }
    fails = ("--gates.min-metrics", f"{JUDGE}:accuracy=0.81", "--gates.max-metrics")
    assert cvdata(*infer, *fails, f"{JUDGE}:n_images=19") == 8
    told = _answer(capsys)
    assert told["gates_failed"] == list(gates)
    assert told["status"] == "unchanged", "nothing is rolled back, and nothing was new"


def test_a_number_that_is_not_there_fails_and_says_what_is(
    coloured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = ("--gates.min-metrics", f"{JUDGE}:acuracy=0.5", "--gates.min-metrics", "other:f1=0.5")
    assert cvdata(*INFER, "--workspace", coloured, *gates) == 8
    told = _answer(capsys)
    assert told["status"] == "committed"
    notes = [gate["note"] for gate in told["gates"]]
    assert [gate["value"] for gate in told["gates"]] == [None, None]
    assert any("nothing to check it on" in note for note in notes)
    assert any("has no acuracy, it has accuracy, " in note for note in notes)


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    """A reference: its photographs measured, in a workspace of its own."""
    make_photos(tmp_path / "gold", range(60))
    where = ("--workspace", tmp_path / "reference")
    cvdata("ingest", tmp_path / "gold", *where)
    assert cvdata("scan", *where, *CHEAP) == 0
    return tmp_path / "reference"


def test_tonight_is_held_to_another_workspace(
    gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = Workspace(str(gold)).head.seq
    for name, first, brightness, code in (("alike", 100, 1.0, 0), ("dark", 200, 0.3, 8)):
        make_photos(tmp_path / name, range(first, first + 50), brightness)
        where = ("--workspace", tmp_path / f"w-{name}")
        cvdata("ingest", tmp_path / name, *where)
        scan = ("scan", *where, *CHEAP, "--summary", "json")
        assert cvdata(*scan, "--gates.drift-from", gold) == code
        (gate,) = _answer(capsys)["gates"]
        assert gate["name"] == f"drift_from:{gold}"
        assert gate["is_failed"] == bool(code)
        assert "checks alarm" in gate["note"]
        alone = ("gate", "--workspace", tmp_path / f"w-{name}", "--drift-from", f"{gold}@{head}")
        assert _gate(*alone) == code
        capsys.readouterr()
    generous = ("--drift-limits", '{"psi": 99, "ks": 1.1}')
    dark = ("gate", "--workspace", tmp_path / "w-dark", "--drift-from", gold)
    assert _gate(*dark, *generous) == 0
    assert Workspace(str(gold)).head.seq == head, "nothing is written to the reference"


def _gate(*words: object) -> int:
    from cvdata.cli import main

    return main([str(word) for word in words])


def test_a_reference_that_is_not_there_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path / "photos", range(3))
    where = ("--workspace", tmp_path / "w")
    ingest = ("ingest", tmp_path / "photos", *where)
    assert cvdata(*ingest, "--gates.drift-from", tmp_path / "gone") == 2
    assert "is it a workspace?" in capsys.readouterr().err
    assert not (tmp_path / "w/_commits").exists()


def test_too_few_images_to_compare_fail_and_are_committed(
    gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path / "photos", range(3))
    where = ("--workspace", tmp_path / "w")
    cvdata("ingest", tmp_path / "photos", *where)
    scan = ("scan", *where, *CHEAP, "--summary", "json", "--gates.drift-from", gold)
    assert cvdata(*scan) == 8
    told = _answer(capsys)
    assert told["status"] == "committed"
    assert "3 readable images; 10 are needed" in told["gates"][0]["note"]
