"""The keep policy orders images to the last tie, and says what it cannot do."""

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.duplicates.keep import DEFAULT_KEEP, KeepPolicy, with_derived
from cvdata.errors import ConfigError

ROW = st.tuples(
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.integers(0, 3)),
    st.one_of(st.none(), st.integers(1, 3)),
    st.integers(0, 2),
)


def table_of(rows: list[tuple[bytes, tuple[bool | None, int | None, int | None, int]]]) -> pa.Table:
    ids, values = zip(*rows, strict=True) if rows else ((), ())
    columns = list(zip(*values, strict=True)) if rows else [(), (), (), ()]
    kinds = [pa.bool_(), pa.int64(), pa.int32(), pa.int64()]
    arrays = [pa.array(c, t) for c, t in zip(columns, kinds, strict=True)]
    names = ["is_labeled", "pixels", "jpeg_quality", "size_bytes"]
    return pa.table([pa.array(ids, pa.binary(16)), *arrays], ["image_id", *names])


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=12), st.randoms(use_true_random=False))
def test_order_is_a_python_sort_and_knows_no_row_order(
    values: list[tuple[bool | None, int | None, int | None, int]], rng: random.Random
) -> None:
    rows = [(rng.randbytes(16), value) for value in values]

    def key(row):  # type: ignore[no-untyped-def]
        image_id, (labeled, pixels, quality, size) = row
        falling = [(v is None, -(v or 0)) for v in (labeled, pixels, quality)]
        return (*falling, size, image_id)

    expected = [image_id for image_id, _ in sorted(rows, key=key)]
    for _ in range(2):
        ids = table_of(rows)["image_id"].to_pylist()
        assert [ids[i] for i in KeepPolicy(DEFAULT_KEEP).order(table_of(rows))] == expected
        rng.shuffle(rows)


def test_ties_end_with_the_id_even_where_it_is_not_named() -> None:
    rows = [(bytes([i]) * 16, (True, 1, 1, 1)) for i in (3, 1, 2)]
    assert KeepPolicy(("-pixels",)).order(table_of(rows)).tolist() == [1, 2, 0]


def test_nan_comes_last_either_way() -> None:
    ids = pa.array([bytes([i]) * 16 for i in range(3)], pa.binary(16))
    table = pa.table({"image_id": ids, "sharpness": pa.array([1.0, float("nan"), 2.0])})
    assert KeepPolicy(("-sharpness",)).order(table).tolist() == [2, 0, 1]
    assert KeepPolicy(("sharpness",)).order(table).tolist() == [0, 2, 1]


def test_a_wrong_column_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no column 'pixel'; did you mean 'pixels'"):
        KeepPolicy(("-pixel",)).order(table_of([(b"a" * 16, (True, 1, 1, 1))]))


@pytest.mark.parametrize("columns", [("--pixels",), ("",), ("-",), ("pixels", "-pixels")])
def test_a_malformed_policy_is_refused_at_once(columns: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="keep policy"):
        KeepPolicy(columns)


def test_derived_columns() -> None:
    box = pa.struct([("label", pa.string()), ("xyxy", pa.list_(pa.float32(), 4))])
    boxes = pa.array([[], [{"label": "a", "xyxy": [0, 0, 1, 1]}], None, []], pa.list_(box))
    table = pa.table(
        {
            "width": pa.array([70_000, 2, None, 4], pa.int32()),
            "height": pa.array([70_000, 3, 1, 5], pa.int32()),
            "label": pa.array(["x", None, None, None]),
            "boxes": boxes,
        }
    )
    derived = with_derived(table)
    assert derived["pixels"].to_pylist() == [4_900_000_000, 6, None, 20]
    assert derived["is_labeled"].to_pylist() == [True, True, False, False]
