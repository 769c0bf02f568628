"""The autoencoder on real images: seconds of training, and whether it tells strangers.

    python -m tests.benchmarks.bench_autoencoder --usual DIR --foreign DIR [--share 0.04]
    python -m tests.benchmarks.bench_autoencoder --sample --foreign DIR DIR [--seeds 0 1]

Into the usual images (or the sample of `cvdata sample`) go, as `--share` of them, images of the
foreign folders and as many copies of usual ones under Gaussian noise of 25 and 50 grey levels.
It is trained on all of them, the strangers too, with the default settings, and judges them.
Prints AUROC against the usual images, the share of each kind that is flagged, and seconds.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.metrics import roc_auc_score

from cvdata.errors import ImageError
from cvdata.image import open_image
from cvdata.models.autoencoder import ERRORS, Training, errors, train
from cvdata.outliers.fitting import fit
from cvdata.outliers.rows import Rows
from cvdata.outliers.settings import Options
from cvdata.sample import make_sample
from cvdata.schema import ID
from cvdata.sources.uris import decode_path
from cvdata.stages.reconstruct import two_views
from tests.outliers.making import ids_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
NOISES = (25, 50)


def read(paths: list[Path]) -> list[np.ndarray]:
    """RGB of those that can be read."""
    found = []
    for path in paths:
        try:
            found.append(open_image(path.read_bytes()).rgb)
        except ImageError:
            continue
    return found


def images_in(folder: Path) -> list[Path]:
    """Image files below a folder, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)


def spread(things: list, n: int) -> list:
    """n of them, evenly."""
    return [things[i] for i in np.linspace(0, len(things) - 1, min(n, len(things))).astype(int)]


def the_sample() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clean images of the sample, and all others that can be read."""
    with tempfile.TemporaryDirectory() as folder:
        truth = make_sample(Path(folder))
        paths = {p: Path(folder) / decode_path(p).decode("utf-8", "surrogateescape")
                 for p in sorted(set(truth.files) - set(truth.errors))}  # fmt: skip
        clean = read([at for p, at in paths.items() if not truth.files[p].plants])
        return clean, read([at for p, at in paths.items() if truth.files[p].plants])


def judged(views: np.ndarray, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(scores, flags, seconds of training) of views, trained on all of them."""
    started = time.perf_counter()
    weights = train(views, Training(steps=steps, seed=seed))
    seconds = time.perf_counter() - started
    found = errors(weights, views)
    columns = {name: pa.array(found[:, j]) for j, name in enumerate(ERRORS)}
    rows = Rows(pa.table({"image_id": pa.array(ids_of(len(views)), ID), **columns}))
    fitted = fit(rows, None, Options(methods=("reconstruction",), seed=seed))
    scores = fitted.score(rows, "reconstruction")
    return scores, fitted.flags(rows, "reconstruction", scores), seconds


def main() -> None:
    """One JSON line a seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--usual", type=Path)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--foreign", type=Path, nargs="+", required=True)
    parser.add_argument("--share", type=float, default=0.04)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=Training().steps)
    options = parser.parse_args()
    usual, besides = the_sample() if options.sample else (read(images_in(options.usual)), [])
    n = max(4, round(options.share * (len(usual) + len(besides))))
    foreign = [read(spread(images_in(f), n // len(options.foreign))) for f in options.foreign]
    strangers = [image for some in foreign for image in some]
    rng = np.random.default_rng(0)
    noisy = [np.clip(image + rng.normal(0, NOISES[i % 2], image.shape), 0, 255).astype(np.uint8)
             for i, image in enumerate(spread(usual, n))]  # fmt: skip
    kinds = {"usual": usual, "besides": besides, "noisy": noisy, "foreign": strangers}
    kind = np.array([name for name, some in kinds.items() for _ in some])
    views = np.stack([two_views(image) for some in kinds.values() for image in some])
    for seed in options.seeds:
        scores, flags, seconds = judged(views, seed, options.steps)
        told = {"seed": seed, "steps": options.steps, "n": {k: len(v) for k, v in kinds.items()}}
        told |= {"train_seconds": round(seconds, 1), "load": os.getloadavg()[0]}
        for name in ("noisy", "foreign"):
            at = np.isin(kind, ("usual", name))
            told[f"auroc_{name}"] = round(float(roc_auc_score(kind[at] == name, scores[at])), 3)
        told["flagged"] = {k: round(float(flags[kind == k].mean()), 3) for k in kinds if kinds[k]}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
