"""Vectors indexed and searched: time, peak memory of each process, and the recall that is printed.

    nice python -m tests.benchmarks.bench_index --rows 1000000 --dimension 128

The vectors lie in clusters with a decaying spectrum (`tests.embedded.clustered`); nothing in the
index was set for them. `index` and `search` run as commands of their own, on one embedded engine or
a loop as they choose; the peak is that of the process, mapped files included (Linux's VmHWM).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cvdata.runs.index_files import open_index, read_card
from tests.embedded import clustered, names_of, put_embeddings


def _run(*words: str) -> tuple[float, float, str]:
    """(seconds, peak MB, output) of a command in a process of its own."""
    code = (
        "import sys; from cvdata.cli import main; code = main(sys.argv[1:]); "
        "peak = [x for x in open('/proc/self/status') if x.startswith('VmHWM')]; "
        "print(peak[0].split()[1], file=sys.stderr); sys.exit(code)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return seconds, int(done.stderr.split()[-1]) / 1024, done.stdout


def main() -> None:
    """Print a table for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--memory-bytes", type=int, default=4_000_000_000)
    parser.add_argument("--part-rows", type=int, default=8192)
    parser.add_argument("--engine", default="serial")
    options = parser.parse_args()
    n, d = options.rows, options.dimension
    with tempfile.TemporaryDirectory(prefix="bench-index-") as folder:
        where = str(Path(folder) / "w")
        vectors = clustered(n, d)
        names = names_of(range(n))
        workspace = put_embeddings(where, names, vectors, part_rows=options.part_rows)
        base = _run("--version")[1]
        common = ("--workspace", where, "--engine", options.engine)
        words = ("index", *common, "--memory-bytes", str(options.memory_bytes))
        _report("built", _run(*words), base)
        m = n // 100
        changed = np.concatenate([vectors[m:], clustered(m, d, seed=1)])
        some = [*names[m:], *names_of(range(n, n + m))]
        put_embeddings(where, some, changed, part_rows=options.part_rows)
        _report("changed after 1 % came and 1 % went", _run(*words), base)
        _search(workspace, vectors)


def _report(what: str, done: tuple[float, float, str], base: float) -> None:
    seconds, peak, out = done
    print(f"{what}: {seconds:,.1f} s, peak {peak:,.0f} MB, {base:,.0f} of them before any work")
    print(out)


def _search(workspace, vectors) -> None:  # type: ignore[no-untyped-def]
    workspace.refresh()
    card = read_card(workspace.store, workspace.head, "default")
    if card is None:
        raise SystemExit("there is no index")
    start = time.perf_counter()
    opened = open_index(workspace.store, workspace.head, card)
    print(f"opened and checked in {time.perf_counter() - start:,.2f} s")
    opened.searcher.search(vectors[:1], 10)
    start = time.perf_counter()
    for i in range(200):
        opened.searcher.search(vectors[i : i + 1], 10)
    print(f"one query, 10 neighbours: {(time.perf_counter() - start) / 200 * 1e3:,.2f} ms")


if __name__ == "__main__":
    main()
