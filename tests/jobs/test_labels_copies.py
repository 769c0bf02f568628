"""labels where images have copies: a group counts by its labels, whichever image it is named by."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvdata import Workspace
from cvdata.schema import DUPLICATES
from tests.jobs.flows import cvdata
from tests.outliers.making import ids_of, workspace_of

N = 24


def _made(where: Path) -> Path:
    """Two classes of N / 2; each image has a copy without a label, whose id names the group."""
    rng = np.random.default_rng(0)
    places = np.argsort(np.array(ids_of(2 * N)), kind="stable")  # rows in the order of their ids
    vectors, labels = np.zeros((2 * N, 16), np.float32), [None] * (2 * N)
    named: list[str | None] = list(labels)
    for k in range(N):
        vectors[places[k]] = vectors[places[N + k]] = rng.normal(0, 0.2, 16) + 3 * np.eye(16)[k % 2]
        named[places[N + k]] = "even" if k % 2 == 0 else "odd"
    workspace = workspace_of(where, vectors, named)
    ids = ids_of(2 * N)
    rows = [
        {
            "image_id": ids[places[k]],
            "revision": "1",
            "method": "any",
            "group_id": ids[places[k % N]],
            "distance": 0.0,
            "is_keeper": k < N,
        }
        for k in range(2 * N)
    ]
    with workspace.change("dedup", {}) as change:
        change.replace("duplicates", [pa.Table.from_pylist(rows, DUPLICATES)], DUPLICATES)
    return where


def test_a_labelled_copy_of_an_image_without_a_label_counts(tmp_path: Path) -> None:
    where = _made(tmp_path / "w")
    assert cvdata("labels", "--workspace", where, "--embeddings", "made") == 0
    figures = json.loads(Workspace(str(where)).artifact("labels.json"))
    assert figures["sources"]["embeddings"]["n_classes"] == 2


def test_what_is_too_rare_is_told_in_images(tmp_path: Path) -> None:
    """Three images of one group and label are one to learn from, and three that nobody judges."""
    where = _made(tmp_path / "w")
    workspace = Workspace(str(where))
    ids = sorted(workspace.read("records", ["image_id"])["image_id"].to_pylist())
    rows = workspace.read_all("records")
    rare = {ids[0], ids[1], ids[2]}
    labels = [
        "rare" if i in rare else label
        for i, label in zip(rows["image_id"].to_pylist(), rows["label"].to_pylist(), strict=True)
    ]
    at = rows.schema.get_field_index("label")
    rows = rows.set_column(at, rows.schema.field("label"), pa.array(labels, pa.string()))
    groups = [
        {**r, "group_id": ids[0] if r["image_id"] in rare else r["group_id"]}
        for r in workspace.read_all("duplicates").to_pylist()
    ]
    with workspace.change("ingest", {}) as change:
        (tag,) = {part.tag for part in change.records}
        change.replace("records", [rows], rows.schema, tag=tag)
        change.replace("duplicates", [pa.Table.from_pylist(groups, DUPLICATES)], DUPLICATES)
    flags = ("--embeddings", "made", "--min-class", "2")
    assert cvdata("labels", "--workspace", where, *flags) == 0
    figures = json.loads(Workspace(str(where)).artifact("labels.json"))["sources"]["embeddings"]
    assert (figures["n_classes"], figures["n_rare_images"]) == (2, 3)
