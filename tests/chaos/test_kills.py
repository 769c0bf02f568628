"""kill -9 of drivers, workers and sandboxes: the next run ends with the same table.

`CVDATA_CHAOS=full` kills 200 drivers; `make chaos` sets it.
"""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from cvdata.engine.chunks import ChunkRunner
from cvdata.engine.session import EngineConfig, Session
from cvdata.parts import Part, PartSpec
from cvdata.tables import check_complete, plan
from cvdata.workspace import Workspace
from tests.conftest import ROOT
from tests.tables.flows import ingest, part_digests, rows_digest
from tests.tables.stages import KeyLength

IS_FULL = os.environ.get("CVDATA_CHAOS") == "full"
SERIAL_KILLS, RAY_KILLS = (160, 40) if IS_FULL else (8, 3)
N_IMAGES = 400
TABLES = ("records", "issues", "summary", "counts")

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200 if IS_FULL else 600)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Distinct small pictures, and some files that are none."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(N_IMAGES):
        pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((320, 240), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:04d}.jpg", quality=80)
    for i in range(10):
        (folder / f"bad{i}.jpg").write_bytes(b"no image" * i)
    return folder


def _command(photos: Path, workspace: Path, engine: str) -> list[str]:
    script = "import sys; from cvdata.cli import main; sys.exit(main())"
    flags = ["--engine", engine, "--workers", "2", "--chunk-rows", "16"]
    store = ["--object-store-bytes", str(128 * 1024**2)]
    where = ["--workspace", str(workspace)]
    return [sys.executable, "-c", script, "curate", str(photos), *where, *flags, *store]


def _start(photos: Path, workspace: Path, engine: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        _command(photos, workspace, engine),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _finish(photos: Path, workspace: Path, engine: str) -> float:
    """Run to the end; seconds."""
    started = time.monotonic()
    process = _start(photos, workspace, engine)
    _, error = process.communicate(timeout=300)
    assert process.returncode in (0, 3), error.decode()[-3000:]
    return time.monotonic() - started


def _state(folder: Path) -> dict[str, object]:
    """Everything that must not differ: rows of every table, parts and their digests."""
    workspace = Workspace(str(folder))
    rows = {name: rows_digest(workspace.read(name)) for name in (*TABLES, "measures")}
    sets = [n for n in workspace.head.tables if n.startswith("measures/")]
    parts = {name: part_digests(workspace, name) for name in (*sets, "issues")}
    return {"rows": rows, "parts": parts}


@pytest.fixture(scope="module")
def expected(
    photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, object], float]:
    folder = tmp_path_factory.mktemp("clean") / "w"
    seconds = _finish(photos, folder, "serial")
    return _state(folder), seconds


def _processes_of(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Ray's own: they hold no work, and end themselves a minute or so after their node is gone."""


def _nothing_outlives(group: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while (left := _working(group)) and time.monotonic() < deadline:
        time.sleep(0.2)
    names = [p.name() for p in left]
    for process in _processes_of(group):
        process.kill()
    assert not left, f"these outlive a killed driver: {names}"


def _working(group: int) -> list[psutil.Process]:
    """The processes of a killed run that could still write."""
    found = []
    for process in _processes_of(group):
        try:
            if not " ".join(process.cmdline()).startswith(AGENTS):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize(
    ("engine", "kills"), [("serial", SERIAL_KILLS), ("ray", RAY_KILLS)], ids=["serial", "ray"]
)
def test_a_killed_driver_loses_and_doubles_nothing(
    photos: Path, tmp_path: Path, engine: str, kills: int, expected: tuple[dict[str, object], float]
) -> None:
    """Each kill comes at a random moment; a finished workspace is thrown away and begun anew."""
    wanted, seconds = expected
    rng = random.Random(f"{engine} {kills}")
    longest = seconds + (6.0 if engine == "ray" else 0.0)
    n_killed = n_finished = 0
    folder = tmp_path / "w0"
    while n_killed < kills:
        process = _start(photos, folder, engine)
        time.sleep(rng.uniform(0.2, longest))
        if process.poll() is None:
            process.kill()
            n_killed += 1
            if n_killed % 10 == 0:
                print(f"{n_killed} of {kills} {engine} drivers killed", flush=True)
        process.communicate()
        _nothing_outlives(process.pid)
        if process.returncode in (0, 3):
            assert _state(folder) == wanted
            n_finished += 1
            folder = tmp_path / f"w{n_finished}"
    _finish(photos, folder, engine)
    assert _state(folder) == wanted
    assert Workspace(str(folder)).verify() == []
    print(
        f"{kills} {engine} drivers killed, {n_finished} runs had ended before: "
        "0 lost, 0 doubled, 0 changed"
    )


def test_killed_workers_and_sandboxes_cost_nothing(
    photos: Path, tmp_path: Path, expected: tuple[dict[str, object], float]
) -> None:
    folder = tmp_path / "w"
    process = _start(photos, folder, "ray")
    rng = random.Random(1)
    n_killed = 0
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline and n_killed < 4:
        time.sleep(0.3)
        targets = [p for p in _processes_of(process.pid) if _is_worker(p)]
        if targets and list(folder.rglob("measures/*/part-*.parquet")):
            rng.choice(targets).send_signal(signal.SIGKILL)
            n_killed += 1
            time.sleep(1.0)
    _, error = process.communicate(timeout=200)
    assert process.returncode in (0, 3), error.decode()[-3000:]
    assert n_killed, "the run ended before a worker could be killed"
    assert _state(folder) == expected[0]


def _is_worker(process: psutil.Process) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    return "ray::MapBatches" in line or "isolation_child" in line


@dataclass(frozen=True)
class DiesBeforeItsReceipt:
    """Writes its part, and is killed once before it can say so."""

    runner: ChunkRunner
    marker: str

    def __call__(self, item: tuple[str, bytes]) -> list[Part]:
        parts = self.runner(*item)
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return parts
        os.kill(os.getpid(), signal.SIGKILL)
        return parts


@pytest.mark.usefixtures("ray_up")
def test_a_worker_killed_between_part_and_receipt(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "w"))
    keys = [f"{i:04d}" for i in range(400)]
    ingest(workspace, keys)
    stage = KeyLength(log=str(tmp_path / "log"))
    (name,) = stage.schemas
    with workspace.change("lengths", {}) as change:
        table = change.keyed(PartSpec(name, stage.fingerprints[name], stage.schemas[name]))
        work = plan(change.store, change.records, [table], 100)
        runner = ChunkRunner(change.store, stage, (table.spec,))
        items = [(c.part.path, c.rows.tobytes()) for c in work.chunks]
        dying = DiesBeforeItsReceipt(runner, str(tmp_path / "marker"))
        for receipts in Session(EngineConfig("ray", workers=2)).run(dying, items):
            table.add(receipts[0])
        check_complete(table, work.chunks, change.store)
    assert (tmp_path / "marker").exists()
    assert len(workspace.read(name)) == 400
    computed = (tmp_path / "log").read_text().splitlines()
    assert len(computed) == 400, "the retried task found its part and did not compute it again"
    assert workspace.verify() == []


def test_two_runs_at_once(
    photos: Path, tmp_path: Path, expected: tuple[dict[str, object], float]
) -> None:
    folder = tmp_path / "w"
    both = [_start(photos, folder, "serial") for _ in range(2)]
    codes = []
    for process in both:
        _, error = process.communicate(timeout=300)
        codes.append(process.returncode)
        assert process.returncode in (0, 3, 5), error.decode()[-3000:]
    assert set(codes) & {0, 3}, "one of them wins"
    _finish(photos, folder, "serial")
    assert _state(folder) == expected[0]
    assert Workspace(str(folder)).verify() == []
