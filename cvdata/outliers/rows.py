"""What the methods see of images: ids, projected embeddings, measures, histograms, objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.vectors import matrix

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

VECTOR, OBJECTS = "vector", "objects"
RECONSTRUCTION = (
    *("whole_luma_error", "whole_chroma_error", "detail_luma_error", "detail_chroma_error"),
    *("whole_luma_quiet", "whole_chroma_quiet", "detail_luma_quiet", "detail_chroma_quiet"),
)
"""Columns of the table `reconstruction` (`models.autoencoder.errors`)."""


@dataclass(frozen=True)
class Rows:
    """N images as columns of `table`: image_id, and whichever of the others there are.

    `vector`: fixed-size list of float32, null where there is no embedding; measures and
    histograms by their names; `objects`: list of strings; the errors of `RECONSTRUCTION`: floats.
    """

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self.table.column_names

    def take(self, at: I64 | Bools) -> "Rows":
        """These rows alone."""
        where = np.flatnonzero(at) if at.dtype == np.bool_ else at
        return Rows(self.table.take(pa.array(where)))

    @cached_property
    def ids(self) -> list[bytes]:
        """image_id of each row."""
        found: list[bytes] = self.table["image_id"].to_pylist()
        return found

    @cached_property
    def has_vector(self) -> Bools:
        """(N,) whether the row has an embedding, finite in every coordinate."""
        return np.asarray(np.isfinite(self.list_of(VECTOR)).all(axis=1))

    @cached_property
    def vectors(self) -> F32:
        """(M, D) float32 of the rows that have one, in order."""
        return np.ascontiguousarray(self.list_of(VECTOR)[self.has_vector], np.float32)

    def number(self, name: str) -> F64:
        """A numeric column, NaN where null or not finite; (N,) float64."""
        column = self.table[name].cast(pa.float64(), safe=False)
        values = np.asarray(column.to_numpy(), np.float64)
        return np.where(np.isfinite(values), values, np.nan)

    def list_of(self, name: str) -> F32:
        """A fixed-size list column as (N, width) float32, NaN where null."""
        return matrix(self.table[name])

    def objects(self) -> tuple[I64, pa.Array]:
        """(row, name) of the objects, each name once an image; rows where it is null have none."""
        column = self.table[OBJECTS].combine_chunks()
        parents = pc.list_parent_indices(column)
        pairs = pa.table({"row": parents, "name": pc.list_flatten(column)})
        unique = pairs.group_by(["row", "name"]).aggregate([])
        unique = unique.sort_by([("row", "ascending"), ("name", "ascending")])
        rows = np.asarray(unique["row"], np.int64)
        return rows, unique["name"].combine_chunks()


def column_of(vectors: F32, is_valid: Bools | None = None) -> pa.FixedSizeListArray:
    """(N, D) as a fixed-size list column; null where not valid."""
    mask = None if is_valid is None else pa.array(~is_valid)
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=mask)


def smallest(values: F64, m: int) -> I64:
    """Rows of the m smallest values, ascending by row: a subsample where values are shares."""
    if m >= len(values):
        return np.arange(len(values))
    return np.sort(np.argpartition(values, m)[:m])


def hex_ids(ids: Sequence[bytes], at: Sequence[int]) -> list[str]:
    """Ids as text."""
    return [ids[i].hex() for i in at]
