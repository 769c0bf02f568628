"""ingest end to end: several sources, shrinking, changed parts only, a million rows cut alike."""

from pathlib import Path

import pyarrow as pa
import pytest

from cvdata import Workspace
from cvdata.runs.ingest import LARGEST_PART, SMALLEST_PART, cut
from cvdata.schema import RECORDS, image_id
from tests.jobs.flows import cvdata, make_photos
from tests.tables.flows import part_digests


def test_sources_replace_their_own_records_only(tmp_path: Path) -> None:
    where = tmp_path / "w"
    for name, numbers in (("a", range(10)), ("b", range(20))):
        make_photos(tmp_path / name, numbers)
        cvdata("ingest", tmp_path / name, "--workspace", where, "--source-name", name)
    (tmp_path / "a" / "00000.jpg").unlink()
    assert cvdata("ingest", tmp_path / "a", "--workspace", where, "--source-name", "a") == 0
    rows = Workspace(str(where)).read("records", ["image_id", "source"])
    assert sorted(rows["source"].to_pylist()) == ["a"] * 9 + ["b"] * 20
    assert len(set(rows["image_id"].to_pylist())) == 29, "one name in two sources is two images"


def test_a_listing_that_shrank_stops_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(20))
    cvdata("ingest", photos, "--workspace", where)
    for i in range(5):
        (photos / f"{i:05d}.jpg").unlink()
    assert cvdata("ingest", photos, "--workspace", where) == 2
    assert "--allow-shrink" in capsys.readouterr().err
    assert len(Workspace(str(where)).read("records")) == 20
    assert cvdata("ingest", photos, "--workspace", where, "--allow-shrink") == 0
    assert len(Workspace(str(where)).read("records")) == 15


def _records(numbers: range) -> pa.Table:
    keys = [f"{i:08d}.jpg".encode() for i in numbers]
    n = len(keys)
    columns = {
        "image_id": pa.array([image_id("s", k) for k in keys], pa.binary(16)),
        "revision": pa.array(["1"] * n),
        "source": pa.array(["s"] * n),
        "key": pa.array(keys, pa.binary()),
        "uri": pa.array([k.decode() for k in keys]),
    }
    return pa.table(
        {f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in RECORDS}, schema=RECORDS
    )


@pytest.mark.parametrize("size", [1_000, 33_333, 400_000])
def test_parts_do_not_depend_on_how_the_listing_came(size: int) -> None:
    rows = _records(range(300_000))
    tables = [rows.slice(at, size) for at in range(0, len(rows), size)]
    parts = list(cut(tables))
    assert pa.concat_tables(parts).equals(rows)
    assert [len(p) for p in parts] == [len(p) for p in cut([rows])]
    assert all(SMALLEST_PART <= len(p) <= LARGEST_PART for p in parts[:-1])


def test_an_added_image_changes_the_parts_beside_it_only(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "w"))
    found = []
    for rows in (
        _records(range(300_000)),
        pa.concat_tables([_records(range(150_000)), _records(range(150_001, 300_000))]),
    ):
        with workspace.change("ingest", {}) as change:
            change.replace("records", cut([rows]), RECORDS)
        found.append(part_digests(workspace, "records"))
    before, after = found
    assert len(before) >= 8
    assert len(set(before) & set(after)) >= len(before) - 3


def test_annotations_come_along_and_bad_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(2))
    table = tmp_path / "list.csv"
    table.write_text(f"uri,label\n{photos}/00000.jpg,cat\n{photos}/00001.jpg\n")
    assert cvdata("ingest", table, "--workspace", where) == 0
    assert "list.csv:3" in capsys.readouterr().out
    labels = Workspace(str(where)).read("records", ["label"])["label"].to_pylist()
    assert sorted(labels, key=str) == [None, "cat"]
