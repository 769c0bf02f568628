"""The sample with embeddings and groups of copies, and labels that are changed on purpose."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvdata import Workspace
from cvdata.sample import Truth, make_sample
from cvdata.schema import RECORDS
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata

MEASURES = "file,geometry,pixel_digest,phash"


def make_embedded(folder: Path) -> tuple[Path, Truth]:
    """(folder with `photos` and the workspace `w`, truth)."""
    truth = make_sample(folder / "photos")
    flags = ("--label-from-folder", "--split-from-folder")
    assert cvdata("ingest", folder / "photos", "--workspace", folder / "w", *flags) == 0
    more = ("--measures", MEASURES, "--model", "default", "--max-error-rate", "0.2")
    assert cvdata("scan", "--workspace", folder / "w", *more) in (0, 3)
    assert cvdata("dedup", "--workspace", folder / "w", "--no-verify") == 0
    return folder, truth


def true_labels(where: Path, truth: Truth) -> dict[bytes, str]:
    """The class that each readable image's pixels are of, by image_id."""
    rows = Workspace(str(where)).read("records", ["image_id", "key", "label"]).to_pylist()
    wrong = {decode_path(p): e["true"] for p, e in truth.label_errors.items()}
    broken = {decode_path(p) for p in truth.errors}
    named = [r for r in rows if r["label"] is not None and r["key"] not in broken]
    return {r["image_id"]: wrong.get(r["key"], r["label"]) for r in named}


def flipped(source: Path, target: Path, share: float, seed: int, among: set[bytes]) -> None:
    """A copy of the workspace in which that share of `among` bears another class, drawn evenly."""
    shutil.copytree(source, target)
    workspace = Workspace(str(target))
    rows = workspace.read_all("records")
    ids, labels = rows["image_id"].to_pylist(), rows["label"].to_pylist()
    classes = sorted({x for i, x in zip(ids, labels, strict=True) if i in among})
    rng = np.random.default_rng(seed)
    able = sorted(i for i in ids if i in among)
    chosen = {able[k] for k in rng.choice(len(able), round(share * len(able)), replace=False)}
    for at in sorted(range(len(ids)), key=lambda k: ids[k]):
        if ids[at] in chosen:
            labels[at] = rng.choice([c for c in classes if c != labels[at]])
    column = pa.array([None if x is None else str(x) for x in labels], pa.string())
    place = rows.schema.get_field_index("label")
    changed = rows.set_column(place, RECORDS.field("label"), column).cast(RECORDS)
    with workspace.change("ingest", {}) as change:
        (tag,) = {part.tag for part in change.records}
        change.replace("records", [changed.sort_by("image_id")], RECORDS, tag=tag)


def doubted(where: Path, method: str) -> dict[bytes, dict[str, object]]:
    """The flagged rows of a method by image_id."""
    rows = Workspace(str(where)).read("label_issues").to_pylist()
    return {r["image_id"]: r for r in rows if r["method"] == method and r["is_flagged"]}
