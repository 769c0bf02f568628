"""Outliers at size: time and memory of k-NN distances, two workers.

    python -m tests.benchmarks.bench_outliers [--rows 1e6] [--dim 256] [--workers 2] [--whole]

Clustered unit vectors with one stranger in a thousand, in a workspace; then the job with
`--methods knn`: sample, projection, fit, scores, ranks, table, commit. `--whole` projects nothing
away: neighbours are sought in every dimension. Prints seconds, the peak of the memory of the
process and of its workers, the recall of the index, and the AUROC of the strangers.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from cvdata import Workspace
from cvdata.cli import main as cvdata
from cvdata.outliers.rows import column_of
from cvdata.schema import ID, RECORDS

PART = 65_536


def unit_vectors(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(vectors, is_stranger): a thousand kinds of different spread, in a subspace and noise."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(0).standard_normal((1000, d), np.float32)
    kinds *= np.linspace(1, 0.05, d, dtype=np.float32)
    kind = rng.integers(0, 1000, n)
    rows = kinds[kind] + rng.standard_normal((n, d), np.float32) * (
        0.1 + 0.2 * (kind % 5)[:, None] / 5
    )
    is_stranger = rng.random(n) < 0.001
    rows[is_stranger] = rng.standard_normal((int(is_stranger.sum()), d), np.float32) * 0.7
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), is_stranger


def made(where: Path, n: int, d: int) -> dict[bytes, bool]:
    """A workspace with records and embeddings/made; which ids are strangers."""
    truth: dict[bytes, bool] = {}
    rng = np.random.default_rng(1)

    def parts() -> list[tuple[pa.Table, pa.Table]]:
        found = []
        for start in range(0, n, PART):
            size = min(PART, n - start)
            vectors, is_stranger = unit_vectors(size, d, start)
            ids = [rng.bytes(16) for _ in range(size)]
            truth.update((i, True) for i, s in zip(ids, is_stranger, strict=True) if s)
            head = {"image_id": pa.array(ids, ID), "revision": pa.array(["1"] * size)}
            none = {c: pa.nulls(size, pa.string()) for c in ("error", "error_detail")}
            rest = {
                f.name: pa.nulls(size, f.type) if f.nullable else pa.array([_some(f.type)] * size)
                for f in RECORDS
                if f.name not in (*head, *none)
            }
            records = pa.table({**head, **none, **rest}).select(RECORDS.names).cast(RECORDS)
            found.append((records, pa.table({**head, **none, "embedding": column_of(vectors)})))
        return found

    with Workspace(str(where)).change("made", {}) as change:
        tables = parts()
        change.replace("records", [r for r, _ in tables], RECORDS)
        schema = tables[0][1].schema
        change.replace("embeddings/made", [e for _, e in tables], schema, meta={"dimension": d})
    return truth


def _some(kind: pa.DataType) -> object:
    return b"" if pa.types.is_binary(kind) else ""


class Peak(threading.Thread):
    """Watches the memory of this process and its children: proportional set size, bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.is_done = 0, False

    def run(self) -> None:
        me = psutil.Process()
        while not self.is_done:
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.bytes = max(self.bytes, total)
            time.sleep(1)


def auroc(where: Path, truth: dict[bytes, bool]) -> float:
    """Of the strangers among all."""
    from sklearn.metrics import roc_auc_score

    rows = Workspace(str(where)).read_all("outliers")
    is_stranger = [i in truth for i in rows["image_id"].to_pylist()]
    return float(roc_auc_score(is_stranger, rows["score"].to_numpy()))


def main() -> None:
    """Make the workspace in a process of its own, run the job, print a JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cvdata-bench-"))
    try:
        # In a process of its own, so that its memory is not counted.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            truth = pool.submit(made, folder / "w", int(options.rows), options.dim).result()
        flags = ["--methods", "knn", "--no-per-class", "--workers", str(options.workers)]
        if options.whole:
            flags += ["--variance", "1", "--dimensions", str(options.dim)]
        peak = Peak()
        peak.start()
        started = time.perf_counter()
        code = cvdata(["outliers", "--workspace", str(folder / "w"), "--engine", "ray", *flags])
        seconds = time.perf_counter() - started
        peak.is_done = True
        figures = json.loads(Workspace(str(folder / "w")).artifact("outliers.json"))
        told = {k: figures[k] for k in ("n_images", "n_sample", "dimension", "variance", "recall")}
        print(json.dumps({
            "exit": code, "seconds": round(seconds, 1), "peak_gb": round(peak.bytes / 1e9, 2),
            "load": os.getloadavg(), "auroc": round(auroc(folder / "w", truth), 4), **told,
        }))  # fmt: skip
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
