"""Which of several copies is kept: an ordered list of columns, to the last tie."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError

DEFAULT_KEEP = ("-is_labeled", "-pixels", "-jpeg_quality", "size_bytes", "image_id")


@dataclass(frozen=True)
class KeepPolicy:
    """`columns` best first: `-pixels` prefers more, `size_bytes` prefers less; nulls come last.

    `image_id` ends every policy, so that no tie is left to chance.
    """

    columns: tuple[str, ...] = DEFAULT_KEEP

    def __post_init__(self) -> None:
        names = [column.lstrip("-") for column in self.columns]
        for column, name in zip(self.columns, names, strict=True):
            if not name or column.startswith("--"):
                raise ConfigError(f"keep policy: {column!r} is not a column or -column")
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(f"keep policy names {', '.join(doubled)} more than once")

    @property
    def needs(self) -> tuple[str, ...]:
        """Column names, `image_id` among them."""
        names = [column.lstrip("-") for column in self.columns]
        return tuple(dict.fromkeys([*names, "image_id"]))

    def check(self, available: Sequence[str]) -> None:
        """Raise `ConfigError` that names the nearest column for one that is not there."""
        for name in self.needs:
            if name not in available:
                near = difflib.get_close_matches(name, available, n=1, cutoff=0.4)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ConfigError(f"keep policy: there is no column {name!r}{hint}")

    def order(self, table: pa.Table) -> npt.NDArray[np.int64]:
        """Rows of `table`, best first: (N,) int64. Same images, same order, however they come."""
        self.check(table.column_names)
        keys = [(column.lstrip("-"), column.startswith("-")) for column in self.columns]
        keys += [("image_id", False)] if "image_id" not in dict(keys) else []
        arrays = [_sortable(table.column(name)) for name, _ in keys]
        sortable = pa.table(arrays, names=[str(i) for i in range(len(keys))])
        sort_keys = [
            (str(i), "descending" if falls else "ascending", "at_end")
            for i, (_, falls) in enumerate(keys)
        ]
        chosen = pc.sort_indices(sortable, sort_keys=sort_keys)
        return np.asarray(chosen.to_numpy(), np.int64)


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as a type that Arrow sorts; NaN counts as null."""
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8())
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    if pa.types.is_nested(kind):
        raise ConfigError(f"keep policy: a column of type {kind} cannot be ordered")
    return column


def with_derived(table: pa.Table) -> pa.Table:
    """`table` with `pixels` (width × height) and `is_labeled` where their sources are there."""
    names = table.column_names
    if "pixels" not in names and {"width", "height"} <= set(names):
        sides = (pc.cast(table.column(side), pa.int64()) for side in ("width", "height"))
        table = table.append_column("pixels", pc.multiply(*sides))
    if "is_labeled" not in names and {"label", "boxes"} & set(names):
        flags = pa.chunked_array([np.zeros(len(table), bool)])
        if "label" in names:
            flags = pc.is_valid(table.column("label"))
        if "boxes" in names:
            n_boxes = pc.fill_null(pc.list_value_length(table.column("boxes")), 0)
            flags = pc.or_(flags, pc.greater(n_boxes, 0))
        table = table.append_column("is_labeled", flags)
    return table
