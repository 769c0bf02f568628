"""Columns of vectors as matrices."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def matrix(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """A fixed-size list column of N rows as (N, width) float32, NaN in rows that are null.

    Without a copy where it is one chunk of float32 and no row is null.
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # beyond what one array can hold
        whole = pa.concat_arrays(whole.chunks)
    width = whole.type.list_size
    flat = np.asarray(whole.flatten()).astype(np.float32, copy=False)
    if not whole.null_count:
        return flat.reshape(len(whole), width)
    filled = np.full((len(whole), width), np.nan, np.float32)
    filled[np.asarray(whole.is_valid())] = flat.reshape(-1, width)
    return filled


def has_direction(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """(N,) rows of (N, D) that are finite and not zero: of the others no cosine can be told."""
    return np.asarray(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1), np.bool_)
