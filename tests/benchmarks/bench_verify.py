"""Recall and false merges on planted edits: each method alone, all, and all with verification.

    python -m tests.benchmarks.bench_verify [--images 500] [--model default] [--facts FILE]

Every image of `imagenet_sample` is edited in each way (`edits.py`); besides, its bytes are copied
and its pixels put into another container. A method finds a copy if original and copy are within
its radius. A false merge is a pair of images from different originals: the edited copies against
all originals, and the originals against each other. `all` are the methods without a second look;
`default` is what `cvdata dedup` does: it looks further and leaves the decision to verification;
`widest` does so at radius 11 and cosine 0.75. `look` is verification alone, every planted pair
being its candidate. `--facts` keeps hashes, vectors and thumbs in a file, to measure verification
again without them.
"""

import argparse
import io
import itertools
import multiprocessing
import pickle
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cvdata.duplicates.thresholds import BUILT_IN
from cvdata.image import open_image
from cvdata.kernels.dihedral import dihedral_variants
from cvdata.kernels.registration import View
from cvdata.kernels.verification import verify
from cvdata.measures import MEASURES
from cvdata.runs.dedup_options import RADIUS, WIDE_RADIUS
from tests.benchmarks.edits import EDITS
from tests.benchmarks.photos import shared_data

BUILT_IN_COSINES = next(iter(BUILT_IN.values()))
EDIT_NAMES = ("byte_copy", "container_copy", *EDITS)
_model: Any = None


@dataclass(frozen=True)
class Facts:
    """What the methods know of one image."""

    phash: int
    digest: bytes
    thumb: Any
    vector: Any


def _facts(data: bytes) -> Facts:
    image = open_image(data)
    measured: dict[str, Any] = {}
    for kind in MEASURES:
        if kind.name in ("phash", "pixel_digest"):
            measured |= kind()(image)
    gray = Image.fromarray(image.gray)
    gray.thumbnail((256, 256), Image.Resampling.BOX)
    vector = None
    if _model is not None:
        vector = _model([_model.prepare(image.rgb).pixels])[0]
    bits = int.from_bytes(measured["phash"], "big")
    return Facts(bits, measured["pixel_digest"], np.asarray(gray), vector)


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _row(task: tuple[int, str]) -> tuple[Facts, dict[str, Facts]]:
    seed, path = task
    data = Path(path).read_bytes()
    original = Image.fromarray(open_image(data).rgb)
    copies = {"byte_copy": _facts(data), "container_copy": _facts(_encoded(original, "BMP"))}
    for name, edit in EDITS.items():
        edited = edit(original, random.Random(f"{seed}-{name}"))
        copies[name] = _facts(_encoded(edited, "BMP"))
    return _facts(data), copies


def _setup(model: str) -> None:
    global _model
    if model:
        from cvdata.models.catalog import resolve

        _model = resolve(model)
        _model.setup("cpu")


def _hamming(left: Any, right: Any) -> Any:
    return np.bitwise_count(left[:, None] ^ right[None, :])


def _distances(left: list[Facts], right: list[Facts]) -> dict[str, Any]:
    """Every method's distance matrix, (left, right)."""
    a, b = (np.array([f.phash for f in side], np.uint64) for side in (left, right))
    turned = dihedral_variants(a[:, None])
    out = {
        "perceptual": _hamming(a, b),
        "dihedral": np.min([_hamming(turned[:, k], b) for k in range(8)], axis=0),
    }
    digests = (np.array([f.digest for f in side], dtype="V16") for side in (left, right))
    one, two = digests
    out["exact"] = (one[:, None] != two[None, :]).astype(int)
    if left[0].vector is not None:
        one, two = (np.stack([f.vector for f in side]) for side in (left, right))
        out["semantic"] = 1 - one @ two.T
    return out


def _verdict(task: tuple[Any, Any]) -> bool:
    return verify(View(task[0]), View(task[1])).is_copy


def _hits(distances: dict[str, Any], radius: int, threshold: float) -> dict[str, Any]:
    cuts = {"exact": 0, "perceptual": radius, "dihedral": radius, "semantic": 1 - threshold}
    return {name: matrix <= cuts[name] for name, matrix in distances.items()}


def _table(rows: dict[str, dict[str, tuple[float, int]]], columns: list[str]) -> str:
    head = f"| edit | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n"
    lines = []
    for edit, cells in rows.items():
        text = [f"{100 * recall:.1f} ({false})" for recall, false in (cells[c] for c in columns)]
        lines.append(f"| {edit} | {' | '.join(text)} |")
    return head + "\n".join(lines)


def evaluate(rows: list[tuple[Facts, dict[str, Facts]]], options: argparse.Namespace) -> None:
    """Print the table: recall in percent, false pairs in brackets."""
    originals = [row[0] for row in rows]
    n = len(originals)
    table: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    looked, started = 0, time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for edit in (*EDIT_NAMES, "(originals)"):
            copies = originals if edit == "(originals)" else [row[1][edit] for row in rows]
            distances = _distances(copies, originals)
            same = np.eye(n, dtype=bool)
            count = np.triu(~same, 1) if edit == "(originals)" else ~same
            found = _hits(distances, options.radius, options.threshold)
            found["all"] = np.any(list(found.values()), axis=0)
            near = _hits(distances, options.wide_radius, options.wide_threshold)
            far = _hits(distances, 11, min(0.75, options.wide_threshold))
            reached = {"default": near, "widest": far}
            reached = {name: np.any(list(hits.values()), axis=0) for name, hits in reached.items()}
            pairs = np.argwhere(reached["widest"] & (count | same) | same)
            views = [(copies[i].thumb, originals[j].thumb) for i, j in pairs]
            seen = np.zeros((n, n), bool)
            seen[tuple(pairs.T)] = pool.map(_verdict, views, chunksize=16)
            seen |= found["exact"]
            looked += len(pairs)
            found |= {name: hits & seen for name, hits in reached.items()}
            found["look"] = seen
            for method, matrix in found.items():
                recall = float(matrix[same].mean())
                table[edit][method] = (recall, int(matrix[count].sum()))
    columns = list(table["(originals)"])
    means = {c: float(np.mean([table[e][c][0] for e in EDITS])) for c in columns}
    false = {c: sum(table[e][c][1] for e in table) for c in columns}
    table["mean of the edits; all false pairs"] = {c: (means[c], false[c]) for c in columns}
    print(_table(table, columns))
    seconds = time.perf_counter() - started
    print(f"\n{n * (len(EDIT_NAMES) + 1):,} images; {looked:,} pairs looked at in {seconds:.0f} s")


def main() -> None:
    """Prepare the images in two processes, then evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--model", default="default", help="'' leaves the semantic column out")
    parser.add_argument("--radius", type=int, default=RADIUS)
    parser.add_argument("--wide-radius", type=int, default=WIDE_RADIUS)
    parser.add_argument("--threshold", type=float, default=BUILT_IN_COSINES.alone)
    parser.add_argument("--wide-threshold", type=float, default=BUILT_IN_COSINES.candidate)
    parser.add_argument("--facts", type=Path, help="kept here, and read where it is there")
    options = parser.parse_args()
    if options.facts and options.facts.exists():
        rows = pickle.loads(options.facts.read_bytes())  # noqa: S301  our own file
    else:
        files = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
        step = max(1, len(files) // options.images)
        tasks = list(enumerate(str(f) for f in itertools.islice(files, 0, None, step)))
        with multiprocessing.get_context("spawn").Pool(2, _setup, (options.model,)) as pool:
            rows = pool.map(_row, tasks[: options.images], chunksize=4)
        if options.facts:
            options.facts.write_bytes(pickle.dumps(rows))
    evaluate(rows[: options.images], options)


if __name__ == "__main__":
    main()
