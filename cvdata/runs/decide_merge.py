"""Third pass: all findings of an image together; what a floor may bring back; what classes hold."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.decide.findings import FINDINGS, merge_findings
from cvdata.decide.floors import FloorTally
from cvdata.decide.rules import Rules
from cvdata.runs.decide_judge import FOUND, IMAGES
from cvdata.runs.decide_links import LINKED, WEIGHTS
from cvdata.runs.decide_spill import Spill
from cvdata.schema import ID

MERGED = "merged"
FINAL_KINDS = ("user", "leak")
"""Reasons from which no floor brings an image back."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MergeRange:
    """One range of images, to `merged/<n>`.

    Columns: image_id, revision, label, split, objects, is_forced, reasons, n_drops, factor, keep.
    """

    spill: Spill
    rules: Rules

    def __call__(self, number: int) -> FloorTally:
        """Decide what needs no other image any more."""
        images = self.spill.rows(IMAGES, number)
        linked = self.spill.get(LINKED, number)
        found = [self.spill.rows(FOUND, number), linked or FINDINGS.empty_table()]
        ids = images["image_id"].combine_chunks()
        merged = merge_findings(ids, pa.concat_tables(found))
        forced = np.asarray(images["is_forced"], bool)
        unreadable = np.asarray(images["is_unreadable"], bool)
        keep = ~unreadable & (forced | (merged.n_drops == 0))
        names = ["image_id", "revision", "label", "split", "objects", "is_forced"]
        rows = images.select(names)
        rows = rows.append_column("reasons", merged.reasons)
        rows = rows.append_column("n_drops", pa.array(merged.n_drops))
        rows = rows.append_column("factor", pa.array(self._factor(number, ids)))
        self.spill.put(MERGED, number, rows.append_column("keep", pa.array(keep)))
        final = unreadable | merged.drops_by(FINAL_KINDS)
        rank = pa.table(
            {
                "label": images["label"],
                "is_copy": pa.array(merged.drops_by(("duplicate",))),
                "n_drops": pa.array(merged.n_drops),
                "severity": pa.array(merged.severity),
                "pixels": _pixels(images),
                "image_id": ids,
            }
        )
        return self._tally(rank, keep, ~keep & ~final)

    def _factor(self, number: int, ids: pa.Array) -> npt.NDArray[np.float32]:
        """(N,) share of its weight that a copy has where copies are weighted."""
        factor = np.ones(len(ids), np.float32)
        shared = self.spill.get(WEIGHTS, number)
        if shared is not None:
            at = np.asarray(pc.index_in(shared["image_id"], value_set=ids), np.int64)
            factor[at] = np.asarray(shared["factor"], np.float32)
        return factor

    def _tally(self, rank: pa.Table, keep: Bools, may_return: Bools) -> FloorTally:
        tally = FloorTally()
        counted = pa.table({"label": rank["label"], "keep": pa.array(keep.astype(np.int64))})
        per_class = counted.group_by("label").aggregate([("keep", "sum"), ([], "count_all")])
        for row in per_class.to_pylist():
            if row["label"] is not None:
                tally.add(row["label"], row["count_all"], row["keep_sum"])
        candidates = rank.filter(pa.array(may_return))
        for label in sorted(pc.unique(candidates["label"].drop_null()).to_pylist()):
            floor = self.rules.floor(label)
            if floor:
                mine = candidates.filter(pc.equal(candidates["label"], label))
                rows = zip(*(mine[c].to_pylist() for c in mine.column_names[1:]), strict=True)
                tally.offer(label, [(c, n, s, -(p or 0), i) for c, n, s, p, i in rows], floor)
        return tally


def _pixels(images: pa.Table) -> pa.ChunkedArray | pa.Array:
    if "pixels" in images.column_names:
        return images["pixels"]
    return pa.nulls(len(images), pa.int64())


@dataclass
class ClassCounts:
    """Kept images of the balanced splits: by label, those forced by label, by object, in all."""

    labels: Counter[str] = field(default_factory=Counter)
    forced: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    n_images: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return ClassCounts(
            self.labels + other.labels,
            self.forced + other.forced,
            self.objects + other.objects,
            self.n_images + other.n_images,
            self.dropped + other.dropped,
        )


@dataclass(frozen=True)
class Scope:
    """Which images are balanced: those kept in these splits; all kept ones where it is None."""

    splits: tuple[str, ...] | None
    restored: pa.Array

    def kept(self, rows: pa.Table) -> Bools:
        """(N,) whether the image stays, floors counted."""
        back = pc.is_in(rows["image_id"], value_set=self.restored)
        kept: Bools = np.asarray(rows["keep"], bool) | np.asarray(back, bool)
        return kept

    def holds(self, rows: pa.Table) -> Bools:
        """(N,) whether the image is in the balanced splits, kept or not."""
        if self.splits is None:
            return np.ones(len(rows), bool)
        return np.asarray(pc.is_in(rows["split"], value_set=pa.array(self.splits)), bool)


@dataclass(frozen=True)
class CountRange:
    """One range: its `ClassCounts`."""

    spill: Spill
    scope: Scope

    def __call__(self, number: int) -> tuple[int, ClassCounts]:
        """The range's number and counts."""
        rows = self.spill.rows(MERGED, number)
        inside, kept = self.scope.holds(rows), self.scope.kept(rows)
        mine = rows.filter(pa.array(inside & kept))
        gone = rows.filter(pa.array(inside & ~kept))
        forced = mine.filter(mine["is_forced"])
        objects = objects_of(mine)
        return number, ClassCounts(
            _count(mine["label"]),
            _count(forced["label"]),
            _count(objects.flatten()),
            len(mine),
            _count(gone["label"]),
        )


def objects_of(rows: pa.Table) -> pa.Array:
    """What each image shows: the labels of its boxes, or its own label where it has none."""
    boxes = rows["objects"].combine_chunks()
    label = rows["label"].combine_chunks()
    own = pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1), pa.int32()), label)
    return pc.if_else(pc.greater(pc.fill_null(pc.list_value_length(boxes), 0), 0), boxes, own)


def _count(values: pa.ChunkedArray | pa.Array) -> Counter[str]:
    counted = pc.value_counts(values.drop_null())
    return Counter({row["values"]: row["counts"] for row in counted.to_pylist()})


def empty_ids() -> pa.Array:
    """No id."""
    return pa.array([], ID)


def floors_of(rules: Rules, tally: FloorTally) -> Mapping[str, int]:
    """The floor of each class that there is."""
    return {label: rules.floor(label) for label in tally.n_images}
