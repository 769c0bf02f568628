"""Peak memory of a worker, with its sandbox, that scans 12-megapixel JPEGs.

    python -m tests.benchmarks.bench_memory [--images 40]

Runs `cvdata scan` on an embedded Ray with two workers and samples the resident memory of every
process of the run ten times a second.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from jobs import ingest
from tests.benchmarks.photos import shared_data
from tests.conftest import ROOT


def make_large(folder: Path, n: int) -> None:
    """`n` JPEGs of 4000 x 3000 pixels from photographs, with grain so that they stay large."""
    folder.mkdir()
    sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
    rng = np.random.default_rng(0)
    for i in range(n):
        with Image.open(sources[i]) as source:
            large = source.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
        grain = rng.integers(-12, 13, (3000, 4000, 1), dtype=np.int16)
        pixels = np.clip(np.asarray(large, np.int16) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.jpg", quality=92)


def _resident(process: psutil.Process) -> tuple[str, int]:
    try:
        line = " ".join(process.cmdline())
        kind = "sandbox" if "isolation_child" in line else "worker"
        return (
            kind if "ray::" in line or kind == "sandbox" else "other"
        ), process.memory_info().rss
    except psutil.NoSuchProcess:
        return "other", 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    n = parser.parse_args().images
    with tempfile.TemporaryDirectory() as temporary:
        photos, where = Path(temporary) / "photos", str(Path(temporary) / "w")
        make_large(photos, n)
        ingest.run(ingest.Config(source=str(photos), workspace=where))
        words = ["scan", "--workspace", where, "--engine", "ray", "--workers", "2"]
        command = [sys.executable, "-m", "cvdata.cli", *words, "--chunk-rows", "8"]
        started = time.perf_counter()
        run = subprocess.Popen(command, cwd=ROOT)
        peaks = {"worker": 0, "sandbox": 0, "other": 0}
        while run.poll() is None:
            for process in psutil.Process(run.pid).children(recursive=True):
                kind, size = _resident(process)
                peaks[kind] = max(peaks[kind], size)
            time.sleep(0.1)
        seconds = time.perf_counter() - started
    both = (peaks["worker"] + peaks["sandbox"]) / 1e6
    print(
        f"{n} JPEGs of 12 megapixels in {seconds:.0f} s: worker {peaks['worker'] / 1e6:.0f} MB, "
        f"sandbox {peaks['sandbox'] / 1e6:.0f} MB, together {both:.0f} MB"
    )


if __name__ == "__main__":
    main()
