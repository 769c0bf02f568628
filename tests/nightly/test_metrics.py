"""Each metric of a run, held to what the run did."""

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from cvdata.metrics import registry_of
from cvdata.recording import Effort, recording
from cvdata.workspace import Workspace
from tests.jobs.flows import cvdata, make_photos
from tests.nightly.prom import samples
from tests.nightly.slow_models import SECONDS

MODEL = ("--model", "tests.nightly.slow_models:Slow", "--max-error-rate", "0.5")
CHUNK_ROWS, N = 7, 21


def _run(tmp_path: Path, *words: object) -> tuple[dict[str, float], Workspace]:
    """The samples of a run over N files, one of them cut short, and its workspace."""
    photos, where, file = tmp_path / "photos", tmp_path / "w", tmp_path / "c.prom"
    make_photos(photos, range(N))
    (photos / "00003.jpg").write_bytes((photos / "00003.jpg").read_bytes()[:400])
    assert cvdata("ingest", photos, "--workspace", where) == 0
    options = ("--workspace", where, *MODEL, "--chunk-rows", CHUNK_ROWS, "--metrics-file", file)
    assert cvdata("infer", *options, *words) == 3
    return samples(file.read_text()), Workspace(str(where))


def _of(told: dict[str, float], name: str, **labels: str) -> float:
    (key,) = (
        key
        for key in told
        if key.startswith(f"cvdata_run_{name}{{")
        and all(f'"{k}": "{v}"' in key for k, v in labels.items())
    )
    return told[key]


@pytest.mark.parametrize("pipeline", ["tasks", "actors"])
def test_a_run_tells_what_it_did(tmp_path: Path, pipeline: str) -> None:
    told, workspace = _run(tmp_path, "--pipeline", pipeline)
    _hold_counts(told, workspace, tmp_path / "photos")
    _hold_seconds(told, workspace, is_apart=pipeline == "actors")


def _hold_counts(told: dict[str, float], workspace: Workspace, photos: Path) -> None:
    assert _of(told, "images") == N
    assert _of(told, "errors", code="truncated") == 1
    files = list(photos.iterdir())
    assert _of(told, "bytes_read") == sum(path.stat().st_size for path in files)
    state = next(s for n, s in workspace.head.tables.items() if n.startswith("embeddings/"))
    assert _of(told, "bytes_written") == sum(part.size_bytes for part in state.parts)
    assert (_of(told, "workers"), _of(told, "hosts")) == (1, 1)
    assert told["cvdata_run_pending"] == 0
    assert told["cvdata_run_running"] == 0
    assert told["cvdata_run_commit"] == workspace.head.seq


def _hold_seconds(told: dict[str, float], workspace: Workspace, *, is_apart: bool) -> None:
    """A plain loop: the steps are within the time of the stage, and that within the run's."""
    steps = ("compute", "model", "finish" if is_apart else "write")
    seconds = {step: _of(told, "worker_seconds", step=step) for step in steps}
    model = N // CHUNK_ROWS * SECONDS
    assert model <= seconds["model"] < sum(seconds.values())
    assert sum(seconds.values()) <= _of(told, "stage_seconds") + 0.05
    assert _of(told, "stage_seconds") <= told["cvdata_run_seconds"]
    waits = seconds["finish" if is_apart else "compute"]
    share = waits / (waits + seconds["model"])
    assert _of(told, "model_idle_share") == pytest.approx(share)
    assert not [name for name in told if "gpu" in name], "there is none"
    (stage,) = workspace.head.stats["run"]["stages"].values()
    assert stage["worker_seconds"] == {k: pytest.approx(v, abs=1e-3) for k, v in seconds.items()}
    assert stage["model_idle_share"] == pytest.approx(share, abs=1e-4)
    assert stage["n_images"] == N
    assert stage["errors"] == {"truncated": 1}


def test_the_idle_share_of_a_gpu_has_its_own_name() -> None:
    with recording() as recorder:
        stage = recorder.stage("embeddings/x")
        stage.gpus = 1.0
        stage.add(Effort({"compute": 5.0, "model": 3.0}, 1.0, ("a",), "x"))
        text = generate_latest(registry_of(recorder, {"job": "infer"}, None, None)).decode()
    told = samples(text)
    assert told['cvdata_run_gpu_idle_share{"stage": "embeddings/x"}'] == 0.25
    assert not [name for name in told if "model_idle" in name]
    assert told["cvdata_run_running"] == 1
