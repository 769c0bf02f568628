"""How true a plan is: CPU seconds that `--dry-run` told, against those that the run then took.

    python -m tests.benchmarks.bench_plan [--images 3000]

Photographs of 0.2 megapixels and of 12 are scanned on an embedded Ray with two workers, each set in
two halves: the first is planned by the shipped cost, the second by what the first took.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import cv2

from cvdata.workspace import Workspace
from jobs import ingest, scan
from tests.benchmarks.photos import replicate, shared_data


def _halves(photos: list[Path], where: Path) -> None:
    """Scan the first half, then all; print what was told and what it took."""
    source, workspace = where / "photos", str(where / "w")
    source.mkdir()
    for half, paths in enumerate((photos[: len(photos) // 2], photos[len(photos) // 2 :])):
        for path in paths:
            (source / path.name).hardlink_to(path)
        ingest.run(ingest.Config(source=str(source), workspace=workspace))
        told = scan.run(scan.Config(workspace=workspace, workers=2, dry_run=True)).numbers
        scan.run(scan.Config(workspace=workspace, workers=2))
        took = Workspace(workspace).head.stats["run"]["stages"]["measures"]
        busy = sum(took["worker_seconds"].values())
        plan = told["estimate"]
        print(
            f"{'shipped' if half == 0 else 'measured'} rate: {took['n_images']:,} images, "
            f"{took['bytes_read'] / 1e6:,.0f} MB; told {plan['cpu_seconds']:,.1f} CPU s and "
            f"{plan['wall_seconds']:,.1f} s, took {busy:,.1f} CPU s and {took['seconds']:,.1f} s "
            f"({busy / took['n_images'] * 1e3:,.2f} ms an image, "
            f"{plan['cpu_seconds'] / busy:,.2f} told / took)",
            flush=True,
        )


def main() -> None:
    """Both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    n = parser.parse_args().images
    originals = sorted((shared_data() / "imagenet_sample").rglob("*.JPEG"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = replicate(originals, folder / "small", n)
        (folder / "a").mkdir()
        print("0.2 megapixels")
        _halves(small, folder / "a")
        large = folder / "large"
        large.mkdir()
        for i, path in enumerate(originals[: max(n // 40, 20)]):
            pixels = cv2.resize(cv2.imread(str(path)), (4000, 3000), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(large / f"{i:04d}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        (folder / "b").mkdir()
        print("12 megapixels")
        _halves(sorted(large.iterdir()), folder / "b")
        shutil.rmtree(folder / "b")


if __name__ == "__main__":
    main()
