"""Export of untouched files against `cp -r` and `tar` of the same files, side by side in one run.

    python -m tests.benchmarks.bench_export [--images 8000] [--rounds 3] [--engine serial]

The files are ImageNet-sized photographs in class folders, each copy with other bytes, in the page
cache before the first round. Each round copies the folder with `cp -r`, exports it as ImageFolder,
packs it with `tar cf`, exports it as WebDataset, in an order that turns with the rounds; every
target is a new folder and is deleted outside the clock. Nobody calls fsync. Ours plans, names,
hashes (sha256) and checks besides; with `--engine ray` two workers write, and starting Ray is in
the clock. Medians of the paired rounds are quoted.
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jobs import export, ingest
from tests.benchmarks.photos import replicate, shared_data


def _timed(work: Callable[[Path], object], root: Path) -> float:
    with tempfile.TemporaryDirectory(dir=root) as where:
        started = time.perf_counter()
        work(Path(where) / "out")
        return time.perf_counter() - started


def _cp(photos: Path) -> Callable[[Path], object]:
    return lambda to: subprocess.run(["cp", "-r", photos, to], check=True)


def _tar(photos: Path) -> Callable[[Path], object]:
    return lambda to: subprocess.run(["tar", "cf", to, "-C", photos, "."], check=True)


def _ours(workspace: Path, kind: str, options: argparse.Namespace) -> Callable[[Path], object]:
    def run(to: Path) -> object:
        return export.run(
            export.Config(
                workspace=str(workspace),
                to=str(to),
                format=kind,
                engine=options.engine,
                workers=options.workers,
            )
        )

    return run


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="ray", choices=["serial", "ray"])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="bench-export-"))
    try:
        photos = root / "photos"
        sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
        for number in range(10):
            replicate(sources, photos / f"class{number}", options.images // 10)
        ingest.run(
            ingest.Config(source=str(photos), workspace=str(root / "w"), label_from_folder=True)
        )
        works = {
            "cp -r": _cp(photos),
            "export imagefolder": _ours(root / "w", "imagefolder", options),
            "tar cf": _tar(photos),
            "export webdataset": _ours(root / "w", "webdataset", options),
        }
        _rounds(works, root, options)
    finally:
        shutil.rmtree(root)


def _rounds(
    works: dict[str, Callable[[Path], object]], root: Path, options: argparse.Namespace
) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for number in range(options.rounds):
        for name in names[number % 4 :] + names[: number % 4]:
            seconds[name].append(_timed(works[name], root))
    n_bytes = sum(p.stat().st_size for p in (root / "photos").rglob("*") if p.is_file())
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(
            f"{name:<20} {median:7.2f} s  {options.images / median:8,.0f} images/s  "
            f"{n_bytes / median / 1e6:7,.0f} MB/s   ({', '.join(f'{t:.2f}' for t in taken)})"
        )
    for ours, bound in (("export imagefolder", "cp -r"), ("export webdataset", "tar cf")):
        ratios = [b / a for a, b in zip(seconds[ours], seconds[bound], strict=True)]
        print(f"{ours} / {bound}: {statistics.median(ratios):.2f}  (speed, median of pairs)")


if __name__ == "__main__":
    main()
