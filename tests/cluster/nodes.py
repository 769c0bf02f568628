"""Several Ray nodes on loopback, in a process of their own: nodes join, and nodes die.

`ray.cluster_utils.Cluster` takes hold of the process that it is used in, and the tests' own process
may hold an embedded Ray already: so it lives in a child, which is spoken to by lines.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from tests.conftest import ROOT

STORE_BYTES = 96 * 1024**2
ATTEMPTS = 4
PATIENCE = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 3,
}
"""A node that does not answer is given up after seconds, not after Ray's half minute."""
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_USAGE_DISABLED": "1",
    "RAY_worker_niceness": "0",  # else a busy machine gives workers nothing
    "PYTHONPATH": str(ROOT),
}
"""The environment of nodes, and of drivers that join them: read when ray is first imported."""


def environment() -> dict[str, str]:
    """What nodes and drivers run with."""
    kept = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    return {**kept, **LOOPBACK}


@dataclass
class Nodes:
    """A cluster: its address, and the raylet of each node that is alive, by node id."""

    process: "subprocess.Popen[str]"
    address: str = ""
    raylets: dict[str, int] = field(default_factory=dict)
    head: str = ""
    gpus: dict[str, int] = field(default_factory=dict)

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, one answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise RuntimeError("the nodes did not answer: no raylet came up in time")

    def add(self, *, cpus: int = 1, gpus: int = 0, ip: str = "127.0.0.1") -> str:
        """A new node; its id. The first one is the head."""
        told = self.ask(num_cpus=cpus, num_gpus=gpus, node_ip_address=ip)
        self.address = told["address"]
        self.raylets[told["node"]] = told["raylet"]
        self.head = self.head or told["node"]
        self.gpus |= {told["node"]: gpus} if gpus else {}
        return str(told["node"])

    def kill(self, node: str) -> None:
        """End every process of the node at once, as a machine that loses its power."""
        raylet = psutil.Process(self.raylets.pop(node))
        for process in [*raylet.children(recursive=True), raylet]:
            _kill(process)

    def workers(self) -> list[psutil.Process]:
        """The processes that are at work on some node, sandboxes too."""
        found = []
        for pid in self.raylets.values():
            try:
                found += [p for p in psutil.Process(pid).children(recursive=True) if _works(p)]
            except psutil.NoSuchProcess:
                continue
        return found


def _works(process: psutil.Process) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    return line.startswith(("ray::MapBatches", "ray::MapWorker")) or "isolation_child" in line


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


@contextmanager
def nodes_up(**more: str) -> Iterator[Nodes]:
    """An empty cluster, whose nodes all end with the block; `more` goes into their environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.nodes"],
        cwd=ROOT,
        env={**environment(), **more},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    nodes = Nodes(process)
    try:
        yield nodes
    finally:
        held = psutil.Process(process.pid).children(recursive=True)
        process.communicate(timeout=60)
        for child in held:
            _kill(child)


def _added(cluster: Any, asked: dict[str, Any]) -> Any:
    """A node; a busy machine may take longer than the half minute that Ray gives one to come up."""
    place = {"include_dashboard": False}
    for attempt in range(ATTEMPTS):
        try:
            return cluster.add_node(**asked, **place, object_store_memory=STORE_BYTES)
        except Exception:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("ATTEMPTS is at least 1")


def _serve() -> None:
    """Add the nodes that are asked for, line by line; end them all when nobody asks any more."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    for line in sys.stdin:
        asked = json.loads(line)
        if cluster.head_node is None:
            asked |= {"_system_config": PATIENCE, "dashboard_agent_listen_port": 0}
        node = _added(cluster, asked)
        raylet = node.all_processes["raylet"][0].process.pid
        told = {"node": node.node_id, "address": cluster.address, "raylet": raylet}
        print(json.dumps(told), flush=True)
    for node in cluster.list_all_nodes():
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


if __name__ == "__main__":
    _serve()
