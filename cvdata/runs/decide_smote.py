"""SMOTE as part of a decision: embeddings between the images that stay."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.balance import Balance
from cvdata.balance.smote import smote
from cvdata.errors import ConfigError
from cvdata.reading import IdRange, positions
from cvdata.runs.decide_balance import VECTORS_ASKED, Balanced
from cvdata.runs.decide_cut import Cut
from cvdata.runs.decide_merge import MERGED
from cvdata.vectors import matrix

SMOTE_ROWS = 500_000
"""Most embeddings that SMOTE takes: it holds them, and neighbours of each, in memory."""


def synthetic_rows(tables: Cut, balanced: Balanced, settings: Balance) -> pa.Table:
    """label, embedding: new vectors until each class is as large as the largest."""
    blocks: list[npt.NDArray[np.float32]] = []
    labels: list[str] = []
    for number, id_range in enumerate(tables.ranges):
        rows = _kept(tables.spill.rows(MERGED, number), balanced)
        vectors, names = _vectors(tables, rows, id_range, settings.embeddings)
        blocks += [vectors] if len(vectors) else []
        labels += names
        if len(labels) > SMOTE_ROWS:
            raise ConfigError(
                f"smote holds all embeddings in memory and takes at most {SMOTE_ROWS:,}: use "
                "weights or `oversample` for a dataset of this size"
            )
    if not blocks:
        model = settings.embeddings
        raise ConfigError(f"smote: no kept image has a label and a row in embeddings/{model}")
    whole = np.concatenate(blocks)
    classes_there, counts = np.unique(labels, return_counts=True)
    made, classes = smote(
        whole, labels, dict.fromkeys(classes_there.tolist(), int(counts.max())), settings.seed
    )
    return _table(made, classes)


def _kept(rows: pa.Table, balanced: Balanced) -> pa.Table:
    """Labelled images of the balanced splits that stay."""
    is_cut = np.asarray(pc.is_in(rows["image_id"], value_set=balanced.cut), bool)
    kept = balanced.scope.kept(rows) & balanced.scope.holds(rows) & ~is_cut
    rows = rows.filter(pa.array(kept))
    return rows.filter(pc.is_valid(rows["label"])).select(["image_id", "revision", "label"])


def _vectors(
    tables: Cut, rows: pa.Table, id_range: IdRange, model: str
) -> tuple[npt.NDArray[np.float32], list[str]]:
    found = tables.read(f"embeddings/{model}", list(VECTORS_ASKED), id_range=id_range)
    at = positions(rows, found)
    taken = found["embedding"].take(pa.array(at, mask=at < 0))
    valid = pc.is_valid(taken)
    names: list[str] = rows["label"].filter(valid).to_pylist()
    if not names:
        return np.empty((0, 0), np.float32), names
    return matrix(taken.filter(valid)), names


def _table(vectors: npt.NDArray[np.float32], labels: list[str]) -> pa.Table:
    width = vectors.shape[1]
    schema = pa.schema(
        [
            pa.field("label", pa.string(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), width), nullable=False),
        ]
    )
    flat = pa.array(vectors.reshape(-1), pa.float32())
    lists = pa.FixedSizeListArray.from_arrays(flat, width)
    return pa.table([pa.array(labels, pa.string()), lists], schema=schema)
