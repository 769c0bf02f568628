"""What an issue is: columns of facts -> how bad each image is, and from where on that counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.kernels.sketches import weighted_percentile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Boxes:
    """The boxes of N images, flat: `xyxy` (M, 4) float64, `row` (M,) the image of each.

    `group` (M,) is equal for boxes of one image with one label (no label is a label too).
    `is_known` (N,) is false where the annotation is absent, true where it is an empty list.
    """

    xyxy: Floats
    row: Ints
    group: Ints
    is_known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """Rows of `measures`, and the boxes of `records` aligned to them, as arrays."""

    measures: pa.Table
    boxes_column: pa.Array | None = None

    def __len__(self) -> int:
        return int(self.measures.num_rows)

    def number(self, name: str) -> Floats:
        """A numeric or boolean column as (N,) float64, NaN where null or where there is none."""
        if name not in self.measures.column_names:
            return np.full(len(self), np.nan)
        column = self.measures.column(name).cast(pa.float64(), safe=False)
        return np.asarray(column.to_numpy(), dtype=np.float64)

    def text(self, name: str) -> pa.ChunkedArray:
        """A string column; all null where there is none."""
        if name not in self.measures.column_names:
            return pa.chunked_array([pa.nulls(len(self), pa.string())])
        return self.measures.column(name).cast(pa.string())

    @cached_property
    def boxes(self) -> Boxes:
        """The boxes, flattened."""
        n = len(self)
        if self.boxes_column is None:
            empty = np.empty(0, dtype=np.int64)
            return Boxes(np.empty((0, 4)), empty, empty, np.zeros(n, dtype=np.bool_))
        column = self.boxes_column
        row = pc.list_parent_indices(column).to_numpy().astype(np.int64)
        flat = pc.list_flatten(column)
        placed = flat.field("xyxy").is_valid()
        flat, row = flat.filter(placed), row[placed.to_numpy(zero_copy_only=False)]
        xyxy = pc.list_flatten(flat.field("xyxy"))
        labels = flat.field("label").dictionary_encode(null_encoding="encode")
        codes = labels.indices.to_numpy().astype(np.int64)
        return Boxes(
            xyxy=xyxy.to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, 4),
            row=row,
            group=row * max(len(labels.dictionary), 1) + codes,
            is_known=column.is_valid().to_numpy(zero_copy_only=False),
        )


@dataclass(frozen=True)
class Context:
    """What an issue must know of the whole dataset.

    `size_q1`, `size_q3`: exact quartiles of sqrt(width · height) over the readable images, in
    pixels, as `numpy.percentile` interpolates them; None where no image was read.
    """

    size_q1: float | None = None
    size_q3: float | None = None


@runtime_checkable
class Issue(Protocol):
    """One thing that can be wrong with an image. A frozen dataclass; its parameters are its fields.

    `columns` are the columns of `measures` that it reads (`boxes` is that of `records`);
    `definition` says in one line how the severity follows from them, `reason` why it is flagged
    above `threshold`.
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    definition: ClassVar[str]
    reason: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    @property
    def threshold(self) -> float:
        """Severity above which an image is flagged."""
        ...

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1, 1 is worst; NaN where the facts it needs are missing."""
        ...


class SizeFold:
    """Fold `measures` into a `Context`; exact, whatever the order of batches and merges.

    The state is the multiset of pixel counts, as ascending values and their counts: 16 bytes for
    each different width · height.
    """

    State = tuple[Ints, Ints]

    def zero(self) -> State:
        """No image yet."""
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)

    def update(self, acc: State, table: pa.Table) -> State:
        """Add the rows of a `measures` table that have a size."""
        if not {"width", "height"} <= set(table.column_names):
            return acc
        width, height = (table.column(c).cast(pa.int64()) for c in ("width", "height"))
        area = pc.multiply(width, height).drop_null().to_numpy()
        values, counts = np.unique(area, return_counts=True)
        return self.merge(acc, (values, counts.astype(np.int64)))

    def merge(self, a: State, b: State) -> State:
        """Both together."""
        values, inverse = np.unique(np.concatenate([a[0], b[0]]), return_inverse=True)
        counts = np.zeros(len(values), dtype=np.int64)
        np.add.at(counts, inverse, np.concatenate([a[1], b[1]]))
        return values, counts

    def finalize(self, acc: State) -> Context:
        """The quartiles."""
        values, counts = acc
        if not len(values):
            return Context()
        sizes = np.sqrt(values.astype(np.float64))
        return Context(*(weighted_percentile(sizes, counts, p) for p in (25, 75)))


def context(measures: Iterable[pa.Table]) -> Context:
    """One pass over `measures` (columns `width`, `height` suffice)."""
    fold = SizeFold()
    acc = fold.zero()
    for table in measures:
        acc = fold.update(acc, table)
    return fold.finalize(acc)
