"""Duplicate search at size: time, memory and recall on planted neighbours, two cores.

    python -m tests.benchmarks.bench_dedup hashes  [--sizes 1e6 1e7] [--radius 7] [--rounds 3]
    python -m tests.benchmarks.bench_dedup vectors [--sizes 1e6] [--dim 512] [--threshold 0.9]
    python -m tests.benchmarks.bench_dedup peer --imagededup PYTHON [--sizes 5e4]

Each case runs in a process of its own, so that its peak memory is its own. Compilation (once a
machine, cached) is done before the clock starts. `peer` names the Python of an environment that
has imagededup (or CVDATA_IMAGEDEDUP does); its fastest search and ours take the same hashes, one
after the other. CPU seconds are told too: a busy machine does not change those much.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cvdata.duplicates.groups import star
from cvdata.index import range_pairs
from cvdata.kernels import hamming
from cvdata.kernels.graph import Neighbors

Result = dict[str, Any]


def planted_hashes(n: int, radius: int, n_planted: int) -> tuple[Any, Any, Any]:
    """(hashes (n, 1), rows, their planted neighbours): 64 random bits, at most `radius` flipped."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, n, dtype=np.uint64)
    source = rng.choice(n // 2, n_planted, replace=False)
    copies = words[source].copy()
    for i in range(n_planted):
        for bit in rng.choice(64, rng.integers(1, radius + 1), replace=False):
            copies[i] ^= np.uint64(1) << np.uint64(bit)
    target = n // 2 + np.arange(n_planted)
    words[target] = copies
    return words[:, None], source, target


def hashes(n: int, options: argparse.Namespace) -> Result:
    """Unique, plan, search, group: everything between hashes and keepers."""
    _group(planted_hashes(20_000, options.radius, 100)[0], options.radius)
    words, source, target = planted_hashes(n, options.radius, min(20_000, n // 4))
    started = time.perf_counter()
    unit, pairs, n_groups = _group(words, options.radius)
    seconds = time.perf_counter() - started
    low, high = np.minimum(unit[source], unit[target]), np.maximum(unit[source], unit[target])
    found = np.isin(low * n + high, pairs.a.astype(np.int64) * n + pairs.b) | (low == high)
    return {"seconds": seconds, "pairs": len(pairs), "groups": n_groups, "recall": found.mean()}


def _group(words: Any, radius: int) -> tuple[Any, hamming.HammingPairs, int]:
    values, unit = hamming.unique_words(words)
    pairs = hamming.search(values, hamming.plan_bands(values, 64, radius))
    near = Neighbors(
        unit.astype(np.int32), len(values), pairs.a, pairs.b, pairs.distance.astype(np.float32)
    )
    return unit, pairs, star(near, np.arange(len(words))).n_groups


def vectors(n: int, options: argparse.Namespace) -> Result:
    """Range search over clustered unit vectors with 2 % planted neighbours."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, options.dim), dtype=np.float32) * 0.7
    centres = rng.standard_normal((max(1, n // 50), options.dim), dtype=np.float32)
    m = n // 50
    for i in range(0, n, 65_536):
        part = rows[i : i + 65_536]
        part += centres[rng.integers(0, len(centres), len(part))]
    rows[n - m :] = rows[:m] + rng.standard_normal((m, options.dim), dtype=np.float32) * 0.25
    for i in range(0, n, 65_536):
        part = rows[i : i + 65_536]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    near = np.einsum("nd,nd->n", rows[:m], rows[n - m :]) >= options.threshold
    started = time.perf_counter()
    pairs, recall = range_pairs(rows, options.threshold)
    seconds = time.perf_counter() - started
    keys = np.flatnonzero(near) * n + (n - m) + np.flatnonzero(near)
    found = np.isin(keys, pairs.a * n + pairs.b)
    return {"seconds": seconds, "pairs": len(pairs), "recall": found.mean(), "told": str(recall)}


_PEER = """
import json, resource, sys, time
from imagededup.handlers.search.retrieval import HashEval
from imagededup.methods import PHash
if __name__ == "__main__":
    table = json.load(open(sys.argv[1]))
    started = time.perf_counter()
    found = HashEval(
        test=table, queries=table, distance_function=PHash.hamming_distance, verbose=False,
        threshold=int(sys.argv[2]), search_method="brute_force_cython",
    ).retrieve_results()
    seconds = time.perf_counter() - started
    spent = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(s.ru_utime + s.ru_stime for s in spent)
    pairs = sum(map(len, found.values())) // 2
    print(json.dumps({"seconds": seconds, "pairs": pairs, "cpu_seconds": cpu}))
"""


def peer(n: int, options: argparse.Namespace) -> Result:
    """imagededup's search on the same hashes, then ours."""
    words, _, _ = planted_hashes(n, options.radius, n // 4)
    with tempfile.TemporaryDirectory() as folder:
        table, script = Path(folder, "hashes.json"), Path(folder, "peer.py")
        table.write_text(json.dumps({str(i): f"{int(w):016x}" for i, w in enumerate(words[:, 0])}))
        script.write_text(_PEER)
        command = [options.imagededup, str(script), str(table), str(options.radius)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(out.strip().splitlines()[-1])
    before = time.process_time()
    ours = hashes(n, options)
    return {
        "seconds": ours["seconds"],
        "cpu_seconds": time.process_time() - before,
        "imagededup_cpu_seconds": theirs["cpu_seconds"],
        "pairs": ours["pairs"],
        "imagededup_seconds": theirs["seconds"],
        "imagededup_pairs": theirs["pairs"],
        "times_faster": theirs["seconds"] / ours["seconds"],
    }


CASES: dict[str, Callable[[int, argparse.Namespace], Result]] = {
    "hashes": hashes,
    "vectors": vectors,
    "peer": peer,
}


def _measured(case: str, n: int, options: argparse.Namespace, results: Any) -> None:
    result = CASES[case](n, options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    results.put(result | {"peak_gb": peak})


def main() -> None:
    """Run one case at every size, the asked number of rounds; print medians as JSON lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e6])
    parser.add_argument("--radius", type=int, default=7)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--imagededup", default=os.environ.get("CVDATA_IMAGEDEDUP", "python"))
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for size in options.sizes:
        rounds = []
        for _ in range(options.rounds):
            results = context.Queue()
            process = context.Process(
                target=_measured, args=(options.case, int(size), options, results)
            )
            process.start()
            rounds.append(results.get())
            process.join()
        middle = statistics.median(r["seconds"] for r in rounds)
        best = min(rounds, key=lambda r: abs(r["seconds"] - middle))
        print(json.dumps({"case": options.case, "n": int(size), "median_seconds": middle} | best))


if __name__ == "__main__":
    main()
