"""Resume, incremental, changed, removed, two writers, torn parts."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from cvdata.engine.session import EngineConfig, Session
from cvdata.engine.verbs import map_chunks
from cvdata.errors import CommitConflict, ConfigError, WorkspaceError
from cvdata.maintenance import collect, find_garbage
from cvdata.parts import PartSpec
from cvdata.schema import RECORDS
from cvdata.tables import plan
from cvdata.workspace import Workspace
from tests.tables.flows import ingest, part_digests, rows_digest, run_stage
from tests.tables.stages import KeyLength, make_records

KEYS = [f"{i:05d}" + ("bad" if i % 50 == 7 else "") for i in range(1000)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "w"))


def test_a_run_covers_every_record_once(workspace: Workspace) -> None:
    ingest(workspace, KEYS)
    assert run_stage(workspace) == 1000
    rows = workspace.read("lengths")
    assert rows["image_id"].to_pylist() == sorted(make_records(KEYS)["image_id"].to_pylist())
    assert workspace.head.tables["lengths"].errors == {"corrupt": 20}
    assert workspace.verify() == []


def test_a_run_with_nothing_to_do_makes_no_commit(workspace: Workspace) -> None:
    ingest(workspace, KEYS)
    run_stage(workspace)
    seq = workspace.head.seq
    assert run_stage(workspace) == 0
    ingest(workspace, KEYS)
    assert workspace.refresh().head.seq == seq


def test_only_new_and_changed_rows_are_computed(workspace: Workspace, tmp_path: Path) -> None:
    ingest(workspace, KEYS[:800])
    run_stage(workspace)
    log = tmp_path / "log"
    ingest(workspace, KEYS)
    assert run_stage(workspace, KeyLength(log=str(log))) == 200
    assert len(log.read_text().splitlines()) == 200
    ingest(workspace, KEYS[:10], revision="2", tag="t")
    assert run_stage(workspace) == 10


def test_changed_rows_replace_and_removed_rows_disappear(workspace: Workspace) -> None:
    ingest(workspace, KEYS)
    run_stage(workspace)
    ingest(workspace, KEYS[:900], revision="2")
    assert run_stage(workspace) == 900
    rows = workspace.read("lengths")
    assert len(rows) == 900
    assert set(rows["revision"].to_pylist()) == {"2"}
    ingest(workspace, KEYS[:900], revision="1")
    assert run_stage(workspace) == 0, "rows of an earlier revision are still there"


def test_a_source_replaces_its_own_records_only(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:10], tag="a")
    ingest(workspace, KEYS[:20], tag="b")
    ingest(workspace, KEYS[:5], tag="a")
    assert len(workspace.read("records")) == 25


def test_finished_parts_of_a_killed_run_are_adopted(workspace: Workspace, tmp_path: Path) -> None:
    ingest(workspace, KEYS)
    with pytest.raises(KeyboardInterrupt):
        _stop_half_way(workspace)
    log = tmp_path / "log"
    assert run_stage(workspace, KeyLength(log=str(log)), chunk_rows=100) == 500
    other = Workspace(str(tmp_path / "other"))
    ingest(other, KEYS)
    run_stage(other, chunk_rows=100)
    assert part_digests(workspace, "lengths") == part_digests(other, "lengths")


def _stop_half_way(workspace: Workspace) -> None:
    stage = KeyLength()
    spec = PartSpec("lengths", stage.fingerprints["lengths"], stage.schemas["lengths"])
    with workspace.change("lengths", {}) as change:
        table = change.keyed(spec)
        work = plan(change.store, change.records, [table], 100)
        map_chunks(Session(EngineConfig("serial")), stage, work.chunks[::2], {"lengths": table})
        raise KeyboardInterrupt


def test_orphans_of_another_chunk_size_double_nothing(workspace: Workspace) -> None:
    ingest(workspace, KEYS)
    with pytest.raises(KeyboardInterrupt):
        _stop_half_way(workspace)
    other = Workspace(workspace.store.url)
    run_stage(other, chunk_rows=64)
    assert len(other.read("lengths")) == 1000
    assert other.verify() == []


def test_two_tables_from_one_pass_and_one_that_lags(workspace: Workspace, tmp_path: Path) -> None:
    ingest(workspace, KEYS[:500])
    run_stage(workspace, KeyLength(("a",)))
    ingest(workspace, KEYS)
    log = tmp_path / "log"
    assert run_stage(workspace, KeyLength(("a", "b"), str(log))) == 1000
    assert len(log.read_text().splitlines()) == 1000, "each row is computed once for both tables"
    assert len(workspace.read("a")) == len(workspace.read("b")) == 1000
    assert workspace.verify() == []


@pytest.mark.parametrize("chunk_rows", [1, 7, 64, 1000, 5000])
def test_any_chunk_size_gives_the_same_rows(tmp_path: Path, chunk_rows: int) -> None:
    digests = []
    for size in (0, chunk_rows):
        workspace = Workspace(str(tmp_path / f"w{size}"))
        ingest(workspace, KEYS[:300])
        run_stage(workspace, chunk_rows=size)
        digests.append(rows_digest(workspace.read("lengths")))
    assert digests[0] == digests[1]


def test_the_second_writer_of_a_table_gives_way(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:10])
    first, second = Workspace(workspace.store.url), Workspace(workspace.store.url)
    with first.change("x", {}) as a:
        a.replace("records", [make_records(["mine"])], RECORDS)
        with second.change("y", {}) as b:
            b.replace("records", [make_records(["theirs"])], RECORDS)
        with pytest.raises(CommitConflict):
            a.commit()
        a.cancel()
    assert workspace.refresh().read("records", ["key"]).to_pylist() == [{"key": b"theirs"}]


def test_writers_of_different_tables_both_land(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:10])
    schema = pa.schema([("x", pa.int32())])
    first, second = Workspace(workspace.store.url), Workspace(workspace.store.url)
    with first.change("x", {}) as a:
        a.replace("one", [pa.table({"x": pa.array([1], pa.int32())})], schema)
        with second.change("y", {}) as b:
            b.replace("two", [pa.table({"x": pa.array([2], pa.int32())})], schema)
    assert set(workspace.refresh().tables()) == {"records", "one", "two"}
    assert [c.seq for c in workspace.commits()] == [1, 2, 3]
    assert workspace.verify() == []


def test_a_commit_whose_answer_was_lost_is_won(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:10])
    commit = workspace.head
    assert workspace.log.append(commit), "the same run id means that we already won"


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_verify_finds_damage(workspace: Workspace, damage: str) -> None:
    ingest(workspace, KEYS)
    run_stage(workspace)
    path = Path(workspace.files("lengths")[3])
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-10])
    else:
        path.unlink()
    found = workspace.verify()
    assert [workspace.store.path(d.path) for d in found] == [str(path)]


def test_verify_finds_a_forged_parent_and_a_gap(workspace: Workspace) -> None:
    for n in (10, 20, 30, 40):
        ingest(workspace, KEYS[:n])
    path = Path(workspace.store.path(workspace.log.path(3)))
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {"job": "forged"}))
    assert any("before it" in d.message for d in workspace.verify())
    path.unlink()
    assert any("gap" in d.message for d in workspace.verify())
    assert len(workspace.refresh().read("records")) == 20, "the highest contiguous commit is live"


def test_a_torn_part_under_a_right_name_is_written_again(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:64])
    run_stage(workspace)
    path = Path(workspace.files("lengths")[0])
    good = path.read_bytes()
    other = Workspace(workspace.store.url + "2")
    ingest(other, KEYS[:64])
    torn = Path(other.store.path(workspace.head.tables["lengths"].parts[0].path))
    torn.parent.mkdir(parents=True)
    torn.write_bytes(good[: len(good) // 2])
    run_stage(other)
    assert torn.read_bytes() == good


def test_gc_keeps_what_commits_name(workspace: Workspace) -> None:
    ingest(workspace, KEYS)
    run_stage(workspace)
    ingest(workspace, KEYS, revision="2")
    run_stage(workspace)
    before = workspace.read("lengths")
    garbage, dead = find_garbage(workspace.store, keep=1, grace_seconds=0)
    assert dead == [1, 2, 3]
    collect(workspace.store, garbage, dead)
    assert workspace.refresh().read("lengths").equals(before)
    assert workspace.verify() == []
    assert find_garbage(workspace.store, keep=1, grace_seconds=0) == ([], [])


def test_reading_names_what_there_is(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="there are: none yet"):
        workspace.read("records")
    ingest(workspace, KEYS[:5])
    with pytest.raises(ConfigError, match="there are: records"):
        workspace.read("measures")
    with pytest.raises(ConfigError, match="no column nonsense"):
        workspace.read("records", ["nonsense"])


def test_a_workspace_of_another_format_is_refused(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:5])
    workspace.store.put("_format.json", b'{"format": 99}')
    with pytest.raises(ConfigError, match="format 99"):
        ingest(workspace, KEYS[:6])


def test_ranges_partition_the_ids(workspace: Workspace) -> None:
    ingest(workspace, KEYS)
    run_stage(workspace)
    pieces = [workspace.read("lengths", id_range=r) for r in workspace.ranges(100)]
    assert len(pieces) == 10
    assert pa.concat_tables(pieces).equals(workspace.read("lengths"))


def test_a_damaged_commit_is_an_error_that_says_so(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:5])
    workspace.store.put(workspace.log.path(1), b"{}")
    with pytest.raises(WorkspaceError, match="damaged"):
        workspace.refresh().read("records")
