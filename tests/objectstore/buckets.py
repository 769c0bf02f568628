"""Photos in a folder and in a bucket, and what of their tables does not depend on which."""

from pathlib import Path

import boto3
import numpy as np
from PIL import Image

from cvdata.workspace import Workspace


def make_photos(folder: Path, n: int = 40) -> Path:
    """Distinct pictures in two classes, a copy, and two files that are none."""
    rng = np.random.default_rng(0)
    for i in range(n):
        pixels = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        path = folder / f"class{i % 2}" / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC).save(path, quality=85)
    (folder / "class0/copy.jpg").write_bytes((folder / "class0/000.jpg").read_bytes())
    (folder / "class1/empty.jpg").write_bytes(b"")
    (folder / "class1/text.jpg").write_bytes(b"no image at all")
    return folder


def upload(folder: Path, prefix: str) -> None:
    client = boto3.client("s3")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), "pictures", f"{prefix}/{path.relative_to(folder)}")


COLUMNS = {
    "records": ["image_id", "key", "label"],
    "measures": ["image_id", "sha256", "phash", "error", "width", "laplacian_variance"],
    "issues": ["image_id", "issue", "severity", "is_flagged"],
    "duplicates": ["image_id", "method", "group_id", "is_keeper"],
}
"""What does not depend on where the files lie: revisions do."""


def facts(url: str) -> dict[str, list[tuple[str, ...]]]:
    workspace = Workspace(url)
    return {
        name: sorted(
            tuple(str(row[c]) for c in columns) for row in workspace.read(name, columns).to_pylist()
        )
        for name, columns in COLUMNS.items()
    }
