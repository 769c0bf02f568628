"""A model's rows against the ground truth of the records, range by range of image_id."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import reading
from cvdata.commits import Commit
from cvdata.errors import ConfigError
from cvdata.evaluate import labelled, pairs, retrieval, verification
from cvdata.evaluate.class_tally import ClassTally, ratio
from cvdata.reading import IdRange
from cvdata.storage import Store
from cvdata.vectors import matrix

Row = tuple[str, str, str, float | None]
"""scope, group, metric, value: a row of METRICS."""

LISTED = 200
RETRIEVAL_IMAGES = 5_000
RANGE_ROWS = 65_536


@dataclass(frozen=True)
class View:
    """A commit as it will be: the base with the table that a run filled."""

    store: Store
    head: Commit

    def ranges(self) -> list[IdRange]:
        """Ranges of image_id that are read one by one."""
        return reading.id_ranges(self.head, RANGE_ROWS)

    def read(self, name: str, columns: list[str], id_range: IdRange) -> pa.Table:
        """The rows of images that still exist, sorted by image_id."""
        return reading.read(self.store, self.head, name, columns, id_range)

    def has(self, name: str) -> bool:
        """Whether there is such a table."""
        return name in self.head.tables


@dataclass(frozen=True)
class Asked:
    """What is measured: the table, the class names by id, and what the operator says of labels."""

    table: str
    names: Sequence[str] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    is_sorted: bool = False
    mask_values: Mapping[int, str] = field(default_factory=dict)
    max_images: int = 20_000


@dataclass(frozen=True)
class Verdict:
    """What a model's rows are worth. `kind` is classes, boxes, masks or retrieval.

    `n_images` were measured, `n_unlabelled` have no truth that the model could say, `n_failed` no
    row. `rows` are those of METRICS; the rest is for the report: `classes` by label, the most
    frequent `confusions`, the `calibration` bins, the `hardest` images first.
    """

    kind: str
    n_images: int
    n_unlabelled: int
    n_failed: int
    rows: tuple[Row, ...]
    classes: tuple[Mapping[str, Any], ...] = ()
    confusions: tuple[Mapping[str, Any], ...] = ()
    calibration: Mapping[str, list[float]] | None = None
    hardest: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything but the rows of classes, for the artefact."""
        overall = {m: value for scope, _, m, value in self.rows if scope == "all"}
        splits: dict[str, dict[str, float | None]] = {}
        for scope, group, metric, value in self.rows:
            if scope == "split":
                splits.setdefault(group, {})[metric] = value
        return {
            "kind": self.kind,
            "n_images": self.n_images,
            "n_unlabelled": self.n_unlabelled,
            "n_failed": self.n_failed,
            "summary": overall,
            "splits": splits,
            "classes": list(self.classes),
            "confusions": list(self.confusions),
            "calibration": self.calibration,
            "hardest": list(self.hardest),
        }


def scopes(overall: Mapping[str, float], splits: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Rows of METRICS of everything and of each split."""
    rows: list[Row] = [("all", "", metric, value) for metric, value in overall.items()]
    for split, numbers in sorted(splits.items()):
        rows += [("split", split, metric, value) for metric, value in numbers.items()]
    return rows


def classes(view: View, asked: Asked) -> Verdict | None:
    """A classifier against `label`; None where no image has a label that the model knows."""
    asked = _in_order(view, asked)
    if not asked.names:
        return None
    whole: ClassTally | None = None
    by_split: dict[str, ClassTally] = {}
    n_unlabelled = n_failed = 0
    for id_range in view.ranges():
        records = view.read("records", ["image_id", "label", "split"], id_range)
        rows = view.read(asked.table, ["image_id", "label_ids", "scores"], id_range)
        found = labelled(records, rows, asked.names, aliases=asked.aliases)
        n_unlabelled, n_failed = n_unlabelled + found.n_unlabelled, n_failed + found.n_failed
        if not len(found.truth):
            continue
        at = pc.index_in(found.image_ids, value_set=records["image_id"].combine_chunks())
        splits = np.array([s or "" for s in records["split"].take(at).to_pylist()], object)
        ids = found.image_ids.to_pylist()
        for split in sorted(set(splits.tolist())):
            mine = np.flatnonzero(splits == split)
            tally = ClassTally.of(
                [ids[i] for i in mine],
                found.truth[mine], found.label_ids[mine], found.scores[mine], len(asked.names),
            )  # fmt: skip
            by_split[split] = by_split[split] + tally if split in by_split else tally
            whole = tally if whole is None else whole + tally
    if whole is None:
        return None
    return _of_classes(whole, by_split, asked.names, (n_unlabelled, n_failed))


def _of_classes(
    whole: ClassTally,
    by_split: Mapping[str, ClassTally],
    names: Sequence[str],
    left_out: tuple[int, int],
) -> Verdict:
    splits = {s: tally.summary() for s, tally in by_split.items() if s and len(by_split) > 1}
    rows = scopes(whole.summary(), splits)
    listed = []
    numbers = whole.by_class()
    for i in np.flatnonzero(whole.support).tolist():
        values = {name: float(v[i]) for name, v in numbers.items()}
        listed.append({"label": names[i], "n": int(whole.support[i]), **values})
        rows += [("label", names[i], metric, value) for metric, value in values.items()]
    curve = whole.curve
    confusions = [
        {"truth": names[t], "predicted": names[p], "n": n, "rate": n / int(whole.support[t])}
        for t, p, n in whole.confusions(LISTED)
    ]
    hardest = [
        {
            "image_id": one.image_id.hex(),
            "truth": names[one.truth],
            "predicted": names[one.predicted],
            "score": one.score,
            "truth_score": one.truth_score,
        }
        for one in whole.hardest
        if one.predicted != one.truth
    ]
    return Verdict(
        "classes", whole.n, *left_out, tuple(rows), tuple(listed), tuple(confusions),
        curve_of(curve.low, curve.high, curve.n, curve.confidence, curve.accuracy), tuple(hardest),
    )  # fmt: skip


def curve_of(*columns: Any) -> dict[str, list[float]]:
    """A calibration curve as JSON: low, high, n, confidence, accuracy of each bin."""
    heads = ("low", "high", "n", "confidence", "accuracy")
    return {name: [float(v) for v in c] for name, c in zip(heads, columns, strict=True)}


def vectors(view: View, asked: Asked) -> Verdict | None:
    """An encoder by retrieval and verification against `label`, on a fair sample of the images.

    None where no two of them share a label, or all do.
    """
    kept: list[pa.Table] = []
    n_unlabelled = n_failed = 0
    for id_range in view.ranges():
        room = min(asked.max_images, RETRIEVAL_IMAGES) - sum(map(len, kept))
        if room <= 0:
            break
        records = view.read("records", ["image_id", "label"], id_range)
        rows = view.read(asked.table, ["image_id", "embedding"], id_range)
        rows = rows.filter(pc.is_valid(rows["embedding"]))
        at = pc.index_in(records["image_id"], value_set=rows["image_id"].combine_chunks())
        is_labelled = pc.is_valid(records["label"])
        is_met = pc.and_(is_labelled, pc.is_valid(at))
        n_unlabelled += len(records) - pc.sum(is_labelled).as_py() if len(records) else 0
        n_failed += (pc.sum(is_labelled).as_py() or 0) - (pc.sum(is_met).as_py() or 0)
        labels_met = records["label"].filter(is_met)
        joined = rows.take(at.filter(is_met)).append_column("label", labels_met)
        kept.append(joined.slice(0, room))
    table = pa.concat_tables(kept) if kept else None
    if table is None or not len(table):
        return None
    _, labels = np.unique(np.array(table["label"].to_pylist(), object), return_inverse=True)
    vectors = matrix(table["embedding"])
    try:
        found = retrieval(vectors, labels)
        same = verification(*pairs(vectors, labels, 20_000))
    except ConfigError:  # every label once, or one label alone: there is nothing to tell apart
        return None
    numbers = {
        "n_images": float(len(table)),
        "n_queries": float(found.n_queries),
        "retrieval_map": found.map,
        **{f"precision_at_{k}": v for k, v in found.precision.items()},
        **{f"recall_at_{k}": v for k, v in found.recall.items()},
        "verification_auc": same.auc,
        "verification_eer": same.eer,
    }
    rows = tuple(scopes(numbers, {}))
    return Verdict("retrieval", len(table), n_unlabelled, n_failed, rows)


def _in_order(view: View, asked: Asked) -> Asked:
    """With `is_sorted`, the i-th label in sorted order is class i, whatever it is called."""
    if not asked.is_sorted:
        return asked
    labels: set[str] = set()
    for id_range in view.ranges():
        found = pc.unique(view.read("records", ["label"], id_range)["label"])
        labels |= {label for label in found.to_pylist() if label is not None}
    if len(labels) != len(asked.names):
        raise ConfigError(
            f"sorted_labels: the dataset has {len(labels)} labels and the model "
            f"{len(asked.names)} classes; map them with `classes` instead"
        )
    return Asked(asked.table, asked.names, {lb: str(i) for i, lb in enumerate(sorted(labels))})


Measured = Callable[[View, Asked], Verdict | None]


def pieces(view: View, asked: Asked, columns: list[str]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """(records, rows of the table) in pieces, both in the order of image_id, rows for each record.

    Ends once `max_images` records were given.
    """
    left = asked.max_images
    for id_range in view.ranges():
        records = view.read(
            "records", ["image_id", "label", "split", "boxes", "mask_uri"], id_range
        ).slice(0, max(left, 0))
        rows = view.read(asked.table, ["image_id", "error", *columns], id_range)
        at = pc.index_in(records["image_id"], value_set=rows["image_id"].combine_chunks())
        kept = pc.is_valid(at)
        records, rows = records.filter(kept), rows.take(at.filter(kept))
        left -= len(records)
        if len(records):
            yield records, rows


__all__ = [
    "LISTED",
    "Asked",
    "Measured",
    "Row",
    "Verdict",
    "View",
    "classes",
    "curve_of",
    "pieces",
    "ratio",
    "scopes",
    "vectors",
]
