"""Jobs on several nodes: where work runs, what a lost node costs, and a node that joins late."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cvdata.workspace import Workspace
from tests.cluster.nodes import Nodes, environment, nodes_up
from tests.cluster.spread import noted
from tests.conftest import ROOT
from tests.jobs.flows import cvdata, make_photos
from tests.nightly.prom import samples
from tests.tables.flows import ingest, part_digests, rows_digest, run_stage

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
N_ROWS = 1200
TILES = "embeddings/tests.cluster.spread-PlacedTiles"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Three nodes as cluster.yaml makes them: a head without CPUs, two to work, one with a GPU."""
    with nodes_up() as nodes:
        nodes.add(cpus=0)
        nodes.add()
        nodes.add(gpus=1)
        yield nodes


def _start(module: str, *args: object, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, args)],
        cwd=ROOT,
        env={**environment(), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _wait(driver: "subprocess.Popen[str]", is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 150
    while not is_so() and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert driver.poll() is None, driver.communicate()[0][-3000:]
    assert is_so()


def test_work_spreads_and_outlives_a_lost_node_and_uses_a_new_one(
    nodes: Nodes, tmp_path: Path
) -> None:
    keys = [f"{i:05d}" + ("bad" if i % 97 == 5 else "") for i in range(N_ROWS)]
    found = {}
    for name in ("local", "spread"):
        found[name] = Workspace(str(tmp_path / name))
        ingest(found[name], keys)
    run_stage(found["local"], chunk_rows=20)
    log = tmp_path / "log"
    awaited = log.with_suffix(".awaited")
    workers = set(nodes.raylets) - {nodes.head}
    awaited.write_text("\n".join(workers))
    driver = _start("tests.cluster.spread", nodes.address, tmp_path / "spread", log)
    _wait(driver, lambda: noted(log) == workers and len(log.read_text().splitlines()) > 8)
    nodes.kill(min(workers))
    late = nodes.add()
    awaited.write_text(late)
    said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, said[-3000:]
    assert noted(log) == workers | {late}, "the node that joined works, the head does not"
    found["spread"].refresh()
    assert rows_digest(found["spread"].read("lengths")) == rows_digest(
        found["local"].refresh().read("lengths")
    )
    assert part_digests(found["spread"], "lengths") == part_digests(found["local"], "lengths")
    assert found["spread"].verify() == []


def test_a_model_that_asks_for_a_gpu_is_loaded_where_one_is(nodes: Nodes, tmp_path: Path) -> None:
    """GPUs are Ray's logical ones: this is about placement."""
    with_gpu = nodes.add(gpus=2)
    make_photos(tmp_path / "photos", range(60))
    config = tmp_path / "infer.yaml"
    config.write_text(json.dumps({"parameters": {"log": str(tmp_path)}}))
    options = ("--model", "tests.cluster.spread:PlacedTiles", "--config", config)
    for name in ("local", "spread"):
        cvdata("ingest", tmp_path / "photos", "--workspace", tmp_path / name)
    assert cvdata("infer", "--workspace", tmp_path / "local", *options, "--device", "cpu") == 0
    (tmp_path / "nodes").unlink()
    where = ("--workspace", tmp_path / "spread", "--address", nodes.address, "--shared-workspace")
    apart = ("--pipeline", "actors", "--gpus", "1", "--chunk-rows", "8")
    metrics = ("--metrics-file", tmp_path / "c.prom")
    driver = _start("cvdata.cli", "infer", *where, *options, *apart, *metrics)
    said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, said[-3000:]
    loaded = noted(tmp_path / "nodes")
    assert loaded, "the weights were loaded somewhere"
    assert with_gpu in loaded
    assert loaded <= set(nodes.gpus)
    rows = [rows_digest(Workspace(str(tmp_path / n)).read(TILES)) for n in ("local", "spread")]
    assert rows[0] == rows[1]
    _hold_idle_share(Workspace(str(tmp_path / "spread")), tmp_path / "c.prom")


def _hold_idle_share(workspace: Workspace, file: Path) -> None:
    """What Prometheus is told is what the commit remembers: of GPUs, between none and all."""
    stage = workspace.head.stats["run"]["stages"][TILES]
    share = samples(file.read_text())[f'cvdata_run_gpu_idle_share{{"stage": "{TILES}"}}']
    assert share == pytest.approx(stage["model_idle_share"], abs=1e-4)
    assert 0 < share < 1
    assert (stage["gpus_per_worker"], stage["n_images"]) == (1, 60)
    assert stage["worker_seconds"]["model"] > 0


@pytest.mark.slow
def test_a_path_of_one_machine_is_refused_on_two(tmp_path: Path) -> None:
    """Two addresses are two machines to Ray. Such nodes listen on every address: with a token."""
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    guarded = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    make_photos(tmp_path / "photos", range(8))
    cvdata("ingest", tmp_path / "photos", "--workspace", tmp_path / "w")
    with nodes_up(**guarded) as nodes:
        nodes.add()
        nodes.add(ip="127.0.0.2")
        scan = ("scan", "--workspace", tmp_path / "w", "--measures", "file")
        where = ("--address", nodes.address)
        driver = _start("cvdata.cli", *scan, *where, **guarded)
        said, _ = driver.communicate(timeout=200)
        assert driver.returncode == 2, said[-3000:]
        assert "is a path of one machine, and the cluster has 2" in said
        assert "--shared-workspace" in said
        driver = _start("cvdata.cli", *scan, *where, "--shared-workspace", **guarded)
        said, _ = driver.communicate(timeout=200)
        assert driver.returncode == 0, said[-3000:]
