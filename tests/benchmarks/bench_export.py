"""Export of untouched files against `cp -r` and `tar` of the same files, side by side in one run.

    python -m tests.benchmarks.bench_export [--images 16000] [--rounds 5] [--engine auto]

The files are ImageNet-sized photographs in ten class folders, each copy with other bytes, read
once before the first round. Each round copies the folder with `cp -r`, exports it as ImageFolder,
packs it with `tar cf`, exports it as WebDataset, in an order that turns with the rounds; every
target is a new folder, which is deleted outside the clock, and the disk is synced before each.
Nobody calls fsync: two times are taken, when the program ends and when `sync -f` of its target has
ended, too. Ours plans, names, hashes (sha256) and describes besides, all in the clock; at this size
`auto` is a loop with writing threads, with `--engine ray` two workers write and starting Ray is in
the clock too. Medians of the paired rounds are quoted. `--keep FOLDER` keeps the photographs for
another run.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jobs import export, ingest
from tests.benchmarks.photos import replicate, shared_data

Work = Callable[[Path], object]


def _timed(work: Work, root: Path) -> tuple[float, float]:
    """Seconds until it ends, and until all that it wrote is on the disk."""
    with tempfile.TemporaryDirectory(dir=root) as where:
        os.sync()
        started = time.perf_counter()
        work(Path(where) / "out")
        ended = time.perf_counter()
        subprocess.run(["sync", "-f", where], check=True)
        return ended - started, time.perf_counter() - started


def _cp(photos: Path) -> Work:
    return lambda to: subprocess.run(["cp", "-r", photos, to], check=True)


def _tar(photos: Path) -> Work:
    return lambda to: subprocess.run(["tar", "cf", to, "-C", photos, "."], check=True)


def _ours(workspace: Path, kind: str, options: argparse.Namespace) -> Work:
    workers = 2 if options.engine == "ray" else 0
    where = {"workspace": str(workspace), "engine": options.engine, "workers": workers}
    return lambda to: export.run(export.Config(to=str(to), format=kind, **where))


def _prepare(root: Path, n: int) -> None:
    """Photographs and their workspace, unless they are there; every file is read."""
    photos = root / "photos"
    if not photos.exists():
        sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
        for number in range(10):
            replicate(sources, photos / f"class{number}", n // 10)
        config = ingest.Config(
            source=str(photos), workspace=str(root / "w"), label_from_folder=True
        )
        ingest.run(config)
    for path in photos.rglob("*.jpg"):
        path.read_bytes()


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", default="auto", choices=["auto", "serial", "ray"])
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    root = options.keep or Path(tempfile.mkdtemp(prefix="bench-export-"))
    try:
        _prepare(root, options.images)
        works = {
            "cp -r": _cp(root / "photos"),
            "export imagefolder": _ours(root / "w", "imagefolder", options),
            "tar cf": _tar(root / "photos"),
            "export webdataset": _ours(root / "w", "webdataset", options),
        }
        _rounds(works, root, options)
    finally:
        if options.keep is None:
            shutil.rmtree(root)


def _rounds(works: dict[str, Work], root: Path, options: argparse.Namespace) -> None:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    names = list(works)
    for number in range(options.rounds):
        for name in names[number % 4 :] + names[: number % 4]:
            taken[name].append(_timed(works[name], root))
    sizes = [p.stat().st_size for p in (root / "photos").rglob("*.jpg")]
    for place, how in enumerate(("as it ends", "on the disk")):
        seconds = {name: [pair[place] for pair in pairs] for name, pairs in taken.items()}
        print(f"{how}: {len(sizes):,} images, {sum(sizes) / 1e6:,.0f} MB")
        _print(seconds, sizes)


def _print(seconds: dict[str, list[float]], sizes: list[int]) -> None:
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(
            f"  {name:<20} {median:7.2f} s  {len(sizes) / median:8,.0f} images/s  "
            f"{sum(sizes) / median / 1e6:7,.0f} MB/s   ({', '.join(f'{t:.2f}' for t in taken)})"
        )
    for ours, bound in (("export imagefolder", "cp -r"), ("export webdataset", "tar cf")):
        ratios = [b / a for a, b in zip(seconds[ours], seconds[bound], strict=True)]
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"  {ours} / {bound}: {statistics.median(ratios):.2f} of its speed  ({shown})")


if __name__ == "__main__":
    main()
