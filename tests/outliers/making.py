"""Rows, references and workspaces made up for the tests of outliers."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvdata.chance import shares
from cvdata.outliers.reference import Reference, make_reference
from cvdata.outliers.rows import VECTOR, Rows, column_of
from cvdata.schema import ID, RECORDS
from cvdata.workspace import Workspace


def ids_of(n: int, tag: str = "") -> list[bytes]:
    return [hashlib.blake2b(f"{tag}{i}".encode(), digest_size=16).digest() for i in range(n)]


def rows_of(vectors: np.ndarray, labels: Sequence[str | None] | None = None) -> Rows:
    n = len(vectors)
    return Rows(
        pa.table(
            {
                "image_id": pa.array(ids_of(n), ID),
                "revision": pa.array(["1"] * n),
                "label": pa.array(labels or [None] * n, pa.string()),
                VECTOR: pa.chunked_array([column_of(vectors.astype(np.float32))]),
            }
        )
    )


def reference(vectors: np.ndarray, trim: float = 0.0) -> Reference:
    ids = ids_of(len(vectors))
    return make_reference(vectors.astype(np.float32), ids, shares(pa.array(ids, ID), 0), trim)


def cloud(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Three Gaussian groups of different spread."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 4, (3, d))
    group = rng.integers(0, 3, n)
    return (centres[group] + rng.normal(0, 1, (n, d)) * (0.5 + group[:, None])).astype(np.float32)


def workspace_of(
    where: Path,
    vectors: np.ndarray | None,
    labels: Sequence[str | None] | None = None,
    measures: dict[str, np.ndarray] | None = None,
    boxes: Sequence[Sequence[str] | None] | None = None,
) -> Workspace:
    """A workspace with records and, where given, embeddings/made and measures."""
    workspace = Workspace(str(where))
    n = len(vectors) if vectors is not None else len(next(iter((measures or {}).values())))
    keys = ids_of(n)
    with workspace.change("made", {}) as change:
        box = {"xyxy": [0.0, 0.0, 1.0, 1.0]}
        records = [
            {
                "image_id": key,
                "revision": "1",
                "source": "made",
                "key": str(i).encode(),
                "uri": f"/nowhere/{i}.png",
                "label": labels[i] if labels else None,
                "boxes": None
                if boxes is None or boxes[i] is None
                else [{"label": name, **box} for name in boxes[i] or ()],
            }
            for i, key in enumerate(keys)
        ]
        change.replace("records", [pa.Table.from_pylist(records, schema=RECORDS)], RECORDS)
        head = {"image_id": pa.array(keys, ID), "revision": pa.array(["1"] * n)}
        none = {name: pa.nulls(n, pa.string()) for name in ("error", "error_detail")}
        if vectors is not None:
            table = pa.table({**head, **none, "embedding": column_of(vectors)})
            meta = {"dimension": vectors.shape[1]}
            change.replace("embeddings/made", [table], table.schema, meta=meta)
        if measures is not None:
            columns = {
                name: column_of(v) if v.ndim == 2 else pa.array(v, pa.float32())
                for name, v in measures.items()
            }
            table = pa.table({**head, **none, **columns})
            change.replace("measures/made", [table], table.schema)
    return workspace.refresh()
