"""Workspaces whose embeddings were made here: records and vectors, no pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata import Workspace, schema
from cvdata.commits import TableState
from cvdata.kernels.neighbors import unit_rows
from cvdata.parts import PartSpec, write_keyed
from cvdata.sources.record import column_table
from cvdata.storage import digest

F32 = npt.NDArray[np.float32]


def clustered(n: int, d: int, seed: int = 0) -> F32:
    """(n, d) unit vectors in clusters, with a spectrum that decays as that of real embeddings."""
    rng = np.random.default_rng(seed)
    scale = (1 / np.sqrt(1 + np.arange(d) / 8)).astype(np.float32)
    centres = rng.standard_normal((max(4, n // 60), d), np.float32) * scale
    rows = rng.standard_normal((n, d), np.float32)
    rows *= scale * np.float32(0.7)
    for start in range(0, n, 65_536):
        some = rows[start : start + 65_536]
        some += centres[rng.integers(0, len(centres), len(some))]
    return unit_rows(rows)


def put_embeddings(
    where: Path | str,
    names: Sequence[bytes],
    vectors: F32,
    *,
    model: str = "default",
    part_rows: int = 1024,
    revisions: Sequence[str] | None = None,
    made_by: bytes = b"a model",
) -> Workspace:
    """Commit records of `names` and their vectors; what stood there before is replaced."""
    workspace = Workspace(str(where))
    revisions = list(revisions or ["1"] * len(names))
    uris = [f"/nowhere/{i}" for i in range(len(names))]
    rows = column_table("s", {"key": list(names), "uri": uris, "revision": revisions})
    d = vectors.shape[1]
    null = pa.nulls(len(names), pa.string())
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), d)
    head = [rows.schema.field(n) for n in ("image_id", "revision", "error", "error_detail")]
    columns = pa.schema([*head, pa.field("embedding", pa.list_(pa.float32(), d))])
    keys = [rows["image_id"], rows["revision"], null, null, flat]
    table = pa.table(keys, schema=columns)
    spec = PartSpec(f"embeddings/{model}", digest(made_by), columns)
    with workspace.change("fake", {}) as change:
        starts = range(0, len(names), part_rows)
        change.replace("records", [rows.slice(i, part_rows) for i in starts], schema.RECORDS)
        parts = [write_keyed(change.store, spec, table.slice(i, part_rows)) for i in starts]
        state = TableState(spec.fingerprint, tuple(parts), {"generation": 0})
        change.put_state(spec.table, state)
    return workspace.refresh()


def names_of(numbers: Sequence[int] | range) -> list[bytes]:
    """Keys of images."""
    return [b"%07d.jpg" % i for i in numbers]
