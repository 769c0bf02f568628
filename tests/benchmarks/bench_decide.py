"""decide on millions of rows: seconds of one core, and memory at the peak.

    python -m tests.benchmarks.bench_decide [IMAGES …]

Tables are made up: 100 classes of uneven size, 30 % of the images in groups of three copies, half
with an issue row. An SQL rule, floors, both ways of balancing and weights are on. decide runs in a
process of its own, on a loop. The bound beside it: reading each part once and writing a table of
the same rows. With several sizes it shows how both grow.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvdata import Workspace, schema
from cvdata.parts import open_part
from cvdata.runs.eda import origin

RULES = """
issues: {blurry: drop, dark: drop}
floors: {other: 100}
sql: [{name: tiny, where: "width < 60"}]
balance: {target: equal, undersample: random, oversample: augment, weights: effective}
"""
FACTS = (("width", "int32"), ("height", "int32"), ("jpeg_quality", "int32"))


def pieces(table: pa.Table, rows: int = 262_144) -> Iterator[pa.Table]:
    return (table.slice(at, rows) for at in range(0, len(table), rows))


def filled(columns: dict[str, object], like: pa.Schema, n: int) -> pa.Table:
    """These columns, the others null."""
    return pa.table({f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in like}).cast(like)


def keys(n: int) -> dict[str, object]:
    raw = np.random.default_rng(0).integers(0, 2**63, (n, 2), dtype=np.uint64).tobytes()
    ids = pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(raw)])
    return {"image_id": ids, "revision": pa.array([f"r{i}" for i in range(n)])}


def make(where: Path, n: int) -> Workspace:
    rng = np.random.default_rng(1)
    key = keys(n)
    labels = pa.array([f"c{i}" for i in range(100)])
    records = key | {
        "source": pa.array(["made"] * n),
        "key": pa.array([b"%d" % i for i in range(n)], pa.binary()),
        "uri": pa.array([f"/made/{i}.jpg" for i in range(n)]),
        "size_bytes": pa.array(rng.integers(1000, 100_000, n)),
        "label": labels.take(pa.array((rng.random(n) ** 3 * 100).astype(np.int64))),
        "split": pa.array(["train", "val", "test"]).take(
            pa.array(rng.choice(3, n, p=[0.8, 0.1, 0.1]))
        ),
    }
    facts = key | {name: pa.array(rng.integers(50, 2000, n).astype(np.int32)) for name, _ in FACTS}
    wide = schema.measures_schema(list(FACTS))
    workspace = Workspace(str(where))
    with workspace.change("made", {}) as change:
        change.replace("records", pieces(filled(records, schema.RECORDS, n)), schema.RECORDS)
        rows = pieces(filled(facts, wide, n))
        change.replace("measures/00000000", rows, wide, meta={"order": 1})
    settings = json.dumps({"keep": ["-pixels", "-jpeg_quality", "image_id"]})
    meta = {**origin(workspace.refresh().head), "settings": settings}
    with workspace.change("made", {}) as change:
        change.replace("issues", pieces(issues(key, n)), schema.ISSUES, meta=meta)
        duplicates, pairs = copies(key, n)
        change.replace("duplicates", [duplicates], schema.DUPLICATES, meta=meta)
        change.replace("pairs", [pairs], schema.PAIRS, meta=meta)
    return workspace.refresh()


def taken(key: dict[str, object], at: np.ndarray) -> dict[str, object]:
    rows = pa.array(at)
    return {name: column.take(rows) for name, column in key.items()}  # type: ignore[attr-defined]


def issues(key: dict[str, object], n: int) -> pa.Table:
    rng = np.random.default_rng(2)
    at = rng.choice(n, n // 2, replace=False)
    names = pa.array(["dark", "blurry", "noisy"]).take(pa.array(rng.integers(0, 3, len(at))))
    found = {
        "issue": names,
        "severity": pa.array(rng.random(len(at)).astype(np.float32)),
        "is_flagged": pa.array(rng.random(len(at)) < 0.2),
    }
    return filled(taken(key, at) | found, schema.ISSUES, len(at))


def copies(key: dict[str, object], n: int) -> tuple[pa.Table, pa.Table]:
    """Groups of three; each of a group a pair with each."""
    groups = np.random.default_rng(3).choice(n, n // 10 * 3, replace=False).reshape(-1, 3)
    flat = groups.ravel()
    is_keeper = np.tile([True, False, False], len(groups))
    ids = key["image_id"]
    rows = taken(key, flat) | {
        "method": pa.array(["any"] * len(flat)),
        "group_id": ids.take(pa.array(np.repeat(groups[:, 0], 3))),  # type: ignore[attr-defined]
        "distance": pa.array(np.where(is_keeper, 0, 0.5).astype(np.float32)),
        "is_keeper": pa.array(is_keeper),
    }
    a, b = (np.concatenate([groups[:, i] for i in side]) for side in ((0, 0, 1), (1, 2, 2)))
    pairs = {
        "method": pa.array(["perceptual"] * len(a)),
        "id_a": ids.take(pa.array(a)),  # type: ignore[attr-defined]
        "id_b": ids.take(pa.array(b)),  # type: ignore[attr-defined]
        "distance": pa.array(np.ones(len(a), np.float32)),
    }
    return filled(rows, schema.DUPLICATES, len(flat)), filled(pairs, schema.PAIRS, len(a))


def bound(workspace: Workspace) -> float:
    """CPU seconds to read each part of what is judged once, and to write as many rows."""
    start = time.process_time()
    with workspace.change("bound", {}) as change:
        change.cancel()
        change.replace("bound", _blank(workspace), schema.SELECTION)
    return time.process_time() - start


def _blank(workspace: Workspace) -> Iterator[pa.Table]:
    for name, state in workspace.head.tables.items():
        for part in state.parts:
            with open_part(workspace.store, part.path) as file:
                rows = file.read()
            if name == "records":
                n = len(rows)
                blank = {"keep": pa.array([True] * n), "weight": pa.array([1.0] * n)}
                keys = {c: rows[c] for c in ("image_id", "revision")}
                yield filled(keys | blank | {"reasons": pa.array([[]] * n)}, schema.SELECTION, n)


def measured(n: int) -> None:
    """One size: make it, take the bound, decide."""
    with tempfile.TemporaryDirectory(prefix="bench-decide-") as folder:
        where = Path(folder) / "w"
        least = bound(make(where, n))
        (Path(folder) / "rules.yaml").write_text(RULES)
        words = ("--workspace", where, "--config", Path(folder) / "rules.yaml")
        argv = [
            sys.executable,
            "-m",
            "cvdata.cli",
            "decide",
            *map(str, words),
            "--engine",
            "serial",
        ]
        started = time.perf_counter()
        child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        _, code, used = os.wait4(child.pid, 0)
        seconds, cpu = time.perf_counter() - started, used.ru_utime + used.ru_stime
    if code:
        raise SystemExit("decide failed")
    print(
        f"{n:>12,} images: {cpu:6.1f} s of CPU ({cpu / n * 1e6:.1f} µs an image), "
        f"{seconds:6.1f} s, {cpu / least:.1f} x reading and writing alone, "
        f"peak memory {used.ru_maxrss / 1e6:.2f} GB",
        flush=True,
    )


if __name__ == "__main__":
    for size in sys.argv[1:] or ["1000000"]:
        measured(int(size))
