"""Embedding with the default model against a bare loop and the model alone, side by side.

    python -m tests.benchmarks.bench_models [--images 2000] [--rounds 3]

Each round runs in two processes, one thread each, on the same files: decode alone; the ONNX model
alone on prepared pictures; a bare loop (simplejpeg, Pillow's resize and crop, the same session);
and ours (decode by the policy, `Runner.predict`). Medians of the rounds, images/s. The promise is
180 images/s from files to vectors on two cores, and 0.9 of the bare loop.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image as PilImage

from cvdata.image import open_image
from cvdata.models import resolve
from cvdata.models.batching import Runner
from cvdata.models.classifier import ClassifierNetwork
from cvdata.models.onnx_export import INPUT, find_cached
from cvdata.models.onnx_session import open_session
from tests.benchmarks.photos import replicate, shared_data

WORKERS = 2
BATCH = 8
_state: dict[str, Any] = {}


def _setup() -> None:
    """Load the model twice: as ours, and as a bare session."""
    model = resolve("default")
    runner = Runner(model, "cpu")
    runner.setup()
    network = model.network  # type: ignore[attr-defined]
    assert isinstance(network, ClassifierNetwork)
    cached = find_cached(network.source.identity)
    assert cached is not None
    _state["runner"] = runner
    _state["session"] = open_session(cached[0], "cpu")
    _state["pixels"] = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), np.uint8)


def _embed(pixels: np.ndarray) -> np.ndarray:
    return _state["session"].run(["embedding"], {INPUT: pixels})[0]  # type: ignore[no-any-return]


def decode_alone(paths: list[str]) -> None:
    """What nobody can beat."""
    for path in paths:
        simplejpeg.decode_jpeg(Path(path).read_bytes())


def model_alone(paths: list[str]) -> None:
    """The same number of prepared pictures."""
    for start in range(0, len(paths), BATCH):
        _embed(_state["pixels"][: len(paths) - start])


def bare_loop(paths: list[str]) -> None:
    """What one would write without this project."""
    for start in range(0, len(paths), BATCH):
        batch = []
        for path in paths[start : start + BATCH]:
            data = Path(path).read_bytes()
            colour = simplejpeg.decode_jpeg_header(data)[2]
            image = PilImage.fromarray(
                simplejpeg.decode_jpeg(data, "RGB"), "RGB" if colour else None
            )
            scale = 256 / min(image.size)
            image = image.resize((int(image.width * scale), int(image.height * scale)), 2)
            left, top = (image.width - 224) // 2, (image.height - 224) // 2
            batch.append(np.asarray(image.crop((left, top, left + 224, top + 224))))
        _embed(np.stack(batch))


def ours(paths: list[str]) -> None:
    """Decode by the policy, prepare, embed."""
    images = [open_image(Path(path).read_bytes()).rgb for path in paths]
    _state["runner"].predict(images)


def rate(work: Callable[[list[str]], None], paths: list[str], chunk: int = 64) -> float:
    """Images/s in a pool of fresh processes, once each has done some."""
    chunks = [paths[i : i + chunk] for i in range(0, len(paths), chunk)]
    with multiprocessing.get_context("spawn").Pool(WORKERS, _setup) as pool:
        pool.map(work, chunks[: 2 * WORKERS], chunksize=1)
        started = time.perf_counter()
        pool.map(work, chunks, chunksize=1)
        return len(paths) / (time.perf_counter() - started)


def main() -> None:
    """Measure the four, print the medians and the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
    resolve("default").setup("cpu")
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(path) for path in replicate(sources, Path(folder), options.images)]
        for _ in range(options.rounds):
            for work in (decode_alone, model_alone, bare_loop, ours):
                found.setdefault(work.__name__, []).append(rate(work, paths))
    for name, rates in found.items():
        print(f"{name:14} {statistics.median(rates):8.1f} images/s  {[round(r) for r in rates]}")
    ratio = statistics.median(a / b for a, b in zip(found["ours"], found["bare_loop"], strict=True))
    print(f"ours / bare loop: {ratio:.3f}")


if __name__ == "__main__":
    main()
