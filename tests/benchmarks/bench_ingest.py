"""How long listing a million files takes, and how much memory: listing, ids, records tables.

    python -m tests.benchmarks.bench_ingest [--folders 1000] [--files 1000] [--root DIR]

Makes the tree of empty files where it is absent (removed afterwards, unless --root is given) and
prints a line for the listing alone and one for `cvdata ingest`, which writes and commits the table
as well. The promise is 1,000,000 paths ingested within 60 s and 2 GB on two cores.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from cvdata.sources import open_source
from jobs import ingest


class Run(NamedTuple):
    """One measurement; `cpu_seconds` of this process, `peak_mb` of its resident memory."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def make_tree(root: Path, n_folders: int, n_files: int) -> None:
    """`n_folders` folders of `n_files` empty files each."""
    for folder in range(n_folders):
        path = root / f"{folder:05d}"
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
        for file in range(n_files):
            flags = os.O_CREAT | os.O_WRONLY
            os.close(os.open(f"{file:06d}.jpg", flags, 0o644, dir_fd=descriptor))
        os.close(descriptor)


def measure(url: str, limit: int | None = None) -> Run:
    """Read all records of `url`, or stop after the table that passes `limit` rows."""
    wall, cpu = time.perf_counter(), time.process_time()
    rows = 0
    for table in open_source(url, format="folder").records():
        rows += table.num_rows
        if limit is not None and rows >= limit:
            break
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Run(rows, seconds, cpu_seconds, peak / 1024)


def measure_job(url: str) -> Run:
    """`cvdata ingest` of `url` into a new workspace, committed."""
    with tempfile.TemporaryDirectory() as workspace:
        wall, cpu = time.perf_counter(), time.process_time()
        done = ingest.run(ingest.Config(source=url, workspace=workspace))
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Run(int(done.numbers["n_records"]), seconds, cpu_seconds, peak / 1024)


def describe(run: Run) -> str:
    """One line."""
    return (
        f"{run.rows:,} files: {run.seconds:.1f} s ({run.seconds / run.rows * 1e6:.1f} us a file), "
        f"{run.cpu_seconds:.1f} s of CPU, peak {run.peak_mb:.0f} MB"
    )


def main() -> None:
    """Make the tree, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.root or Path(temporary)
        if not any(root.glob("*")):
            make_tree(root, options.folders, options.files)
        print("listing alone  ", describe(measure(str(root))))
        print("cvdata ingest  ", describe(measure_job(str(root))))


if __name__ == "__main__":
    main()
