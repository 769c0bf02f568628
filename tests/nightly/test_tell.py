"""What a run tells while it is at work: logs, recorders, status, Ray's agents."""

import json
import logging
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cvdata import logs, stopwatch
from cvdata.cli import main
from cvdata.lease import take
from cvdata.recording import Effort, StageRecord, recorder, recording
from cvdata.tools import TOOLS
from cvdata.workspace import Workspace
from tests.jobs.flows import make_photos
from tests.tables.flows import ingest, run_stage
from tests.tables.stages import KeyLength


def test_json_lines_are_objects_and_keep_what_they_add(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("json", job="scan")
    logging.getLogger("cvdata").info("half %s", "way", extra={"done": 5, "stage": "measures"})
    logs.fail("no room", 4)
    logs.set_up_logging("text")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["message"], first["level"], first["job"]) == ("half way", "INFO", "scan")
    assert (first["done"], first["stage"]) == (5, "measures")
    assert (second["message"], second["exit_code"]) == ("no room", 4)
    assert first["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("asked", "environment", "form"),
    [("", "", "text"), ("", "json", "json"), ("text", "json", "text"), ("", "xml", "text")],
)
def test_flags_win_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, asked: str, environment: str, form: str
) -> None:
    monkeypatch.setenv(logs.FORMAT_VARIABLE, environment)
    assert logs.chosen(asked) == form


def test_steps_within_steps_are_counted_once() -> None:
    stopwatch.taken()
    began = time.perf_counter()
    with stopwatch.timed("compute"):
        time.sleep(0.02)
        with stopwatch.timed("model"):
            time.sleep(0.05)
    took, found = time.perf_counter() - began, stopwatch.taken()
    assert found["model"] >= 0.05
    assert 0.02 <= found["compute"] <= took - 0.05
    assert sum(found.values()) == pytest.approx(took, abs=0.005)
    assert stopwatch.taken() == {}


def test_threads_have_stopwatches_of_their_own() -> None:
    stopwatch.taken()

    def other() -> None:
        with stopwatch.timed("theirs"):
            pass

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert stopwatch.taken() == {}


def test_the_idle_share_is_of_the_time_with_a_model() -> None:
    record = StageRecord()
    assert record.model_idle_share is None
    record.add(Effort({"compute": 9.0, "model": 3.0}, 1.0, ("a", "b"), "x"))
    record.add(Effort({"model": 3.0}, 1.0, ("a",), "y"))
    assert record.model_idle_share == pytest.approx(0.25)
    assert (len(record.workers), len(record.hosts)) == (2, 2)


@pytest.mark.usefixtures("ray_up")
def test_both_engines_count_the_same_images(tmp_path: Path) -> None:
    from cvdata.engine.session import EngineConfig

    keys = [f"{i:04d}" + ("bad" if i % 50 == 7 else "") for i in range(300)]
    found = []
    for kind in ("serial", "ray"):
        workspace = Workspace(str(tmp_path / kind))
        ingest(workspace, keys)
        with recording() as outer:
            run_stage(workspace, engine=EngineConfig(kind, workers=2), chunk_rows=50)  # type: ignore[arg-type]
        stage = workspace.head.stats["run"]["stages"]["lengths"]
        assert outer.stages["lengths"].to_json() == stage, "the run's recorder saw what it saw"
        found.append([stage[k] for k in ("n_images", "n_chunks", "errors", "bytes_written")])
        assert outer.live is None
    assert found[0] == found[1]
    assert found[0][:3] == [300, 6, {"corrupt": 6}]
    assert recorder().stages == {}, "nothing is recorded outside"


@pytest.mark.usefixtures("ray_up")
def test_ray_exports_what_was_done_on_loopback(tmp_path: Path) -> None:
    import ray

    from cvdata.engine.session import EngineConfig

    workspace = Workspace(str(tmp_path / "w"))
    ingest(workspace, [f"{i:04d}bad" if i < 3 else f"{i:04d}" for i in range(60)])
    stage = KeyLength(("counted",))  # counters are of the process: this one is of no other test
    run_stage(workspace, stage, EngineConfig("ray", workers=2), 20)
    node = ray.nodes()[0]
    assert node["NodeManagerAddress"] == "127.0.0.1"
    url = f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
    seconds = workspace.head.stats["run"]["stages"]["counted"]["worker_seconds"]
    wanted = {
        ("ray_cvdata_images_total", ""): 60,
        ("ray_cvdata_errors_total", "corrupt"): 3,
        ("ray_cvdata_bytes_written_total", ""): sum(
            part.size_bytes for part in workspace.head.tables["counted"].parts
        ),
        **{("ray_cvdata_worker_seconds_total", k): v for k, v in seconds.items()},
    }
    deadline, seen = time.monotonic() + 60, dict[tuple[str, str], float]()
    while seen != pytest.approx(wanted, abs=1e-3) and time.monotonic() < deadline:
        text = urllib.request.urlopen(url, timeout=5).read().decode()
        samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
        mine = [s for s in samples if s.labels.get("stage") == "counted"]
        seen = {(s.name, s.labels.get("code") or s.labels.get("step", "")): s.value for s in mine}
        time.sleep(1)
    assert seen == pytest.approx(wanted, abs=1e-3)


def test_status_shows_who_is_at_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(tmp_path / "w")
    make_photos(tmp_path / "photos", range(5))
    main(["ingest", str(tmp_path / "photos"), "--workspace", where, "--engine", "serial"])
    main(["scan", "--workspace", where, "--engine", "serial"])
    capsys.readouterr()
    live = {"stage": "measures", "unit": "images", "total": 9, "done": 4, "errors": 1}
    live |= {"rate": 2.0, "n_chunks": 1, "total_chunks": 3}
    mine = take(Workspace(where).store, "scan", progress=lambda: live)
    mine.renew()
    Workspace(where).store.put("measures/feedfeed/part-00.parquet", b"12345")
    assert main(["status", "--workspace", where]) == 0
    out = capsys.readouterr().out
    assert "at work: scan (process" in out
    assert "measures: 4 of 9 images, 2/s, 1 errors" in out
    assert "1 of 3 chunks" in out
    assert "1 parts (0.0 MB) are not in the live commit" in out
    assert "measures: 5 images" in out
    mine.release()
    main(["status", "--workspace", where])
    assert "at work: " not in capsys.readouterr().out


def test_watching_looks_again_until_it_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = str(tmp_path / "w")
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            ingest(Workspace(where), ["a", "b"])
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr("cvdata.upkeep.time.sleep", sleep)
    status = TOOLS["status"].model_validate({"workspace": where, "watch": True})
    status.run()
    assert looks == [2.0, 2.0]
    assert "commit 1" in capsys.readouterr().out
