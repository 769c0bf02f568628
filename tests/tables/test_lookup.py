"""Looking up a few rows: the same as filtering all, and little else is touched on the way."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cvdata.errors import StorageError
from cvdata.parts import Part, find_rows, read_columns
from cvdata.schema import ID
from cvdata.storage import Store, digest

N, GROUP = 1000, 100
SCHEMA = pa.schema([("image_id", ID), ("group_id", ID), ("note", pa.string())])


def rows_of(seed: int = 0) -> pa.Table:
    """Sorted by id; each group_id is borne by three rows."""
    rng = np.random.default_rng(seed)
    ids = sorted(rng.bytes(16) for _ in range(N))
    groups = [ids[i % (N // 3)] for i in range(N)]
    notes = [rng.bytes(30).hex() for _ in range(N)]
    columns = [pa.array(ids, ID), pa.array(groups, ID), pa.array(notes)]
    return pa.table(columns, schema=SCHEMA)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Store, list[Part], pa.Table]:
    """Two parts of ten row groups each."""
    store, parts, tables = Store(str(tmp_path)), [], []
    for seed in range(2):
        rows = rows_of(seed)
        path = f"t/part-{seed}.parquet"
        (tmp_path / "t").mkdir(exist_ok=True)
        pq.write_table(rows, tmp_path / path, row_group_size=GROUP, compression="none")
        data = (tmp_path / path).read_bytes()
        parts.append(Part(path, N, len(data), digest(data)))
        tables.append(rows)
    return store, parts, pa.concat_tables(tables)


def damage(store: Store, part: Part, column: str, kept: set[int]) -> None:
    """Overwrite the pages of `column` in all row groups but those `kept`."""
    path = Path(store.path(part.path))
    data = bytearray(path.read_bytes())
    metadata = pq.ParquetFile(path).metadata
    leaf = SCHEMA.get_field_index(column)
    for group in set(range(metadata.num_row_groups)) - kept:
        chunk = metadata.row_group(group).column(leaf)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)


@pytest.mark.parametrize("column", ["image_id", "group_id"])
@pytest.mark.parametrize("n", [0, 1, 7, 400])
def test_a_look_up_is_a_filter(
    made: tuple[Store, list[Part], pa.Table], column: str, n: int
) -> None:
    store, parts, rows = made
    some = np.random.default_rng(n).choice(len(rows), n, replace=False)
    values = pa.array([*rows[column].take(some).to_pylist(), *([b"x" * 16] if n else [])], ID)
    found = find_rows(store, parts, SCHEMA, column, values)
    assert found.equals(rows.filter(pc.is_in(rows[column], value_set=values)))
    notes = find_rows(store, parts, SCHEMA, column, values, ["note"])
    assert notes["note"].to_pylist() == found["note"].to_pylist()


@pytest.mark.parametrize("width", [1, 2**100, 2**118, 2**126, 2**127])
def test_a_range_is_a_filter_however_narrow(
    made: tuple[Store, list[Part], pa.Table], width: int
) -> None:
    store, parts, rows = made
    for row in (0, 517, 1999):
        low = rows["image_id"][row].as_py()
        high = min(int.from_bytes(low, "big") + width, 2**128 - 1).to_bytes(16, "big")
        found = read_columns(store, parts, SCHEMA, ["note"], (low, high))
        ids = rows["image_id"].to_pylist()
        kept = [i for i, one in enumerate(ids) if low <= one < high]
        assert row in kept
        assert found["note"].to_pylist() == rows["note"].take(kept).to_pylist()


def test_what_holds_no_hit_is_not_read(made: tuple[Store, list[Part], pa.Table]) -> None:
    """Everything else is rubbish: the other row groups of every column, all of the other part."""
    store, parts, rows = made
    image = rows["image_id"][250].as_py()
    damage(store, parts[0], "note", {2})
    damage(store, parts[0], "group_id", {2})
    for column in ("note", "group_id"):
        damage(store, parts[1], column, set())
    values = pa.array([image], ID)
    assert find_rows(store, parts, SCHEMA, "image_id", values).equals(rows.slice(250, 1))
    only = (image, (int.from_bytes(image, "big") + 1).to_bytes(16, "big"))
    assert read_columns(store, parts, SCHEMA, None, only).equals(rows.slice(250, 1))
    damage(store, parts[0], "image_id", {2})
    assert find_rows(store, parts, SCHEMA, "image_id", values).equals(rows.slice(250, 1)), (
        "by statistics"
    )
    with pytest.raises(StorageError, match=r"part-0"):
        read_columns(store, parts, SCHEMA)
