"""kill -9 of dedup at any moment: the next run ends with the tables of an undisturbed one.

`CVDATA_CHAOS=full` kills 60 runs; `make chaos` sets it.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cvdata.sample import make_sample
from cvdata.workspace import Workspace
from tests.conftest import ROOT
from tests.jobs.flows import cvdata
from tests.tables.flows import rows_digest

IS_FULL = os.environ.get("CVDATA_CHAOS") == "full"
KILLS = {"local": 40 if IS_FULL else 2, "shuffle": 20 if IS_FULL else 1}
TABLES = ("pairs", "duplicates", "leaks", "conflicts", "successions", "deduplicated")

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200 if IS_FULL else 600)]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A measured workspace whose copies nobody has looked for."""
    folder = tmp_path_factory.mktemp("kills")
    make_sample(folder / "photos", size="small")
    flags = ("--label-from-folder", "--split-from-folder")
    cvdata("ingest", folder / "photos", "--workspace", folder / "w", *flags)
    more = ("--measures", "file,geometry,pixel_digest,phash", "--max-error-rate", "0.5")
    assert cvdata("scan", "--workspace", folder / "w", *more) in (0, 3)
    return folder / "w"


def _start(where: Path, search: str) -> "subprocess.Popen[bytes]":
    script = "import sys; from cvdata.cli import main; sys.exit(main())"
    flags = ["--workspace", str(where), "--engine", "serial", "--search", search]
    command = [sys.executable, "-c", script, "dedup", *flags]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _state(where: Path) -> dict[str, object]:
    workspace = Workspace(str(where))
    found = {name: rows_digest(workspace.read(name)) for name in TABLES}
    return {**found, "figures": workspace.artifact("dedup.json")}


@pytest.mark.parametrize("search", list(KILLS))
def test_a_killed_dedup_ends_the_same(scanned: Path, tmp_path: Path, search: str) -> None:
    for name in ("first", "clean"):  # the first one may compile kernels, which are then kept
        shutil.copytree(scanned, tmp_path / name)
        started = time.monotonic()
        process = _start(tmp_path / name, search)
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error.decode()[-3000:]
        seconds = time.monotonic() - started
    expected = _state(tmp_path / "clean")
    rng = random.Random(search)
    folder = tmp_path / "w"
    shutil.copytree(scanned, folder)
    n_killed = 0
    while n_killed < KILLS[search]:
        process = _start(folder, search)
        time.sleep(rng.uniform(0.2, 0.9) * seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            n_killed += 1
        process.communicate()
        if "duplicates" in Workspace(str(folder)).head.tables:  # it was done: begin anew
            assert _state(folder) == expected
            shutil.rmtree(folder)
            shutil.copytree(scanned, folder)
    process = _start(folder, search)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error.decode()[-3000:]
    assert _state(folder) == expected
    assert Workspace(str(folder)).verify() == []
