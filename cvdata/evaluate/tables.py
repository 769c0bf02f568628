"""From tables to arrays: which image's prediction meets which truth."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError
from cvdata.evaluate.detection import Objects

UNKNOWN = -1


@dataclass(frozen=True)
class Labelled:
    """The images that have both a known label and a prediction, sorted by image_id.

    `truth` (n,), `label_ids` and `scores` (n, k). `n_unlabelled` images have no label that the
    model knows, `n_failed` no prediction.
    """

    image_ids: pa.Array
    truth: npt.NDArray[np.int32]
    label_ids: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    n_unlabelled: int
    n_failed: int


def class_ids(
    labels: Sequence[str | None],
    names: Sequence[str],
    is_sorted: bool = False,
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> npt.NDArray[np.int32]:
    """The class id of each label, -1 where there is none.

    By name (case, `_` and `-` do not matter), else as a number, after `aliases` turned the label
    into the model's name or number. A name that two classes share says neither. With `is_sorted`
    the labels are as many as the classes, and the i-th in sorted order is class i (folders of
    wnids).
    """
    if is_sorted:
        unique = sorted({label for label in labels if label is not None})
        if len(unique) != len(names):
            raise ConfigError(f"{len(unique)} labels cannot be the {len(names)} classes in order")
        known: Mapping[str, int] = {label: i for i, label in enumerate(unique)}
        return np.array([UNKNOWN if v is None else known[v] for v in labels], np.int32)
    labels = [label if label is None else aliases.get(label, label) for label in labels]
    shared = Counter(map(_plain, names))
    known = {_plain(n): i for i, n in enumerate(names) if shared[_plain(n)] == 1}
    return np.array([_find(label, known, len(names)) for label in labels], np.int32)


def labelled(
    records: pa.Table,
    predictions: pa.Table,
    names: Sequence[str],
    is_sorted: bool = False,
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> Labelled:
    """Join records (image_id, label) with predictions (image_id, label_ids, scores).

    Raises `ConfigError` where the rows do not all name the same number of classes.
    """
    truth = class_ids(records["label"].to_pylist(), names, is_sorted, aliases)
    table = pa.table({"image_id": records["image_id"], "truth": truth})
    is_known = pc.greater_equal(table["truth"], 0)
    n_unlabelled = table.num_rows - (pc.sum(is_known).as_py() or 0)
    is_found = pc.is_valid(predictions["label_ids"])
    rows = predictions.filter(is_found).append_column(
        "row", pa.array(range(pc.sum(is_found).as_py() or 0), pa.int64())
    )
    table = table.filter(is_known)
    joined = table.join(rows.select(["image_id", "row"]), "image_id", join_type="inner")
    joined = joined.sort_by("image_id")
    taken = rows.take(joined["row"])
    ids, scores = (_matrix(taken[name]) for name in ("label_ids", "scores"))
    return Labelled(
        joined["image_id"].combine_chunks(),
        joined["truth"].to_numpy(),
        ids.astype(np.int32),
        scores.astype(np.float32),
        n_unlabelled,
        table.num_rows - joined.num_rows,
    )


def objects_of_records(
    records: pa.Table, names: Sequence[str], aliases: Mapping[str, str] = MappingProxyType({})
) -> list[Objects]:
    """The truth's boxes, row by row; those whose label no class bears are left out."""
    rows = []
    for boxes in records["boxes"].to_pylist():
        boxes = boxes or []
        ids = class_ids([box["label"] for box in boxes], names, aliases=aliases)
        xyxy = np.array([box["xyxy"] for box in boxes], np.float64).reshape(-1, 4)
        rows.append(Objects(ids[ids >= 0], xyxy[ids >= 0]))
    return rows


def objects_of_predictions(predictions: pa.Table) -> list[Objects]:
    """The findings, row by row; none where the row is an error."""
    has_masks, has_points = (c in predictions.column_names for c in ("masks", "keypoints"))
    rows = []
    for row in predictions.to_pylist():
        points: Any = row["keypoints"] if has_points and row["keypoints"] else None
        rows.append(
            Objects(
                np.array(row["label_ids"] or [], np.int32),
                np.array(row["xyxy"] or [], np.float64).reshape(-1, 4),
                np.array(row["scores"] or [], np.float64),
                (row["masks"] or []) if has_masks else None,
                None if points is None else np.array(points, np.float64),
            )
        )
    return rows


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A list column whose lists are equally long as (n, k)."""
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if not lengths:
        return np.zeros((0, 1))
    if len(lengths) != 1 or not lengths[0]:
        raise ConfigError("predictions name differing numbers of classes: not a classifier's")
    return pc.list_flatten(column).to_numpy().reshape(-1, lengths[0])  # type: ignore[no-any-return]


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _find(label: str | None, known: Mapping[str, int], n: int) -> int:
    if label is None:
        return UNKNOWN
    found = known.get(_plain(label), UNKNOWN)
    if found == UNKNOWN and label.isdecimal() and int(label) < n:
        return int(label)
    return found
