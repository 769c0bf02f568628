"""The full default scan against its bounds and a peer, side by side in one run.

    python -m tests.benchmarks.bench_scan [--images 8000] [--rounds 3] [--cleanvision PYTHON]

Each round runs, on the same files and two processes: decode alone (the bound), the same kernels in
a plain pool (what the engine may cost), and `cvdata scan` on an embedded Ray, timed between its
first and its last receipt. `--cleanvision` names the Python of a virtual environment that has
CleanVision 0.3.7; its `find_issues` runs once on the same files. Medians of the rounds are quoted.
"""

import argparse
import json
import multiprocessing
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import simplejpeg

from cvdata.engine.session import EngineConfig, Session
from cvdata.image import Limits
from cvdata.measures import DEFAULT_MEASURES
from cvdata.runs.filling import FillOptions
from cvdata.runs.scan import fill, plan_sets
from cvdata.stages.scan import ImageScanner, MeasureSpec
from cvdata.tables import chunk_rows_for
from cvdata.workspace import Workspace
from jobs import ingest
from tests.benchmarks.photos import replicate, shared_data

WORKERS = 2
SPECS = tuple(MeasureSpec(name) for name in DEFAULT_MEASURES)
_scan: Callable[[bytes, str], object]


def _decode(path: str) -> int:
    return int(simplejpeg.decode_jpeg(Path(path).read_bytes()).size)


def _build() -> None:
    global _scan
    cv2.setNumThreads(1)
    _scan = ImageScanner(SPECS, Limits())()


def _measure(path: str) -> None:
    _scan(Path(path).read_bytes(), path)


def _pool(work: Callable[[str], object], paths: list[str], setup: Callable[[], None]) -> float:
    """Images/s of `work` in a pool, once every process has done some."""
    with multiprocessing.get_context("spawn").Pool(WORKERS, setup) as pool:
        pool.map(work, paths[:200], chunksize=10)
        started = time.perf_counter()
        pool.map(work, paths, chunksize=64)
        return len(paths) / (time.perf_counter() - started)


def _nothing() -> None:
    """No setup."""


def _ours(folder: Path, n: int) -> tuple[float, float]:
    """(images/s between the first and the last part, seconds from the start to the first part)."""
    with tempfile.TemporaryDirectory() as where:
        ingest.run(ingest.Config(source=str(folder), workspace=where))
        started = time.time()
        workspace = Workspace(where)
        with (
            workspace.change("scan", {}) as change,
            Session(EngineConfig("ray", workers=WORKERS)) as session,
        ):
            sets = plan_sets(list(SPECS), change.base.tables, Limits())
            fill(change, session, sets, FillOptions())
        parts = [Path(p) for p in workspace.files("measures")]
        times = sorted(p.stat().st_mtime for p in parts)
        n_first = chunk_rows_for(n) * WORKERS
        seconds = times[-1] - times[WORKERS - 1]
        return (n - n_first) / seconds, times[0] - started


def _cleanvision(python: str, folder: Path, n: int) -> float:
    script = (
        "import sys, time, json; from cleanvision import Imagelab;"
        "lab = Imagelab(data_path=sys.argv[1]); t = time.perf_counter();"
        "lab.find_issues(n_jobs=2, verbose=False);"
        "print(json.dumps(time.perf_counter() - t))"
    )
    done = subprocess.run(
        [python, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    return n / float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cleanvision", default="", metavar="PYTHON")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cvdata-bench-"))
    try:
        sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
        paths = [str(p) for p in replicate(sources, folder, args.images)]
        rounds = []
        for _ in range(args.rounds):
            bound = _pool(_decode, paths, _nothing)
            plain = _pool(_measure, paths, _build)
            ours, first = _ours(folder, len(paths))
            rounds.append((bound, plain, ours, first))
            print(f"decode {bound:,.0f}/s, kernels {plain:,.0f}/s, scan {ours:,.0f}/s")
        ratios = statistics.median(r[2] / r[0] for r in rounds)
        engine = statistics.median(r[2] / r[1] for r in rounds)
        print(f"scan / decode bound: {ratios:.2f}   scan / plain pool: {engine:.2f}")
        print(f"start to the first part: {statistics.median(r[3] for r in rounds):.1f} s")
        if args.cleanvision:
            peer = _cleanvision(args.cleanvision, folder, len(paths))
            ours = statistics.median(r[2] for r in rounds)
            print(f"CleanVision {peer:,.0f}/s: ours is {ours / peer:.1f} x as fast")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
