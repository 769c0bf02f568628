"""Plans: what they are made of, and what they refuse."""

from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvdata.cli import main
from cvdata.commits import Commit
from cvdata.config import Prices
from cvdata.engine.capacity import Capacity, Needs, refuse_too_few
from cvdata.errors import ConfigError
from cvdata.runs.estimate import (
    SHIPPED,
    Cost,
    Pending,
    Rate,
    estimate,
    measured_rate,
    refuse_unable,
)
from cvdata.runs.scan import scan_cost
from cvdata.stages.base import Resources
from cvdata.storage import Store
from cvdata.workspace import Workspace
from tests.conftest import ROOT
from tests.jobs.flows import make_photos

COST = Cost(0.001, 500, 10, 2e-8, 0.01)
HAS = Capacity(({"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}), 64 << 30, 0, 0)
APART = Needs(Resources(), Resources(2.0, 1.0), 0, is_apart=True)


def _commit(seq: int, n: int, busy: float, n_bytes: int) -> Commit:
    stage = {
        "n_images": n,
        "worker_seconds": {"compute": busy * 0.75, "model": busy * 0.25},
        "cpus_per_worker": 1.0,
        "bytes_read": n_bytes,
        "bytes_written": 100 * n,
    }
    return Commit(seq=seq, stats={"run": {"stages": {"measures": stage}}})


@given(st.integers(100, 10**6), st.floats(0.1, 1e5), st.integers(1, 10**12))
def test_what_was_measured_is_told_of_the_same_again(n: int, busy: float, n_bytes: int) -> None:
    rate = measured_rate([_commit(1, n, busy, n_bytes)], "measures", COST)
    found = estimate(Pending(n, n_bytes), COST, rate, Needs(), HAS)
    assert found.cpu_seconds == pytest.approx(busy)
    assert found.written_bytes == 100 * n
    twice = estimate(Pending(2 * n, 2 * n_bytes), COST, rate, Needs(), HAS)
    assert twice.cpu_seconds == pytest.approx(2 * busy)


def test_the_newest_run_that_is_large_enough_counts() -> None:
    commits = [_commit(1, 500, 5.0, 500), _commit(2, 400, 8.0, 400), _commit(3, 99, 99.0, 99)]
    assert "commit 2: 400 images, 20.00 ms" in measured_rate(commits, "measures", COST).source
    assert measured_rate(commits, "embeddings/x", COST).source == SHIPPED
    assert measured_rate([Commit(seq=1)], "measures", COST) == Rate()


def test_the_shipped_rate_is_the_one_that_the_docs_tell_and_measured() -> None:
    told = (ROOT / "docs/observability.md").read_text().replace("\n", " ")
    cost = scan_cost()
    assert (
        f"{cost.seconds * 1e3:g} ms an image and {cost.byte_seconds * 1e9:g} ms a megabyte" in told
    )
    rows = (ROOT / "docs/benchmarks.md").read_text().splitlines()
    (row,) = (row for row in rows if row.startswith("| `cvdata scan`, embedded Ray"))
    measured = 2 / float(row.split("|")[2])  # two workers, images/s
    assert cost.worker_seconds(1, 110_000) == pytest.approx(measured, rel=0.2)


def test_a_gpu_takes_the_model_off_the_cpus() -> None:
    on_cpu = estimate(Pending(1000, 0, 10), COST, Rate(), Needs(), HAS)
    on_gpu = estimate(Pending(1000, 0, 10), COST, Rate(), APART, HAS)
    assert on_cpu.gpu_seconds == 0
    assert on_gpu.gpu_seconds == pytest.approx(10)
    assert on_gpu.cpu_seconds + on_gpu.gpu_seconds == pytest.approx(on_cpu.cpu_seconds)
    assert on_gpu.wall_seconds == pytest.approx(10), "one GPU computes longer than 16 CPUs decode"
    assert (on_cpu.traveling_bytes, on_gpu.traveling_bytes) == (0, 10_000)


@pytest.mark.parametrize("workers", [0, 3])
def test_memory_is_that_of_all_workers_and_of_rays_store(workers: int) -> None:
    """Workers fill the CPUs that are used; actors with the model and Ray's store come on top."""
    has = Capacity(({"CPU": 8.0},), 16 << 30, 1 << 30, workers)
    one = Resources(2.0, memory_bytes=500 << 20)
    plain = estimate(Pending(10, 0), COST, Rate(), Needs(one), has)
    n_workers = 4 if workers == 0 else 1
    assert plain.memory_bytes == n_workers * (500 << 20) + (1 << 30)
    apart = Needs(one, Resources(1.0, memory_bytes=2 << 30), 2, is_apart=True)
    assert estimate(Pending(10, 0), COST, Rate(), apart, has).memory_bytes == (
        plain.memory_bytes + 2 * (2 << 30)
    )


def test_more_memory_than_there_is_is_a_warning() -> None:
    for memory, is_told in ((64 << 30, False), (1 << 30, True)):
        has = Capacity(({"CPU": 2.0},), memory, 0, 0)
        needs = Needs(Resources(memory_bytes=1 << 30))
        told = "\n".join(estimate(Pending(1, 0), COST, Rate(), needs, has).lines(Prices()))
        assert ("warning: this machine has 1.1 GB: use fewer --workers" in told) == is_told
        assert "up to 2.1 GB of memory" in told


def test_what_is_up_is_paid_for() -> None:
    found = estimate(Pending(3_600_000, 0), Cost(0.016, 1, 1), Rate(), Needs(), HAS)
    assert found.wall_seconds == pytest.approx(3600)
    assert found.price(Prices(0.05, 2.0)) == pytest.approx(16 * 0.05 + 2.0)
    assert "cost about 2.80" in "\n".join(found.lines(Prices(0.05, 2.0)))
    assert "cost" not in "\n".join(found.lines(Prices()))


@pytest.mark.parametrize(
    ("needs", "fits"),
    [
        (Needs(), True),
        (Needs(Resources(9.0)), False),
        (Needs(Resources(1.0, 1.0)), True),
        (Needs(Resources(1.0, 2.0)), False),
        (APART, True),
        (Needs(Resources(), Resources(9.0, 1.0), 0, is_apart=True), False),
    ],
)
def test_workers_that_fit_on_no_node_are_refused(needs: Needs, fits: bool) -> None:
    if fits:
        refuse_too_few(needs, HAS)
        return
    with pytest.raises(ConfigError, match="add a node"):
        refuse_too_few(needs, HAS)


def test_a_dry_run_lists_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(12))
    command = ["curate", str(photos), "--workspace", str(where), "--engine", "serial"]
    assert main([*command, "--dry-run", "--price-per-cpu-hour", "0.04"]) == 0
    out = capsys.readouterr().out
    assert "plan: list 12 images, 12 of them new or changed" in out
    assert SHIPPED in out
    assert "cost about" in out
    assert not where.exists()
    assert main(["ingest", *command[1:]]) == 0
    make_photos(photos, range(12, 15))
    assert main(["ingest", *command[1:], "--dry-run"]) == 0
    assert "plan: list 15 images, 3 of them new" in capsys.readouterr().out
    assert len(Workspace(str(where)).commits()) == 1


def test_a_scan_plans_by_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(120))
    shared = ["--workspace", str(where), "--engine", "serial"]
    main(["ingest", str(photos), *shared])
    main(["scan", *shared])
    took = Workspace(str(where)).head.stats["run"]["stages"]["measures"]["worker_seconds"]
    capsys.readouterr()
    assert main(["scan", *shared, "--refresh", "--dry-run", "--summary", "json"]) == 0
    out = capsys.readouterr().out
    assert "rates from commit 2: 120 images" in out
    assert f"about {sum(took.values()):,.1f} s of CPUs" in out


def test_a_full_disk_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(4))
    shared = ["--workspace", str(where), "--engine", "serial"]
    main(["ingest", str(photos), *shared])
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**12, 10**12 - 10**6, 10**6))
    for more in ((), ("--dry-run",)):
        assert main(["scan", *shared, *more]) == 2
        assert "make room, choose another --workspace" in capsys.readouterr().err
    assert Workspace(str(where)).head.seq == 1
    assert main(["scan", *shared, "--ignore-capacity"]) == 0


def test_a_gpu_that_is_not_there_is_refused_in_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    make_photos(tmp_path / "photos", range(3))
    shared = ["--workspace", str(tmp_path / "w"), "--engine", "serial"]
    main(["ingest", str(tmp_path / "photos"), *shared])
    shared[-1] = "ray"  # which a plan does not start
    for more in (("--gpus", "1"), ("--gpus", "1", "--pipeline", "tasks")):
        command = ["infer", *shared, "--model", "default", "--dry-run", *more]
        assert main(command) == 2
        assert "add a node" in capsys.readouterr().err


def test_a_disk_too_full_to_spill_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels that travel pass through Ray's store, which leaves a disk alone that is 95 % full."""
    usage = namedtuple("usage", "total used free")
    spill = str(tmp_path / "spill")
    monkeypatch.setenv("RAY_TMPDIR", spill)

    def full(folder: object) -> object:
        used = 96 if str(folder) == spill else 10
        return usage(10**12, used * 10**10, (100 - used) * 10**10)

    monkeypatch.setattr("shutil.disk_usage", full)
    store, pending = Store(str(tmp_path)), Pending(3, 3000, 300)
    with_store = replace(HAS, object_store_bytes=1 << 30)

    def planned(needs: Needs, has: Capacity) -> None:
        refuse_unable(store, estimate(pending, COST, Rate(), needs, has), needs)

    with pytest.raises(ConfigError, match=r"the disk of \S+spill, .* is 96% full, and Ray stops"):
        planned(APART, with_store)
    planned(Needs(), with_store)  # nothing travels
    planned(APART, HAS)  # a Ray that is up spills where it was told to
