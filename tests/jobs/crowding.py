"""Workspaces of made-up measures in which a few contents are there many times."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cvdata.outliers.rows import column_of
from cvdata.schema import ID, RECORDS
from cvdata.workspace import Workspace
from jobs import dedup
from tests.outliers.making import ids_of

METHODS = ("exact_sha256", "exact_pixels", "perceptual", "dihedral", "semantic")


@dataclass(frozen=True)
class Made:
    """`content` (N,) what each image shows; its split, label and size in bytes."""

    content: np.ndarray
    split: Sequence[str | None]
    label: Sequence[str | None]
    size: np.ndarray
    revision: Sequence[str]

    def some(self, rows: np.ndarray, of: Sequence[Any]) -> list[Any]:
        return [of[i] for i in rows.tolist()]


def random_images(seed: int, *, has_splits: bool, n: int = 90) -> Made:
    """Twelve contents, four of them crowds."""
    rng = np.random.default_rng(seed)
    share = np.r_[np.full(4, 0.2), np.full(8, 0.025)]
    splits = rng.choice(["train", "val", ""], n, p=[0.6, 0.3, 0.1]) if has_splits else [""] * n
    labels = rng.choice(["a", "b", ""], n, p=[0.5, 0.2, 0.3])
    return Made(
        rng.choice(12, n, p=share),
        [s or None for s in splits],
        [s or None for s in labels],
        rng.integers(1, 6, n),
        ["1"] * n,
    )


def _hashes(content: np.ndarray) -> list[bytes]:
    """Contents 4 to 8 are a few bits from 0 to 4; 3 is flat, of which no hash says anything."""
    base = np.random.default_rng(7).integers(0, 2**64, 12, dtype=np.uint64)
    for k in range(4, 9):
        base[k] = base[k - 4] ^ np.uint64(0b10001 << k)
    base[3] = 1
    return [int(base[k]).to_bytes(8, "big") for k in content.tolist()]


def _vectors(content: np.ndarray) -> np.ndarray:
    """Content 1 is like 9 and like 11, which are not alike; 2 is like 10."""
    base = np.random.default_rng(8).normal(size=(12, 16)).astype(np.float32)
    for k, near in ((9, 1), (10, 2), (11, 1)):
        base[k] = base[near] + 0.6 * base[k]
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    return np.asarray(base[content])


def put(where: Path, made: Made, rows: np.ndarray) -> Workspace:
    """Records, measures and embeddings of these rows take the place of what was there."""
    keys = made.some(rows, ids_of(len(made.content)))
    content, n = made.content[rows], len(rows)
    facts = {
        "image_id": keys,
        "revision": made.some(rows, made.revision),
        "source": ["made"] * n,
        "key": [str(i).encode() for i in rows.tolist()],
        "uri": [f"/nowhere/{i}.png" for i in rows.tolist()],
        "split": made.some(rows, made.split),
        "label": made.some(rows, made.label),
    }
    records = [dict(zip(facts, row, strict=True)) for row in zip(*facts.values(), strict=True)]
    head = {"image_id": pa.array(keys, ID), "revision": pa.array(facts["revision"])}
    none = {name: pa.nulls(n, pa.string()) for name in ("error", "error_detail")}
    digests = {
        "sha256": pa.array([bytes([k]) * 32 for k in content.tolist()], pa.binary(32)),
        # 8 is 0 in other bytes
        "pixel_digest": pa.array([bytes([k % 8]) * 16 for k in content.tolist()], pa.binary(16)),
        "phash": pa.array(_hashes(content), pa.binary(8)),
        "size_bytes": pa.array(made.size[rows]),
    }
    measures = pa.table({**head, **none, **digests})
    vectors = pa.table({**head, **none, "embedding": column_of(_vectors(content))})
    workspace = Workspace(str(where))
    with workspace.change("made", {}) as change:
        change.replace("records", [pa.Table.from_pylist(records, schema=RECORDS)], RECORDS)
        change.replace("measures/made", [measures], measures.schema)
        meta = {"dimension": 16, "weights": "w"}
        change.replace("embeddings/made", [vectors], vectors.schema, meta=meta)
    return workspace.refresh()


def run(where: Path, crowd: int, **more: Any) -> tuple[Workspace, dict[str, Any]]:
    """dedup by all methods, without a look at what is nowhere: (workspace, figures)."""
    asked = {"methods": METHODS, "threshold": 0.8, "keep": ["size_bytes"], "verify": False}
    base = {"workspace": str(where), "engine": "serial", "crowd": crowd}
    dedup.run(dedup.Config.model_validate({**base, **asked, **more}))
    workspace = Workspace(str(where))
    return workspace, json.loads(workspace.artifact("dedup.json"))
