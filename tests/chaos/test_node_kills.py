"""Nodes, workers and drivers of a cluster die at random, and new nodes join: the same tables."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from cvdata.workspace import Workspace
from tests.chaos.drivers import IS_FULL, PATIENCE, ended, finish, nothing_outlives, start
from tests.cluster.nodes import Nodes, environment, nodes_up
from tests.jobs.flows import cvdata, make_photos
from tests.tables.flows import part_digests, rows_digest

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(7200)]
TILES = "embeddings/tests.jobs.odd_models-Tiles"
KILLS = 20 if IS_FULL else 5
CHOICES = ("worker", "worker", "node", "node", "driver")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head without CPUs and three nodes with one, two of them with a logical GPU."""
    with nodes_up() as nodes:
        nodes.add(cpus=0)
        for gpus in (0, 1, 1):
            nodes.add(gpus=gpus)
        yield nodes


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 photos, and a workspace that lists them."""
    folder = tmp_path_factory.mktemp("ready")
    make_photos(folder / "photos", range(300), (320, 240))
    for i in range(6):
        (folder / "photos" / f"bad{i}.jpg").write_bytes(b"no image" * i)
    assert cvdata("ingest", folder / "photos", "--workspace", folder / "w") == 0
    return folder


def _state(folder: Path) -> object:
    """Rows of every table, and each part's sha256, of keyed tables."""
    workspace = Workspace(str(folder / "w"))
    assert workspace.verify() == []
    names = [n for n in workspace.head.tables if not n.startswith("measures/")]
    keyed = [n for n in workspace.head.tables if n.startswith(("measures/", "embeddings/"))]
    rows = {n: rows_digest(workspace.read(n)) for n in names}
    return rows, {n: part_digests(workspace, n) for n in keyed}


@dataclass
class Storm:
    """Kills until it has killed enough; what is killed is drawn, and so is when."""

    nodes: Nodes
    rng: Random
    left: int
    killed: Counter[str] = field(default_factory=Counter)

    def over(self, driver: int, is_up: Callable[[], bool]) -> None:
        """One kill every few seconds, until the driver ends or enough is dead."""
        while self.left and is_up():
            time.sleep(self.rng.uniform(1.0, 5.0))
            if not self.nodes.workers() or not is_up():
                continue
            what = self.rng.choice(CHOICES)
            if what == "worker":
                is_dead = ended(self.rng.choice(self.nodes.workers()))
            elif what == "node":
                is_dead = self._end_a_node()
            else:
                is_dead = _end(driver)
            self.killed[what] += is_dead
            self.left -= is_dead

    def _end_a_node(self) -> bool:
        node = self.rng.choice([n for n in self.nodes.raylets if n != self.nodes.head])
        gpus = self.nodes.gpus.get(node, 0)
        self.nodes.kill(node)
        self.nodes.add(gpus=gpus)
        return True


def _end(pid: int) -> bool:
    import psutil

    return ended(psutil.Process(pid))


CURATE = ("curate", "--skip", "outliers")
INFER = ("infer", "--model", "tests.jobs.odd_models:Tiles", "--pipeline", "actors", "--gpus", "1")


@pytest.mark.parametrize("job", [CURATE, INFER], ids=["curate", "infer"])
def test_whatever_dies_the_tables_are_the_same(
    nodes: Nodes, ready: Path, tmp_path: Path, job: tuple[str, ...]
) -> None:
    source = [ready / "photos"] if job is CURATE else []
    common = ("--chunk-rows", "8", "--max-error-rate", "0.5")

    def command(folder: Path, *engine: object) -> tuple[object, ...]:
        return (*job, *source, "--workspace", folder / "w", *common, *engine)

    def prepare(name: str) -> Path:
        if job is INFER:
            shutil.copytree(ready / "w", tmp_path / name / "w")
        return tmp_path / name

    clean = prepare("clean")
    local = command(clean, "--engine", "serial")
    finish(*(word for word in local if word not in ("--gpus", "1")))
    wanted = _state(clean)
    storm = Storm(nodes, Random(job[0]), KILLS)
    n_runs, codes, folder = 1, Counter[int](), prepare("w1")
    env = environment()
    while True:
        where = ("--address", nodes.address, "--shared-workspace")
        process = start(*command(folder, *where), env=env)
        storm.over(process.pid, lambda p=process: p.poll() is None)
        _, error = process.communicate(timeout=2 * PATIENCE)
        nothing_outlives(process.pid)
        codes[process.returncode] += 1
        assert process.returncode in (0, 3, 4, -9), error.decode()[-3000:]
        if process.returncode in (0, 3):
            assert _state(folder) == wanted
            if not storm.left:
                break
            folder = prepare(f"w{(n_runs := n_runs + 1)}")
    assert storm.killed["node"], "a node died"
    dead = ", ".join(f"{n} {what}s" for what, n in sorted(storm.killed.items()))
    print(
        f"{job[0]} on three nodes: {dead} killed over {n_runs} workspaces, exit codes "
        f"{dict(codes)}: 0 lost, 0 doubled, 0 changed",
        flush=True,
    )
