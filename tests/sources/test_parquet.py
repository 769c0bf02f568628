"""Parquet: bytes read later row by row, whatever the row groups; extension types never opened."""

import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvdata.errors import ConfigError, ErrorCode, ImageError
from cvdata.schema import BOX, RECORDS
from cvdata.sources import Fetcher
from cvdata.sources.parquet_file import BadParquet, refuse_extensions

from .trees import fetch, png, records, write, write_memory


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def images(n: int, column: str = "image", **columns: Any) -> pa.Table:
    return pa.table({column: pa.array([png(i) for i in range(n)], pa.binary()), **columns})


def test_bytes_columns_plain_and_as_a_struct(tmp_path: Path) -> None:
    plain = images(10, label=[f"c{i % 3}" for i in range(10)], split=["train"] * 10)
    struct = pa.StructArray.from_arrays(
        [pa.array([f"{i}.png" for i in range(10)]), plain["image"].combine_chunks()],
        ["path", "bytes"],
    )
    nested = pa.table({"image": struct, "label": plain["label"]})
    for name, table, column in (("a", plain, "image"), ("b", nested, "image.bytes")):
        data = parquet(table, row_group_size=3)
        local, problems = records(write(tmp_path / name, {"x.parquet": data}))
        assert problems == []
        assert [r["key"] for r in local] == [b"x.parquet#%d" % i for i in range(10)]
        assert [r["label"] for r in local] == [f"c{i % 3}" for i in range(10)]
        assert {r["uri"] for r in local} == {f"parquet:{tmp_path}/{name}/x.parquet#{column}"}
        assert fetch(local) == [png(i) for i in range(10)]
        assert fetch(local[::-1]) == [png(i) for i in reversed(range(10))]
        assert fetch(local[1::3]) == [png(i) for i in range(1, 10, 3)]
        remote, _ = records(write_memory(f"parquet-{name}", {"x.parquet": data}))
        assert [r["image_id"] for r in remote] == [r["image_id"] for r in local]
        assert fetch(remote) == fetch(local)


@given(st.integers(1, 90), st.integers(1, 40), st.data())
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_rows_in_any_order(tmp_path: Path, n: int, group: int, data: Any) -> None:
    (tmp_path / "x.parquet").write_bytes(parquet(images(n), row_group_size=group))
    rows, _ = records(tmp_path)
    order = data.draw(st.lists(st.integers(0, n - 1), max_size=30))
    assert fetch([rows[i] for i in order]) == [png(i) for i in order]


def test_ids_survive_rewriting_where_a_column_names_them(tmp_path: Path) -> None:
    table = images(6, id=[f"id{i}" for i in range(6)])
    options = {"id": "id"}
    first, _ = records(write(tmp_path, {"x.parquet": parquet(table)}), options=options)
    write(tmp_path, {"x.parquet": parquet(table.take([5, 4, 3, 2, 1, 0]), row_group_size=2)})
    second, _ = records(tmp_path, options=options)
    assert {r["image_id"] for r in first} == {r["image_id"] for r in second}
    twice = pa.concat_tables([table, table.slice(2, 1)])
    rows, _ = records(write(tmp_path, {"x.parquet": parquet(twice)}), options=options)
    assert [(r["key"], r["error"]) for r in rows[5:]] == [
        (b"id5", None), (b"id2#2", "duplicate_key"),
    ]  # fmt: skip


def test_boxes_extra_and_class_names(tmp_path: Path) -> None:
    boxes = pa.array([[{"label": "a", "xyxy": [0, 0, 1, 2]}], None, []], pa.list_(BOX))
    table = images(3, label=[1, 0, 7], boxes=boxes, note=["x", None, "é"])
    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    options = {"boxes": "boxes", "extra": "note,label"}
    rows, problems = records(write(tmp_path, {"x.parquet": parquet(table)}), options=options)
    assert [r["label"] for r in rows] == ["yes", "no", "7"]
    assert [r["boxes"] for r in rows] == boxes.to_pylist()
    assert json.loads(rows[2]["extra"]) == {"note": "é", "label": 7}
    assert problems == []


def test_paths_in_a_column(tmp_path: Path) -> None:
    write(tmp_path, {"b.jpg": b"b", "a.jpg": b"a"})
    table = pa.table({"path": ["b.jpg", "a.jpg", "none.jpg", None], "class": ["B", "A", "N", "X"]})
    rows, problems = records(write(tmp_path, {"x.parquet": parquet(table)}) / "x.parquet")
    assert [(r["key"], r["label"], r["error"]) for r in rows] == [
        (b"a.jpg", "A", None), (b"b.jpg", "B", None), (b"none.jpg", "N", "not_found"),
    ]  # fmt: skip
    assert fetch(rows) == [b"a", b"b", "not_found"]
    assert problems == [
        f"x.parquet:3: {tmp_path}/none.jpg: no such file",
        "x.parquet:4: column 'path': no value",
    ]


def test_null_bytes_large_values_and_changed_files(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([b"x", None, b"y" * 100, b""], pa.binary())})
    rows, _ = records(write(tmp_path, {"x.parquet": parquet(table)}))
    assert fetch(rows, max_bytes=50) == [b"x", "not_found", "too_large_file", b""]
    write(tmp_path, {"x.parquet": parquet(table.slice(0, 2))})
    assert fetch(rows) == ["changed"] * 4
    for row in rows:
        row["revision"] = ""
    assert fetch(rows) == [b"x", "not_found", "changed", "changed"]
    (tmp_path / "x.parquet").unlink()
    assert fetch(rows) == ["not_found"] * 4
    remote, _ = records(write_memory("gone-parquet", {"x.parquet": parquet(table)}))
    fsspec.filesystem("memory").rm_file("/gone-parquet/x.parquet")
    assert fetch(remote) == ["not_found"] * 4


class Loud(pa.ExtensionType):  # type: ignore[misc]
    """Remembers that it was brought to life, as a hostile one would run code."""

    woken = 0

    def __init__(self) -> None:
        super().__init__(pa.binary(), "tests.loud")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> "Loud":
        cls.woken += 1
        return cls()


@pytest.fixture
def loud() -> Any:
    pa.register_extension_type(Loud())
    yield Loud
    pa.unregister_extension_type("tests.loud")


@pytest.mark.parametrize("depth", ["column", "struct", "list"])
def test_extension_types_are_refused_before_they_wake(
    tmp_path: Path, loud: type[Loud], depth: str
) -> None:
    column: Any = pa.ExtensionArray.from_storage(Loud(), pa.array([png(1)], pa.binary()))
    if depth == "struct":
        column = pa.StructArray.from_arrays([column], ["x"])
    elif depth == "list":
        column = pa.ListArray.from_arrays([0, 1], column)
    data = parquet(pa.table({"pad" * 7: [1], "loud": column, "image": [png(2)]}))
    safe = parquet(pa.table({"image": [png(2)]}))
    loud.woken = 0
    with pytest.raises(ConfigError, match="extension type"):
        records(write(tmp_path / "only", {"x.parquet": data}))
    rows, problems = records(write(tmp_path / "second", {"a.parquet": safe, "b.parquet": data}))
    assert [(r["key"], r["error"]) for r in rows] == [
        (b"a.parquet#0", None), (b"b.parquet#!", "archive_denied"),
    ]  # fmt: skip
    assert "extension type" in problems[0]
    row = rows[0] | {"uri": f"parquet:{tmp_path}/only/x.parquet#image", "revision": ""}
    assert fetch([row]) == ["archive_denied"]
    assert loud.woken == 0


@given(st.text(min_size=0, max_size=12), st.binary(max_size=12))
@settings(deadline=None)
def test_the_mark_is_found_wherever_it_lies(name: str, value: bytes) -> None:
    field = pa.field(name.encode("utf-8", "replace").decode(), pa.binary(), metadata={
        b"x": value, b"ARROW:extension:name": b"any.name"})  # fmt: skip
    data = parquet(pa.table([pa.array([b"1"])], pa.schema([field])))
    reader = pa.BufferReader(data)
    with pytest.raises(BadParquet, match="extension type"):
        refuse_extensions(reader, len(data))


def test_damaged_files(tmp_path: Path) -> None:
    whole = parquet(images(50), compression="zstd")
    for n, data in enumerate([b"", b"PAR1", whole[:-1], whole[:-8] + b"\xff\xff\xff\x7fPAR1",
                              b"PAR1" + b"\0" * 100 + b"\x10\0\0\0PAR1", b"PARE" * 9]):  # fmt: skip
        with pytest.raises(ConfigError, match=r"x\.parquet: "):
            records(write(tmp_path / str(n), {"x.parquet": data}))
        rows, problems = records(write(tmp_path / str(n), {"a.parquet": whole}))
        assert [r["error"] for r in rows] == [None] * 50 + ["archive_denied"]
        assert problems[0].startswith("x.parquet: ")
    whole = parquet(images(50), compression="zstd", write_page_checksum=True)
    rows, _ = records(write(tmp_path / "body", {"a.parquet": whole}))
    noisy = bytearray(whole)
    noisy[40 : len(noisy) // 3] = bytes(len(noisy) // 3 - 40)
    (tmp_path / "body/a.parquet").write_bytes(noisy)
    table = pa.Table.from_pylist([row | {"revision": ""} for row in rows], schema=RECORDS)
    got = list(Fetcher(max_bytes=2**20).fetch(table))
    assert {g.code for g in got if isinstance(g, ImageError)} == {ErrorCode.ARCHIVE_DENIED}


def test_columns_that_cannot_be_meant(tmp_path: Path) -> None:
    write(tmp_path, {"x.parquet": parquet(pa.table({"image": [1], "n": [2]}))})
    for options, message in (
        ({}, "which column names the images"),
        ({"bytes": "image"}, "holds no bytes"),
        ({"uri": "image"}, "no column 'image'"),
    ):
        with pytest.raises(ConfigError, match=message):
            records(tmp_path, options=options)
    write(tmp_path, {"x.parquet": parquet(images(1))})
    with pytest.raises(ConfigError, match="no column 'lable'"):
        records(tmp_path, options={"label": "lable"})


def test_a_file_of_another_shape_costs_its_own_rows(tmp_path: Path) -> None:
    write(tmp_path, {"a.parquet": parquet(images(2)), "c.parquet": parquet(images(1)),
                     "b.parquet": parquet(pa.table({"image": ["text"]}))})  # fmt: skip
    rows, problems = records(tmp_path)
    assert [r["key"] for r in rows if r["error"]] == [b"b.parquet#!"]
    assert len(rows) == 4
    assert problems == ["b.parquet: no column of image bytes among image"]
