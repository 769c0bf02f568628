"""Columns of vectors as matrices: the rows that were put in, NaN where there was none."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvdata.vectors import matrix

ROWS = st.lists(st.none() | st.lists(st.floats(-1, 1, width=16), min_size=3, max_size=3))


@given(ROWS, st.integers(0, 5), st.sampled_from([pa.float16(), pa.float32(), pa.float64()]))
def test_rows_come_back_whatever_the_chunks_slices_and_width_of_numbers(
    rows: list[list[float] | None], cut: int, kind: pa.DataType
) -> None:
    whole = pa.array(
        [None if r is None else np.array(r, kind.to_pandas_dtype()) for r in rows],
        pa.list_(kind, 3),
    )
    column = pa.chunked_array([whole[:cut], whole[cut:]], type=whole.type)
    for found, expected in ((column, rows), (whole, rows), (whole[cut:], rows[cut:])):
        got = matrix(found)
        assert (got.dtype, got.shape) == (np.float32, (len(expected), 3))
        for mine, theirs in zip(got, expected, strict=True):
            if theirs is None:
                assert np.isnan(mine).all()
            else:
                np.testing.assert_array_equal(mine, np.array(theirs, np.float32))


def test_one_whole_chunk_is_not_copied() -> None:
    values = np.arange(12, dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values), 4)
    assert np.shares_memory(matrix(column), values)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_no_rows(kind: pa.DataType) -> None:
    assert matrix(pa.chunked_array([], type=pa.list_(kind, 5))).shape == (0, 5)
