"""Objects that hardly occur elsewhere: from boxes and predictions, counted over every image."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.outliers.rows import F64, OBJECTS, Rows


@dataclass(frozen=True)
class Counts:
    """Images by class, and images by (class, object); class None is the whole dataset.

    `labels` counts every image that has a label, `images` those of which objects are known.
    """

    labels: Counter[str] = field(default_factory=Counter)
    images: Counter[str | None] = field(default_factory=Counter)
    objects: Counter[tuple[str | None, str]] = field(default_factory=Counter)


class CountFold:
    """Folds rows (label, objects where there are) into `Counts`: exact, whatever the order."""

    def zero(self) -> Counts:
        """Nothing yet."""
        return Counts()

    def update(self, acc: Counts, table: pa.Table) -> Counts:
        """Add rows."""
        rows = Rows(table)
        for item in pc.value_counts(table["label"].drop_null()).to_pylist():
            acc.labels[item["values"]] += item["counts"]
        if not rows.has(OBJECTS):
            return acc
        known = table.filter(pc.is_valid(table[OBJECTS]))
        acc.images[None] += len(known)
        for item in pc.value_counts(known["label"].drop_null()).to_pylist():
            acc.images[item["values"]] += item["counts"]
        at, names = rows.objects()
        labels = table["label"].combine_chunks().take(pa.array(at))
        pairs = pa.table({"label": labels, "name": names})
        for item in pairs.group_by(["name"]).aggregate([([], "count_all")]).to_pylist():
            acc.objects[None, item["name"]] += item["count_all"]
        pairs = pairs.filter(pc.is_valid(pairs["label"]))
        for item in pairs.group_by(["label", "name"]).aggregate([([], "count_all")]).to_pylist():
            acc.objects[item["label"], item["name"]] += item["count_all"]
        return acc

    def merge(self, a: Counts, b: Counts) -> Counts:
        """Both together."""
        return Counts(a.labels + b.labels, a.images + b.images, a.objects + b.objects)

    def finalize(self, acc: Counts) -> Counts:
        """As it is."""
        return acc


@dataclass(frozen=True)
class UnexpectedObjects:
    """Bits of surprise at an image's least expected object: log2(N / (others that hold it + 1)).

    `others` leaves the image itself out, so that what occurs once scores as what occurs nowhere
    else. An image whose objects are known and are none scores 0.
    """

    n_images: int
    holding: Mapping[str, int]

    @classmethod
    def fit(cls, counts: Counts, scope: str | None) -> "UnexpectedObjects":
        """Of one scope."""
        holding = {name: n for (of, name), n in counts.objects.items() if of == scope}
        return cls(counts.images[scope], holding)

    def bits(self, name: str) -> float:
        """Surprise at one object of an image that is counted."""
        others = max(self.holding.get(name, 0) - 1, 0)
        return float(np.log2(max(self.n_images, 1) / (others + 1)))

    def score(self, rows: Rows) -> F64:
        """(N,), NaN where objects are not known."""
        known = np.asarray(pc.is_valid(rows.table[OBJECTS]))
        out = np.where(known, 0.0, np.nan)
        at, names = rows.objects()
        encoded = names.dictionary_encode()
        bits = np.array([self.bits(name) for name in encoded.dictionary.to_pylist()])
        if len(at):
            np.maximum.at(out, at, bits[np.asarray(encoded.indices)])
        return out

    def explain(self, rows: Rows, most: int = 3) -> list[dict[str, Any]]:
        """The objects, how many other images hold each, of how many."""
        found: list[list[dict[str, Any]]] = [[] for _ in range(len(rows))]
        at, names = rows.objects()
        for i, name in zip(at.tolist(), names.to_pylist(), strict=True):
            others = max(self.holding.get(name, 0) - 1, 0)
            told = {"label": name, "other_images": others, "of": self.n_images}
            found[i].append(told)
        for some in found:
            some.sort(key=lambda o: (o["other_images"], o["label"]))
        return [{"objects": some[:most]} for some in found]


def objects_column(table: pa.Table, min_score: float) -> pa.ChunkedArray | None:
    """Names of an image's objects: its boxes' labels and what was predicted with `min_score`.

    Null where neither is known; None where the table has neither column.
    """
    lists = []
    if "boxes" in table.column_names:
        lists.append(_box_labels(table["boxes"].combine_chunks()))
    if "labels" in table.column_names:
        lists.append(_predicted(table, min_score))
    if not lists:
        return None
    known = np.zeros(len(table), np.bool_)
    parents, names = [np.empty(0, np.int64)], [pa.array([], pa.string())]
    for is_known, parent, name in lists:
        known |= is_known
        parents.append(parent)
        names.append(name)
    at, flat = np.concatenate(parents), pa.concat_arrays(names)
    order = np.argsort(at, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=len(table)))])
    lists_of = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), flat.take(pa.array(order)), mask=pa.array(~known)
    )
    return pa.chunked_array([lists_of])


Listed = tuple["np.ndarray[Any, np.dtype[np.bool_]]", "np.ndarray[Any, np.dtype[np.int64]]", Any]


def _box_labels(boxes: pa.Array) -> Listed:
    parent = pc.list_parent_indices(boxes)
    names = pc.list_flatten(boxes).field("label")
    named = pc.is_valid(names)
    return np.asarray(boxes.is_valid()), _ints(parent.filter(named)), names.filter(named)


def _predicted(table: pa.Table, min_score: float) -> Listed:
    labels, scores = table["labels"].combine_chunks(), table["scores"].combine_chunks()
    parent, names = pc.list_parent_indices(labels), pc.list_flatten(labels)
    sure = pc.greater_equal(pc.list_flatten(scores), min_score)
    sure = pc.and_(pc.fill_null(sure, False), pc.is_valid(names))
    return np.asarray(labels.is_valid()), _ints(parent.filter(sure)), names.filter(sure)


def _ints(values: pa.Array) -> Any:
    return np.asarray(values, np.int64)
