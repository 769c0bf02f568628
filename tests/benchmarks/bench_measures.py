"""Milliseconds of each measure against the decode, one process, one thread.

    python -m tests.benchmarks.bench_measures [FOLDER] [--images 250] [--rounds 3]

Each image is decoded and measured once in its turn, as a scan does it, so that caches and branch
predictors are as cold as in real work; CPU time of the thread, so that a busy machine costs little.
Shared passes (grey and histograms, neighbourhoods, thumbs, views) are timed apart from the measures
that use them. Without FOLDER, 500×375 JPEGs are made from noise and waves.
"""

import argparse
import io
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image as PilImage

from cvdata.image import Header, Image
from cvdata.kernels.warm import warm
from cvdata.measures import DEFAULT_MEASURES, MEASURES, build, measure_all, views

PASSES: tuple[tuple[str, Callable[[Image], object]], ...] = (
    ("planes, grey, histograms", views.pixel_pass),
    ("neighbourhoods", views.stencil_pass),
    ("grey view", views.gray_view),
    ("colour view", views.color_view),
    ("LAB of the view", views.lab_view),
    ("hash thumbs", lambda image: views.hash_thumb(image, 8, 8)),
    ("hash frequencies", views.hash_frequencies),
    ("blur thumb", views.blur_thumb),
)


def read(folder: Path | None, n: int) -> list[bytes]:
    """`n` encoded JPEGs, from the folder or made."""
    if folder is not None:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg"))
        return [path.read_bytes() for path in paths[:n]]
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:375, 0:500]
    made = []
    for _ in range(n):
        a, b, c = rng.uniform(0.01, 0.2, 3)
        waves = np.stack([np.sin(x * a), np.cos(y * b), np.sin((x + y) * c)], axis=2)
        noisy = 127 + 100 * waves + rng.normal(0, 8, waves.shape)
        packed = io.BytesIO()
        PilImage.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(packed, "JPEG", quality=90)
        made.append(packed.getvalue())
    return made


class Clock:
    """CPU milliseconds of this thread, gathered by name."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)

    def time(self, name: str, call: Callable[[], object]) -> object:
        start = time.thread_time()
        result = call()
        self.times[name].append(1e3 * (time.thread_time() - start))
        return result

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])


def image_of(data: bytes, rgb: np.ndarray) -> Image:
    return Image(data, Header("JPEG", "RGB", rgb.shape[1], rgb.shape[0]), rgb)


def run(images: list[bytes], rounds: int) -> Clock:
    """Time everything; the first round only warms."""
    measures = [build(measure.name) for measure in MEASURES]
    default = [build(name) for name in DEFAULT_MEASURES]
    clock = Clock()
    for round_ in range(rounds + 1):
        if round_ <= 1:
            clock.times.clear()
        for data in images:
            rgb = clock.time("decode", lambda data=data: simplejpeg.decode_jpeg(data, "RGB"))
            assert isinstance(rgb, np.ndarray)
            image = image_of(data, rgb)
            clock.time("default set", lambda image=image: measure_all(default, image))
            image = image_of(data, rgb)
            for name, call in PASSES:
                clock.time(name, lambda call=call, image=image: call(image))
            for measure in measures:
                clock.time(measure.name, lambda measure=measure, image=image: measure(image))
    return clock


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    warm()
    clock = run(read(arguments.folder, arguments.images), arguments.rounds)
    decode = clock.median("decode")
    lines = [f"{'step':28s} {'ms':>7s} {'of the decode':>14s}"]
    passes = [f"  {name}" for name, _ in PASSES]
    for name in ["decode", *passes, *(measure.name for measure in MEASURES), "default set"]:
        ms = clock.median(name.strip())
        lines.append(f"{name:28s} {ms:7.3f} {ms / decode:14.2f}")
    ratio = statistics.median(
        1 + a / d for a, d in zip(clock.times["default set"], clock.times["decode"], strict=True)
    )
    lines.append(f"decode + default set (with SHA-256) = {ratio:.2f} x the decode")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
