"""Nights, from end to end: the shipped config on real files, its answer, its metrics, its gates."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cvdata.cli import main
from cvdata.lease import holder, take
from cvdata.maintenance import collect, find_garbage
from cvdata.storage import Store
from cvdata.workspace import Workspace
from tests.conftest import ROOT
from tests.nightly.photos import make_photos
from tests.nightly.prom import samples

CONFIG = ROOT / "docs/howto/nightly/nightly.yaml"
SKIPPED = ("--skip", "outliers", "--skip", "report", "--skip", "decide")
FAST = ("--engine", "serial", *SKIPPED)


def _night(photos: Path, where: Path, *more: object) -> list[str]:
    given = ["curate", photos, "--config", CONFIG, "--workspace", where, *FAST, *more]
    return [str(word) for word in given]


def _answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return value


def test_four_nights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, where, metrics = tmp_path / "photos", tmp_path / "w", tmp_path / "c.prom"
    make_photos(photos, range(80))
    (photos / "broken.jpg").write_bytes(b"no image")
    night = _night(photos, where, "--metrics-file", metrics)
    assert main(night) == 3, "one of 81 is broken, over the warning rate"
    first = _answer(capsys)
    assert (first["status"], first["rows"], first["new"]) == ("committed", 81, 81)
    assert first["errors"] == first["new_errors"] == {"not_an_image": 1}
    assert first["commit"] == first["n_commits"] == Workspace(str(where)).head.seq
    assert first["gates_failed"] == []
    told = samples(metrics.read_text())
    assert told['cvdata_run_images{"stage": "measures"}'] == 81
    assert told['cvdata_run_errors{"code": "not_an_image", "stage": "measures"}'] == 1
    size = sum(p.stat().st_size for p in photos.iterdir())
    assert told['cvdata_run_bytes_read{"stage": "measures"}'] == first["bytes_read"] == size
    assert told["cvdata_run_exit_code"] == 3
    success = told["cvdata_run_last_success_timestamp_seconds"]

    assert main(night) == 3
    again = _answer(capsys)
    assert (again["status"], again["new"], again["n_commits"]) == ("unchanged", 0, 0)

    make_photos(photos, range(80, 120))
    assert main(night) == 0, "one of 121 is not worth a warning"
    third = _answer(capsys)
    assert third["new"] == 40
    (drift,) = [gate for gate in third["gates"] if gate["name"] == "drift_from:last"]
    assert "checks alarm" in drift["note"], "forty new images were compared"
    assert not drift["is_failed"]

    make_photos(photos, range(200, 240), brightness=0.1)
    assert main(night) == 8
    fourth = _answer(capsys)
    assert fourth["status"] == "committed"
    assert {"drift_from:last", "max_flagged:dark"} <= set(fourth["gates_failed"])
    told = samples(metrics.read_text())
    assert told['cvdata_run_gate_failed{"gate": "drift_from:last"}'] == 1
    assert told['cvdata_run_gate_failed{"gate": "max_bad"}'] == 0
    assert told["cvdata_run_last_success_timestamp_seconds"] > success, "of the third night"
    gate = ["gate", "--workspace", str(where), "--format", "json", "--drift-from", "last"]
    assert main(gate) == 8
    assert _answer(capsys)["gates_failed"] == ["drift_from:last"]
    assert main(["gate", "--workspace", str(where), "--max-bad", "0.5"]) == 0


def test_a_model_is_shown_only_what_is_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", str(tmp_path / "w")
    infer = ["infer", "--config", str(CONFIG.with_name("infer.yaml")), "--workspace", where]
    infer += ["--model", "tests.jobs.odd_models:Tiles", "--engine", "serial"]
    for numbers, n_new in ((range(20), 20), (range(20, 30), 10), (range(0), 0)):
        make_photos(photos, numbers)
        main(["ingest", str(photos), "--workspace", where, "--engine", "serial"])
        assert main(infer) == 0
        told = _answer(capsys)
        assert (told["new"], told["rows"]) == (n_new, len(list(photos.iterdir())))
        assert told["status"] == ("committed" if n_new else "unchanged")


def test_a_commit_remembers_what_it_cost(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", range(20))
    where = tmp_path / "w"
    assert main(_night(tmp_path / "photos", where)) == 0
    commits = {c.job: c for c in Workspace(str(where)).commits()}
    stage = commits["scan"].stats["run"]["stages"]["measures"]
    assert (stage["n_images"], stage["n_hosts"], stage["n_workers"]) == (20, 1, 1)
    assert stage["bytes_read"] == sum(p.stat().st_size for p in (tmp_path / "photos").iterdir())
    assert set(stage["worker_seconds"]) == {"compute", "write"}
    assert 0 < sum(stage["worker_seconds"].values()) <= commits["scan"].stats["run"]["seconds"]
    assert commits["eda"].stats["run"]["stages"] == {}


def test_a_second_run_gives_way_or_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path / "photos", range(5))
    where = tmp_path / "w"
    mine = take(Store(str(where)), "infer")
    command = _night(tmp_path / "photos", where, "--wait-for-lock", "0")
    assert main(command) == 9
    told = _answer(capsys)
    assert (told["status"], told["exit_code"], told["n_commits"]) == ("failed", 9, 0)
    assert "another run is at work" in told["error"]
    assert main([*command, "--lock", "warn", "--log-format", "text"]) == 0
    captured = capsys.readouterr()
    assert "another run is at work" in captured.err
    mine.release()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["TERM", "KILL"])
def test_a_stopped_run_is_followed_at_once(tmp_path: Path, ending: signal.Signals) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(600))
    command = [sys.executable, "-m", "cvdata.cli", *_night(photos, where, "--chunk-rows", "16")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        while process.poll() is None and not list(where.glob("measures/*/part-*")):
            time.sleep(0.01)
        process.send_signal(ending)
        out, error = process.communicate(timeout=200)
    if ending is signal.SIGTERM:
        assert process.returncode == 4, error
        assert json.loads(out.splitlines()[-1])["status"] == "failed"
        lines = [json.loads(line) for line in error.splitlines() if line.startswith("{")]
        assert lines[-1]["exit_code"] == 4
        assert {"time", "level", "message", "job"} <= set(lines[-1])
    found = holder(Store(str(where)))
    assert found is not None
    assert found.is_released == (ending is signal.SIGTERM)
    assert main(_night(photos, where, "--wait-for-lock", "0", "--gates.max-bad", "1")) in (0, 8)
    assert Workspace(str(where)).verify() == []


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_gc_keeps_every_commit_readable_that_it_keeps(tmp_path: Path, keep: int) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    for n in (10, 20, 30):
        make_photos(photos, range(n - 10, n))
        (photos / f"{n - 10:05d}.jpg").write_bytes(b"changed since" * n)
        for job in (("ingest", photos), ("scan", "--max-error-rate", "1"), ("eda",)):
            main([*map(str, job), "--workspace", str(where), "--engine", "serial"])
    workspace = Workspace(str(where))
    kept = workspace.log.numbers()[-keep:]

    def rows(seq: int) -> dict[str, Any]:
        pinned = Workspace(str(where)).pin(seq)
        return {name: pinned.read(name).to_pylist() for name in pinned.tables()}

    before = {seq: rows(seq) for seq in kept}
    store = workspace.store
    assert find_garbage(store, keep=keep, grace_seconds=0, keep_seconds=3600)[1] == []
    assert main(["gc", "--workspace", str(where), "--keep", str(keep), "--dry-run"]) == 0
    garbage, dead = find_garbage(store, keep=keep, grace_seconds=0)
    assert min(kept) > max(dead)
    collect(store, garbage, dead)
    assert workspace.log.numbers() == kept
    assert {seq: rows(seq) for seq in kept} == before
    assert workspace.refresh().verify() == []
