"""Which splits, labels, sources and objects get a group of their own."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.eda.tally import Tally

OTHER = "(other)"
NONE = "(none)"
MAX_LABELS = 200
MAX_SPLITS = 50

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scope:
    """A way to divide the images: `groups` are the names, of which (other) and (none) are last."""

    name: str
    column: str
    groups: tuple[str, ...]

    def codes(self, table: pa.Table) -> Codes:
        """(N,) group of each row."""
        n = table.num_rows
        if len(self.groups) == 1:
            return np.zeros(n, dtype=np.int64)
        if self.column not in table.column_names:
            return np.full(n, len(self.groups) - 1)
        return code_of(table.column(self.column), self.groups)


def code_of(values: pa.Array | pa.ChunkedArray, groups: tuple[str, ...]) -> Codes:
    """(N,) index in `groups`; the last but one for unlisted values, the last for null."""
    listed = pc.index_in(values, value_set=pa.array(groups[:-2], pa.string()))
    codes = listed.fill_null(len(groups) - 2).cast(pa.int64()).to_numpy()
    missing = pc.is_null(values).to_numpy(zero_copy_only=False)
    return np.where(missing, len(groups) - 1, codes)


@dataclass(frozen=True)
class Groups:
    """The most frequent labels, splits, sources and objects, most frequent first.

    Only these have a group of their own; the images of all others are pooled as "(other)", those
    without a label as "(none)". Plan them from `records` first, so that every part of the dataset
    is grouped alike and the order of the parts changes nothing.
    """

    labels: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()

    def scopes(self) -> tuple[Scope, ...]:
        """`all`, then split, label and source, those that the dataset has.

        A dataset of one source has no scope source: it would repeat `all`.
        """
        sources = self.sources if len(self.sources) > 1 else ()
        named = (("split", self.splits), ("label", self.labels), ("source", sources))
        return (
            Scope("all", "", ("",)),
            *(Scope(n, n, (*groups, OTHER, NONE)) for n, groups in named if groups),
        )


class GroupFold:
    """Fold `records` (columns label, split, source, boxes) into `Groups`; any order, same result.

    At most `MAX_LABELS` labels and objects, `MAX_SPLITS` splits and sources; ties by name.
    """

    State = dict[str, Tally]

    def zero(self) -> State:
        """Nothing counted."""
        return {name: Tally(1 << 20) for name in ("label", "split", "source", "object")}

    def update(self, acc: State, table: pa.Table) -> State:
        """Count the values of a `records` table."""
        for name in ("label", "split", "source"):
            if name in table.column_names:
                acc[name].add_column(table.column(name).drop_null())
        if "boxes" in table.column_names:
            boxes = pc.list_flatten(table.column("boxes"))
            acc["object"].add_column(pc.struct_field(boxes, "label").drop_null())
        return acc

    def merge(self, a: State, b: State) -> State:
        """Both together."""
        for name, tally in b.items():
            a[name].merge(tally)
        return a

    def finalize(self, acc: State) -> Groups:
        """The most frequent of each."""
        return Groups(
            labels=acc["label"].top(MAX_LABELS),
            splits=acc["split"].top(MAX_SPLITS),
            sources=acc["source"].top(MAX_SPLITS),
            objects=acc["object"].top(MAX_LABELS),
        )


def plan_groups(records: Iterable[pa.Table]) -> Groups:
    """One pass over `records`."""
    fold = GroupFold()
    acc = fold.zero()
    for table in records:
        acc = fold.update(acc, table)
    return fold.finalize(acc)
