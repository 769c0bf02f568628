"""How a scan gains from nodes: a Ray of one and of two nodes, each with one CPU, on this machine.

    python -m tests.benchmarks.bench_scaling [--images 6000] [--rounds 3]

The head has no CPUs, as in cluster.yaml, so that 1 and 2 nodes differ by one worker and nothing
else. Images/s are taken between the first and the last part; efficiency is the rate on n nodes over
n times the rate on one. Rounds alternate; medians are quoted. The driver, Ray's own processes
and the workers share the cores: with as many cores as nodes, that is part of what is measured.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cvdata.tables import chunk_rows_for
from cvdata.workspace import Workspace
from tests.benchmarks.photos import replicate, shared_data
from tests.cluster.nodes import environment, nodes_up
from tests.conftest import ROOT


def _cvdata(*words: object) -> None:
    command = [sys.executable, "-m", "cvdata.cli", *map(str, words)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True)


def _rate(listed: Path, n_nodes: int) -> float:
    """Images/s of a scan on so many nodes, once each has written a part."""
    with nodes_up() as nodes, tempfile.TemporaryDirectory() as folder:
        nodes.add(cpus=0)
        for _ in range(n_nodes):
            nodes.add()
        where = Path(folder) / "w"
        shutil.copytree(listed, where)
        _cvdata("scan", "--workspace", where, "--address", nodes.address)
        workspace = Workspace(str(where))
        n_images = workspace.tables()["measures"]
        times = sorted(Path(part).stat().st_mtime for part in workspace.files("measures"))
        return (n_images - chunk_rows_for(n_images) * n_nodes) / (times[-1] - times[n_nodes - 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cvdata-bench-"))
    try:
        sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
        replicate(sources, folder / "photos", args.images)
        _cvdata("ingest", folder / "photos", "--workspace", folder / "w")
        rounds = []
        for _ in range(args.rounds):
            one, two = _rate(folder / "w", 1), _rate(folder / "w", 2)
            rounds.append((one, two))
            print(f"1 node {one:,.0f}/s, 2 nodes {two:,.0f}/s: {two / one / 2:.2f}", flush=True)
        print(f"1 node: {statistics.median(r[0] for r in rounds):,.0f} images/s")
        print(f"2 nodes: {statistics.median(r[1] for r in rounds):,.0f} images/s")
        print(f"efficiency: {statistics.median(r[1] / r[0] / 2 for r in rounds):.2f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
