"""Last pass: reasons, weights and copies as rows; what stays and goes, counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.balance import spread
from cvdata.balance.weights import largest
from cvdata.parts import Part, PartSpec, write_content
from cvdata.runs.decide_balance import Balanced
from cvdata.runs.decide_merge import MERGED, objects_of
from cvdata.runs.decide_spill import Spill
from cvdata.schema import BUDGET, SELECTION
from cvdata.storage import digest

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]

SPECS = {
    name: PartSpec(name, digest(schema.serialize()), schema)
    for name, schema in (("selection", SELECTION), ("budget", BUDGET))
}


@dataclass
class Tally:
    """What a selection came to: images kept and not, by reason, class and split.

    Of `dropped` and `alone` the reasons that drop: all of them, and those of images that have no
    other. `warned` counts reasons of images that stay. Classes and splits: (name, "n" | "kept" |
    "copies" | "weight").
    """

    n_images: int = 0
    n_kept: int = 0
    n_unlabeled: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)
    splits: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        mine, theirs = vars(self), vars(other)
        return Tally(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True)
class WriteRange:
    """One range -> its part of `selection`, of `budget` where it has one, and its counts."""

    spill: Spill
    balanced: Balanced
    repeats: bool
    is_dry: bool

    def __call__(self, number: int) -> tuple[Part | None, Part | None, Tally]:
        """Write the range, or only count it."""
        rows = self.spill.rows(MERGED, number)
        scope = self.balanced.scope
        stays = scope.kept(rows)
        is_cut = np.asarray(pc.is_in(rows["image_id"], value_set=self.balanced.cut), bool)
        keep = stays & ~is_cut
        inside = scope.holds(rows)
        copies = self._copies(rows, number, inside & stays)
        weight = self._weights(rows, inside) * keep
        reasons = _with_balance(rows["reasons"], is_cut)
        n_drops = np.asarray(rows["n_drops"], np.int64) + is_cut
        tally = _tally(rows, reasons, keep, np.where(keep, 0, n_drops), copies)
        if self.is_dry:
            return None, None, tally
        selected = {
            "image_id": rows["image_id"],
            "revision": rows["revision"],
            "keep": pa.array(keep),
            "weight": pa.array(weight.astype(np.float32)),
            "reasons": reasons,
        }
        store = self.spill.store
        part = write_content(store, SPECS["selection"], pa.table(selected).cast(SELECTION))
        more = np.flatnonzero(copies)
        if not len(more):
            return part, None, tally
        planned = rows.select(["image_id", "revision"]).take(pa.array(more))
        planned = planned.append_column("n_copies", pa.array(copies[more].astype(np.int32)))
        return part, write_content(store, SPECS["budget"], planned.cast(BUDGET)), tally

    def _copies(self, rows: pa.Table, number: int, mine: Bools) -> npt.NDArray[np.int64]:
        """(N,) augmented copies of each image: a class's copies spread over its ids in order."""
        out = np.zeros(len(rows), np.int64)
        plan = self.balanced.plan
        if plan is None or self.repeats:
            return out
        labels = rows["label"]
        for label, one in plan.by_label().items():
            if one.n_extra:
                is_class = np.asarray(pc.fill_null(pc.equal(labels, label), False), bool) & mine
                before = self.balanced.offsets[number].get(label, 0)
                ranks = before + np.arange(int(is_class.sum()))
                out[is_class] = spread(ranks, one.n, one.n_extra)
        return out

    def _weights(self, rows: pa.Table, inside: Bools) -> F64:
        """(N,) factor of copies × weight of the class × largest repeat factor × repeats."""
        by_label = dict(self.balanced.weights)
        if self.repeats and self.balanced.plan is not None:
            for label, one in self.balanced.plan.by_label().items():
                left = one.n - one.n_cut
                by_label[label] = by_label.get(label, 1.0) * one.achieved / left
        out = np.asarray(rows["factor"], np.float64)
        if by_label:
            names = pa.array(list(by_label))
            at = np.asarray(pc.fill_null(pc.index_in(rows["label"], value_set=names), -1))
            values = np.append(np.array(list(by_label.values()), np.float64), 1.0)
            out = out * np.where(inside, values[at], 1.0)
        if self.balanced.factors:
            repeated = largest(self.balanced.factors, objects_of(rows).to_pylist())
            out = out * np.where(inside, repeated, 1.0)
        return out


def _with_balance(reasons: pa.ChunkedArray, is_cut: Bools) -> pa.Array:
    """`balance` before the other reasons of what was cut."""
    whole = reasons.combine_chunks()
    if not is_cut.any():
        return whole
    lists = whole.to_pylist()
    for row in np.flatnonzero(is_cut).tolist():
        lists[row] = ["balance", *lists[row]]
    return pa.array(lists, whole.type)


def short_names(reasons: pa.Array) -> pa.Array:
    """Reasons without the keeper's id: `duplicate:any:00ff…` -> `duplicate:any`."""
    return pc.replace_substring_regex(reasons, r"^(duplicate:[^:]*):.*$", r"\1")


def _tally(
    rows: pa.Table,
    reasons: pa.Array,
    keep: Bools,
    n_drops: npt.NDArray[np.int64],
    copies: npt.NDArray[np.int64],
) -> Tally:
    sizes = np.asarray(pc.list_value_length(reasons), np.int64)
    row = np.repeat(np.arange(len(rows)), sizes)
    place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    names = short_names(reasons.flatten())
    drops = place < n_drops[row]
    tally = Tally(len(rows), int(keep.sum()), rows["label"].null_count)
    tally.dropped = _counted(names.filter(pa.array(drops)))
    tally.alone = _counted(names.filter(pa.array(drops & (n_drops[row] == 1))))
    tally.warned = _counted(names.filter(pa.array(keep[row])))
    for target, column in ((tally.classes, "label"), (tally.splits, "split")):
        table = pa.table(
            {"name": rows[column], "kept": pa.array(keep.astype(np.int64)), "copies": copies}
        )
        summed = table.group_by("name").aggregate(
            [([], "count_all"), ("kept", "sum"), ("copies", "sum")]
        )
        for item in summed.to_pylist():
            name = item["name"] or ""
            target[name, "n"] += item["count_all"]
            target[name, "kept"] += item["kept_sum"]
            target[name, "copies"] += item["copies_sum"]
    return tally


def _counted(values: pa.Array) -> Counter[str]:
    return Counter({i["values"]: i["counts"] for i in pc.value_counts(values).to_pylist()})


def figures_of(tally: Tally) -> dict[str, Any]:
    """For selection.json."""
    names = sorted(set(tally.dropped) | set(tally.warned))
    return {
        "n_images": tally.n_images,
        "n_kept": tally.n_kept,
        "n_dropped": tally.n_images - tally.n_kept,
        "n_unlabeled": tally.n_unlabeled,
        "reasons": {
            name: {
                "dropped": tally.dropped[name],
                "alone": tally.alone[name],
                "warned": tally.warned[name],
            }
            for name in names
        },
        "classes": _grouped(tally.classes),
        "splits": _grouped(tally.splits),
    }


def _grouped(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    names = sorted({name for name, _ in counts})
    return {name: {key: counts[name, key] for key in ("n", "kept", "copies")} for name in names}
