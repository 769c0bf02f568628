"""`infer` and `scan --model` against bare loops over the same files, side by side in one run.

    python -m tests.benchmarks.bench_models [--images 5000] [--few 1000] [--rounds 3]
        [--only PART …]

The commands are timed from start to end on few and on many images; the difference is what the
images cost after start-up. The bare loop is a DataLoader whose workers decode (simplejpeg), resize
and crop (Pillow), and the same ONNX model in the main process; the best of several numbers of
workers, threads and images a batch is taken. *measures* is a DataLoader whose two workers decode
and run the default measures, without sandbox, tables or engine. Each round runs every part once,
one after the other, on the same files. The promises: `infer` at least 0.9 of the bare loop; `scan
--model` at most 1.1 times measures and bare loop together less one decode; 180 images/s from files
to vectors on two cores. Medians of the rounds, and of the ratios of each round.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image as PilImage
from torch.utils.data import DataLoader, Dataset

from cvdata.image import Limits
from cvdata.measures import DEFAULT_MEASURES
from cvdata.models import resolve
from cvdata.models.classifier import ClassifierNetwork
from cvdata.models.onnx_export import INPUT, find_cached
from cvdata.models.onnx_session import open_session
from cvdata.stages.scanner import ImageScanner, MeasureSpec
from tests.benchmarks.photos import replicate, shared_data

WORKERS = 2
BATCH = 32
LOOPS = ((2, 1, 32), (2, 2, 32), (1, 2, 32), (2, 1, 8), (2, 2, 8))
"""DataLoader workers, threads of the model, images a batch."""
SPECS = tuple(MeasureSpec(name) for name in DEFAULT_MEASURES)
RUN = "import sys; from cvdata.cli import main; sys.exit(main(sys.argv[1:]))"


class Pictures(Dataset[np.ndarray]):
    """What one would write without this project."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray:
        data = self.paths[i].read_bytes()
        image = PilImage.fromarray(simplejpeg.decode_jpeg(data, "RGB"))
        scale = 256 / min(image.size)
        size = (int(image.width * scale), int(image.height * scale))
        image = image.resize(size, PilImage.Resampling.BILINEAR)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        return np.asarray(image.crop((left, top, left + 224, top + 224)))


class Decoded(Pictures):
    """Decode alone."""

    def __getitem__(self, i: int) -> np.ndarray:
        rgb = simplejpeg.decode_jpeg(self.paths[i].read_bytes(), "RGB")
        return np.zeros(1, np.uint8) + rgb[0, 0, 0]


class Measured(Pictures):
    """Decode and measure, with our kernels and nothing else of ours."""

    scan: Callable[[bytes, str], object] | None = None

    def __getitem__(self, i: int) -> np.ndarray:
        if self.scan is None:
            cv2.setNumThreads(1)
            self.scan = ImageScanner(SPECS, Limits())()
        self.scan(self.paths[i].read_bytes(), str(i))
        return np.zeros(1, np.uint8)


def loop_seconds(dataset: Pictures, n_workers: int, threads: int = 0, batch: int = BATCH) -> float:
    """Seconds an image after the first batches; with `threads` the model runs on each batch."""
    loader = DataLoader(dataset, batch, num_workers=n_workers, collate_fn=np.stack)
    session = open_session(_graph(), "cpu", threads) if threads else None
    n, started = 0, 0.0
    for i, images in enumerate(loader):
        if session is not None:
            session.run(["embedding"], {INPUT: images})
        if i == 2 * n_workers:
            started = time.perf_counter()
        elif i > 2 * n_workers:
            n += len(images)
    return (time.perf_counter() - started) / n


def model_seconds(threads: int = 1, n: int = 300) -> float:
    """Seconds an image of the model alone, on one core."""
    session = open_session(_graph(), "cpu", threads)
    batch = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)
    session.run(["embedding"], {INPUT: batch})
    started = time.perf_counter()
    for _ in range(n // len(batch)):
        session.run(["embedding"], {INPUT: batch})
    return (time.perf_counter() - started) / (n // len(batch) * len(batch))


def command_seconds(paths: list[Path], few: int, *words: str) -> float:
    """Seconds an image of a command after its start-up: many images less few."""
    took = []
    for some in (paths[:few], paths):
        with tempfile.TemporaryDirectory() as folder:
            listing = some[0].parent / f"{len(some)}.csv"
            listing.write_text("\n".join(["path", *map(str, some)]))
            where = ("--workspace", f"{folder}/w")
            _run("ingest", str(listing), *where)
            started = time.perf_counter()
            _run(*words, *where, "--workers", str(WORKERS))
            took.append(time.perf_counter() - started)
    return (took[1] - took[0]) / (len(paths) - few)


def _run(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")


def _graph() -> Path:
    network = resolve("default").network  # type: ignore[attr-defined]
    assert isinstance(network, ClassifierNetwork)
    cached = find_cached(network.source.identity)
    assert cached is not None
    return cached[0]


def main() -> None:
    """Measure everything once a round, print the medians and what was promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="parts to measure; all where not given")
    options = parser.parse_args()
    sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
    resolve("default").setup("cpu")
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        parts = _parts(replicate(sources, Path(folder), options.images), options.few)
        wanted = [name for name in parts if not options.only or name in options.only]
        for _ in range(options.rounds):
            for name in wanted:
                found.setdefault(name, []).append(parts[name]())
                print(f"{name:16} {1 / found[name][-1]:8.1f} images/s", flush=True)
    print("medians:")
    for name, values in found.items():
        print(f"{name:16} {1 / statistics.median(values):8.1f} images/s")
    if len(found) == len(parts):
        _promises(found)


def _parts(paths: list[Path], few: int) -> dict[str, Callable[[], float]]:
    """Seconds an image of each part."""
    some = paths[:800]
    return {
        "decode": lambda: loop_seconds(Decoded(paths), WORKERS),
        "measures": lambda: loop_seconds(Measured(paths), WORKERS),
        "model, one core": model_seconds,
        "bare loop": lambda: min(loop_seconds(Pictures(some), *how) for how in LOOPS),
        "infer": lambda: command_seconds(paths, few, "infer", "--model", "default"),
        "scan": lambda: command_seconds(paths, few, "scan"),
        "scan --model": lambda: command_seconds(paths, few, "scan", "--model", "default"),
    }


def _promises(found: dict[str, list[float]]) -> None:
    rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    infer = [row["bare loop"] / row["infer"] for row in rows]
    scan = [
        row["scan --model"] / (row["measures"] + row["bare loop"] - row["decode"]) for row in rows
    ]
    speed = [1 / row["infer"] for row in rows]
    for what, ratios, limit in (
        ("infer / bare loop", infer, "at least 0.9"),
        ("scan --model / its parts", scan, "at most 1.1"),
        ("embedded end to end, images/s", speed, "at least 180"),
    ):
        each = ", ".join(f"{ratio:.3g}" for ratio in ratios)
        print(f"{what}: {statistics.median(ratios):.3g} ({limit}; rounds: {each})")


if __name__ == "__main__":
    main()
