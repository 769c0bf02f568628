"""engine ≡ for-loop, and what happens when a worker fails."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cvdata.engine.progress import ProgressBar
from cvdata.engine.session import EngineConfig, Session, guided
from cvdata.engine.shuffle import shuffle
from cvdata.engine.verbs import TableReader, fold
from cvdata.errors import ConfigError, RunInterrupted, StorageError
from cvdata.stages.base import Resources
from cvdata.workspace import Workspace
from tests.tables.flows import ingest, part_digests, rows_digest, run_stage

KEYS = [f"{i:05d}" + ("bad" if i % 50 == 7 else "") for i in range(700)]
RAY = EngineConfig("ray", workers=2)


@pytest.mark.usefixtures("ray_up")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_ray_is_a_for_loop(tmp_path: Path, workers: int) -> None:
    found = []
    for engine in (EngineConfig("serial"), EngineConfig("ray", workers=workers)):
        workspace = Workspace(str(tmp_path / engine.kind))
        ingest(workspace, KEYS)
        run_stage(workspace, engine=engine, chunk_rows=64)
        found.append((rows_digest(workspace.read("lengths")), part_digests(workspace, "lengths")))
        assert workspace.verify() == []
    assert found[0] == found[1]


@dataclass(frozen=True)
class TotalLength:
    """A monoid for the tests: rows, and the sum of lengths."""

    def zero(self) -> tuple[int, int]:
        return 0, 0

    def update(self, acc: tuple[int, int], table: pa.Table) -> tuple[int, int]:
        return acc[0] + len(table), acc[1] + (pc.sum(table["length"]).as_py() or 0)

    def merge(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] + b[0], a[1] + b[1]

    def finalize(self, acc: tuple[int, int]) -> tuple[int, int]:
        return acc


@pytest.mark.usefixtures("ray_up")
@pytest.mark.parametrize("engine", [EngineConfig("serial"), RAY], ids=["serial", "ray"])
@pytest.mark.parametrize("rows", [50, 200, 10_000])
def test_a_fold_is_one_pass(tmp_path: Path, engine: EngineConfig, rows: int) -> None:
    workspace = Workspace(str(tmp_path / "w"))
    ingest(workspace, KEYS)
    run_stage(workspace)
    reader = TableReader(
        workspace.store.url, workspace.head.seq, {"lengths": ["length"], "records": ["key"]}
    )
    found = fold(Session(engine), TotalLength(), reader, workspace.ranges(rows))
    assert found == (700, sum(len(k) for k in KEYS if "bad" not in k))


def _fail(item: str) -> str:
    if item == "world":
        raise StorageError("the disk is gone")
    if item == "bug":
        raise ZeroDivisionError("a bug")
    return item


def _by_length(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Every row to the partition of its length, and every second one to partition 0 as well."""
    for length in pc.unique(pc.drop_null(rows["length"])).to_pylist():
        yield length, rows.filter(pc.equal(rows["length"], length))
    yield 0, rows.slice(0, len(rows) // 2)


def _count(partition: int, rows: pa.Table) -> tuple[int, int, str]:
    return partition, len(rows), rows_digest(rows)


@pytest.mark.usefixtures("ray_up")
def test_a_shuffle_is_a_group_by(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "w"))
    ingest(workspace, [*KEYS, *(k + "xyz" for k in KEYS[:99])])
    run_stage(workspace)
    reader = TableReader(workspace.store.url, workspace.head.seq, {"lengths": ["length"]})
    found = []
    for engine in (EngineConfig("serial"), RAY):
        work = shuffle(
            Session(engine), workspace.store, reader, workspace.ranges(100), _by_length, _count
        )
        found.append(sorted(work))
    assert found[0] == found[1]
    assert {p: n for p, n, _ in found[0]} == {0: 397, 5: 686, 8: 97}
    assert not list(workspace.store.list("_tmp")), "nothing is left behind"


@pytest.mark.usefixtures("ray_up")
def test_a_worker_hands_its_error_over() -> None:
    with pytest.raises(StorageError, match="the disk is gone"):
        list(Session(RAY).run(_fail, ["fine", "world"]))
    with pytest.raises(RunInterrupted, match="ZeroDivisionError"):
        list(Session(RAY).run(_fail, ["fine", "bug"]))
    assert sorted(Session(RAY).run(_fail, ["a", "b", "c"])) == ["a", "b", "c"]


def _wait_until_the_first_is_known(item: tuple[int, str]) -> int:
    number, folder = item
    end = time.monotonic() + 60
    while number == 7 and not (Path(folder) / "known").exists():
        if time.monotonic() > end:
            raise StorageError("no result came while its task went on")
        time.sleep(0.05)
    return number


@pytest.mark.usefixtures("ray_up")
def test_results_come_while_their_task_goes_on(tmp_path: Path) -> None:
    engine = EngineConfig("ray", workers=1)
    items = [(i, str(tmp_path)) for i in range(8)]
    assert list(guided(len(items), engine.workers)) == [(0, 8)], "they are one task"
    results = Session(engine).run(_wait_until_the_first_is_known, items)
    first = next(results)
    (tmp_path / "known").touch()
    assert [first, *results] == list(range(8))


@pytest.mark.usefixtures("ray_up")
def test_what_cannot_be_placed_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="needs 2 GPUs and the cluster has 0"):
        list(Session(RAY).run(_fail, ["a"], Resources(gpus=2)))


def test_no_work_starts_no_engine() -> None:
    with Session(EngineConfig("ray", address="nowhere:1")) as session:
        assert list(session.run(_fail, [])) == []


@pytest.mark.usefixtures("ray_up")
def test_an_embedded_ray_listens_on_loopback_alone() -> None:
    assert sorted(Session(RAY).run(_fail, ["a"])) == ["a"]
    session = psutil.Process().children(recursive=True)
    listening = [
        f"{process.name()} {where.laddr.ip}:{where.laddr.port}"
        for process in session
        for where in process.net_connections("inet")
        if where.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert [w for w in listening if "127.0.0.1" not in w and "::1" not in w] == []


def test_what_has_no_known_total_is_counted_alone() -> None:
    with ProgressBar("ingest", 0) as bar:
        bar.advance(97)
    assert bar.line().startswith("ingest: 97 images, ")
    with ProgressBar("scan", 100) as bar:
        bar.advance(97)
    assert bar.line().startswith("scan: 97 of 100 images, ")
