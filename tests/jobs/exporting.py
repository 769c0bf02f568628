"""What the tests of export share: a workspace of known images, and a look at a whole folder."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cvdata import Workspace
from cvdata.schema import SELECTION
from tests.jobs.flows import cvdata, make_photos

Tree = dict[str, str]


def tree(folder: Path) -> Tree:
    """Digest of every file below a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def ingest(source: Path | str, where: Path, *words: object) -> list[dict[str, Any]]:
    """Records of a source in a workspace."""
    assert cvdata("ingest", source, "--workspace", where, *words) == 0
    rows: list[dict[str, Any]] = Workspace(str(where)).read("records").to_pylist()
    return rows


def export(where: Path, to: Path | str, kind: str, *words: object, engine: str = "serial") -> int:
    """Run the job."""
    return cvdata(
        "export", "--workspace", where, "--to", to, "--format", kind, *words, engine=engine
    )


def select(where: Path, drop: dict[str, list[str]], weights: dict[str, float]) -> None:
    """Publish a selection: which keys are dropped and why, and the weight of others."""
    workspace = Workspace(str(where))
    records = workspace.read("records", ["image_id", "revision", "key"]).to_pylist()
    rows = [
        {
            "image_id": row["image_id"],
            "revision": row["revision"],
            "keep": row["key"].decode() not in drop,
            "weight": weights.get(row["key"].decode(), 1.0),
            "reasons": drop.get(row["key"].decode(), []),
        }
        for row in records
    ]
    with workspace.change("decide", {}) as change:
        change.replace("selection", [pa.Table.from_pylist(rows, SELECTION)], SELECTION)


def boxed_workspace(root: Path) -> Path:
    """A workspace of 60 images with boxes in two splits, and three without a label file."""
    rng = np.random.default_rng(0)
    for split, numbers in (("train", range(40)), ("val", range(40, 60))):
        make_photos(root / "yolo" / "images" / split, numbers)
        labels = root / "yolo" / "labels" / split
        labels.mkdir(parents=True)
        for n in numbers:
            if n % 20:
                rows = rng.uniform(0.3, 0.5, (n % 4, 4))
                lines = (" ".join(map(str, [i % 3, *row])) for i, row in enumerate(rows))
                (labels / f"{n:05d}.txt").write_text("\n".join(lines))
    (root / "yolo" / "data.yaml").write_text("names: [cat, dog, 'a/b']\n")
    ingest(root / "yolo", root / "w")
    return root / "w"


def facts(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Split, label and boxes of each image by the last part of its key, without extension."""
    found = {}
    for row in rows:
        name = Path(row["key"].decode().rpartition("!")[2]).name.partition(".")[0]
        found[name] = row["split"], row["label"], _boxes(row["boxes"])
    assert len(found) == len(rows)
    return found


def _boxes(boxes: list[dict[str, Any]] | None) -> list[tuple[Any, ...]] | None:
    return None if boxes is None else [(box["label"], *box["xyxy"]) for box in boxes]


def told(folder: Path) -> dict[str, Any]:
    """`export.json` of an export."""
    value: dict[str, Any] = json.loads((folder / "export.json").read_text())
    return value
