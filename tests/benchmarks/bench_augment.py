"""`cvdata augment` against a torch DataLoader that does the same to the same files, in one run.

    python -m tests.benchmarks.bench_augment [--images 1600] [--rounds 1]

Each round runs, on the same files and two processes, all single-threaded: a DataLoader whose
dataset reads, decodes, applies `torchvision.transforms.v2` with the strengths and probabilities of
the policy `medium`, and encodes JPEGs; a DataLoader whose dataset calls the policy itself with the
same seeds (its JPEGs must be the very ones of the job); and the job on an embedded Ray, which
besides fetches through the sandbox, writes and fsyncs each file, and writes its table. All are
timed once every process has given its first result. Nothing is written by the DataLoaders.
"""

import argparse
import hashlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from cvdata.augment import Policy, Scene
from cvdata.augment.randomness import seed_of
from cvdata.augment.tensors import pin_threads
from cvdata.engine.session import EngineConfig, Session
from cvdata.image import open_image
from cvdata.runs.augment import AugmentOptions, augment
from cvdata.runs.filling import FillOptions
from cvdata.stages.augment import Recipe
from cvdata.stages.augmenter import Encoding, Making
from cvdata.workspace import Workspace
from jobs import ingest
from tests.benchmarks.photos import replicate, shared_data

WORKERS = 2
BATCH, CHUNK = 50, 200
"""Images a batch of the DataLoaders; copies a chunk of the job (large datasets get 256)."""
POLICY = "medium"
ENCODING = Encoding()


def _native(height: int, width: int) -> v2.Compose:
    """The policy `medium` written with torchvision's own transforms."""
    ratio = width / height
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(0.5),
            v2.RandomResizedCrop(
                (height, width), scale=(0.6, 1.0), ratio=(0.75 * ratio, 4 / 3 * ratio)
            ),
            v2.RandomApply([v2.RandomRotation(10, v2.InterpolationMode.BILINEAR)], 0.5),
            v2.ColorJitter(0.25, 0.25, 0.25),
            v2.RandomApply([v2.ColorJitter(hue=0.03)], 0.5),
            v2.RandomApply([v2.GaussianBlur(7, (0.1, 1.0))], 0.2),
        ]
    )


class _Torchvision(Dataset[int]):
    """Read, decode, transform, encode; the size of the JPEG."""

    def __init__(self, files: list[tuple[bytes, str]]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> int:
        pixels = simplejpeg.decode_jpeg(Path(self.files[i][1]).read_bytes())
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        made = _native(*image.shape[1:])(image)
        return len(ENCODING(made.permute(1, 2, 0).numpy()))


class _Ours(Dataset[bytes]):
    """The policy's own calls with the job's seeds; the digest of the JPEG."""

    def __init__(self, files: list[tuple[bytes, str]]) -> None:
        self.files = files
        self.policy = Policy.of(POLICY)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> bytes:
        parent, path = self.files[i]
        image = open_image(Path(path).read_bytes())
        scene, _ = self.policy(Scene.of(image.rgb), seed_of(0, parent, 0))
        return hashlib.sha256(ENCODING(scene.pixels)).digest()


def _init(_: int) -> None:
    pin_threads()


def _same(items: list[object]) -> list[object]:
    return items


def _loader(dataset: Dataset[object]) -> tuple[float, list[object]]:
    """(images/s once each worker gave its first batch, all items)."""
    loader: Callable[..., DataLoader[object]] = DataLoader
    batches = iter(
        loader(dataset, BATCH, num_workers=WORKERS, worker_init_fn=_init, collate_fn=_same)
    )
    found = [item for _ in range(WORKERS) for item in next(batches)]
    n_first = len(found)
    started = time.perf_counter()
    for batch in batches:
        found.extend(batch)
    return (len(found) - n_first) / (time.perf_counter() - started), found


def _job(where: str, n: int) -> tuple[float, set[bytes]]:
    """(images/s between the first and the last part, digests of the copies)."""
    workspace = Workspace(where)
    options = AugmentOptions(Recipe(Making(POLICY)), fill=FillOptions(chunk_rows=CHUNK))
    with (
        workspace.change("augment", {}) as change,
        Session(EngineConfig("ray", workers=WORKERS)) as session,
    ):
        augment(change, session, workspace, options)
    parts = [Path(p) for p in workspace.refresh().files(f"augmented/{POLICY}")]
    times = sorted(p.stat().st_mtime for p in parts)
    rate = (n - CHUNK * WORKERS) / (times[-1] - times[WORKERS - 1])
    rows = workspace.read(f"augmented/{POLICY}", ["sha256"])
    return rate, set(rows["sha256"].to_pylist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cvdata-bench-"))
    torch.set_num_threads(1)
    try:
        sources = sorted((shared_data() / "imagenet_sample").glob("*.JPEG"))
        replicate(sources, folder / "photos", args.images)
        rounds = []
        for number in range(args.rounds):
            where = str(folder / f"w{number}")
            ingest.run(ingest.Config(source=str(folder / "photos"), workspace=where))
            rows = Workspace(where).read("records", ["image_id", "uri"]).to_pylist()
            files = [(row["image_id"], row["uri"]) for row in rows]
            native, _ = _loader(_Torchvision(files))
            plain, digests = _loader(_Ours(files))
            ours, made = _job(where, len(files))
            rounds.append((native, plain, ours))
            print(
                f"DataLoader: torchvision {native:,.1f}/s, the policy {plain:,.1f}/s; "
                f"augment {ours:,.1f}/s; same JPEGs: {made == set(digests)}",
                flush=True,
            )
        for i, name in enumerate(("DataLoader with torchvision", "DataLoader with the policy")):
            ratio = statistics.median(r[2] / r[i] for r in rounds)
            print(f"augment / {name}: {ratio:.2f}")
        print(f"pixels an image, mean: {np.mean([_pixels(p) for _, p in files[:200]]):,.0f}")
    finally:
        shutil.rmtree(folder)


def _pixels(path: str) -> int:
    height, width, *_ = simplejpeg.decode_jpeg_header(Path(path).read_bytes())
    return int(height) * int(width)


if __name__ == "__main__":
    main()
