"""Speed here: measured when asked, kept for this machine, these weights and these libraries."""

import time
from pathlib import Path

import numpy as np
import pytest

from cvdata.cli import main
from cvdata.models import MODELS, ModelOptions, Task, resolve
from cvdata.models.speed import kept, measure
from tests.models.conftest import default_model
from tests.models.test_batching import Finds


class Slow(Finds):
    """A hundredth of a second an image."""

    fingerprint = "1" * 64

    def __call__(self, batch: np.ndarray) -> list:  # type: ignore[type-arg]
        time.sleep(0.01 * len(batch))
        return super().__call__(batch)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured yet; exports are those of the other tests."""
    (tmp_path / "cache").mkdir()
    (model_cache / "onnx").mkdir(exist_ok=True)
    (tmp_path / "cache" / "onnx").symlink_to(model_cache / "onnx", target_is_directory=True)
    monkeypatch.setenv("CVDATA_CACHE", str(tmp_path / "cache"))


def test_the_speed_is_that_of_the_model_and_kept_for_its_weights() -> None:
    slow = Slow()
    assert kept(slow) is None  # type: ignore[arg-type]
    found = measure(slow, seconds=0.3)  # type: ignore[arg-type]
    assert 30 <= found.images_per_second <= 100
    assert kept(slow) == found  # type: ignore[arg-type]
    other = Slow()
    other.fingerprint = "2" * 64
    assert kept(other) is None  # type: ignore[arg-type]


def test_cvdata_models_measures_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    default_model(Task.EMBED)
    assert main(["models"]) == 0
    assert "measured here" not in capsys.readouterr().out
    assert main(["models", "--measure", "--model", "default"]) == 0
    assert capsys.readouterr().out.count("measured here") == 1
    assert main(["models"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "measured here" in x]
    speed = kept(resolve("default", ModelOptions()))
    assert speed is not None
    assert speed.line() in line
    assert 5 < speed.images_per_second < 5000


def test_a_request_that_cannot_be_met_says_what_to_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "--model", "default"]) == 2
    assert "give both" in capsys.readouterr().err
    assert main(["models", "--measure", "--model", "mobilenet_v3"]) == 2
    assert "did you mean 'mobilenet_v2'" in capsys.readouterr().err
    missing = [entry.name for entry in MODELS if entry.name == "clip_vit_b_32"]
    assert main(["models", "--measure", "--model", *missing]) == 2
    assert "--allow-download" in capsys.readouterr().err
