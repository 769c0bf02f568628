"""What the tests of the augment job share: a small labelled source, and what a run left."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from cvdata.workspace import Workspace
from tests.jobs.flows import cvdata, make_photos
from tests.tables.flows import rows_digest

FAST = ("horizontal_flip", "brightness")


def labelled(folder: Path, n: int = 12) -> Path:
    """`n` photos in train/cat, train/dog and val/cat, by number."""
    for i in range(n):
        split, label = ("val", "cat") if i % 4 == 3 else ("train", ("cat", "dog")[i % 2])
        if not (folder / split / label / f"{i:05d}.jpg").exists():
            make_photos(folder / split / label, range(i, i + 1), (64, 48))
    return folder


def ingested(tmp_path: Path, n: int = 12, name: str = "w") -> Path:
    """A workspace with the records of `labelled`."""
    folder = labelled(tmp_path / "photos", n)
    where = tmp_path / name
    flags = ("--label-from-folder", "--split-from-folder")
    assert cvdata("ingest", folder, "--workspace", where, *flags) == 0
    return where


def augment(where: Path, *options: object, engine: str = "serial") -> int:
    """Run the job."""
    return cvdata("augment", "--workspace", where, *options, engine=engine)


def copies(where: Path, policy: str = "light") -> pa.Table:
    """The committed rows of a policy."""
    return Workspace(str(where)).read(f"augmented/{policy}")


def rows_of(where: Path, policy: str = "light") -> list[dict[str, Any]]:
    """The same as dicts, by (parent, variant)."""
    rows: list[dict[str, Any]] = copies(where, policy).to_pylist()
    return sorted(rows, key=lambda row: (row["parent_id"], row["variant"]))


def result_digest(where: Path, policy: str = "light") -> str:
    """Rows but for the place of the files, which differs by workspace, and the files' bytes."""
    rows = copies(where, policy)
    for uri, sha256 in zip(rows["uri"].to_pylist(), rows["sha256"].to_pylist(), strict=True):
        assert uri is None or Path(uri).name.startswith(sha256.hex())
    return rows_digest(rows.drop_columns(["uri", "mask_uri"]))


def pixels(uri: str) -> Any:
    """The pixels of a copy."""
    with Image.open(uri) as image:
        return np.asarray(image)
