"""Sorting records: equal to Python's stable sort, however little memory it may use."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.sources.ordering import sort_tables
from cvdata.sources.record import Record, column_table, record_table, unique

PLACES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "b/c", "b-c", "é", "\U0001f600", "\uffee", "z"]),
        st.none() | st.integers(0, 5),
    ),
    max_size=60,
)


def _tables(places: list[tuple[str, int | None]], cut: int) -> Any:
    rows = [Record(b"%d" % n, uri, "r", offset=o) for n, (uri, o) in enumerate(places)]
    return [record_table("s", rows[i : i + cut]) for i in range(0, len(rows), cut)]


@given(PLACES, st.integers(1, 7), st.sampled_from([1, 600, 10**9]))
@settings(max_examples=60, deadline=None)
def test_sorted_stable_and_whole(
    places: list[tuple[str, int | None]], cut: int, run_bytes: int
) -> None:
    got = [
        (row["uri"], row["offset"], row["key"])
        for table in sort_tables(_tables(places, cut), run_bytes=run_bytes)
        for row in table.to_pylist()
    ]
    rows = [(uri, offset, b"%d" % n) for n, (uri, offset) in enumerate(places)]
    expected = sorted(rows, key=lambda r: (r[0].encode(), -1 if r[1] is None else r[1]))
    assert got == expected  # stable, also across runs


def test_many_runs_go_through_files_in_bounded_tables() -> None:
    n = 50_000
    places = [(f"u{i * 7919 % n:06d}", None) for i in range(n)]
    tables = list(sort_tables(_tables(places, 5_000), run_bytes=1_000_000))
    assert [t.num_rows for t in tables] == [32_768, n - 32_768]
    uris = [uri for table in tables for uri in table["uri"].to_pylist()]
    assert uris == sorted(uri for uri, _ in places)


@given(st.lists(st.sampled_from([b"a", b"a#2", b"a#3", b"a#2#2", b"b"]), max_size=12))
def test_every_key_is_made_unique_and_the_first_one_is_kept(keys: list[bytes]) -> None:
    made = list(unique(Record(key, "u", "r") for key in keys))
    assert len({record.key for record in made}) == len(keys)
    for record, key in zip(made, keys, strict=True):
        assert (record.error is None) == (record.key == key)
        assert record.key.startswith(key)


def test_a_table_from_columns_equals_one_from_records() -> None:
    rows = [Record(b"k%d" % n, f"u{n}", "r", size_bytes=n, label="x") for n in range(5)]
    columns = {
        name: [getattr(row, name) for row in rows]
        for name in ("key", "uri", "revision", "size_bytes", "label")
    }
    assert column_table("s", columns) == record_table("s", rows)
    with pytest.raises(KeyError):
        column_table("s", {"uri": ["u"]})
