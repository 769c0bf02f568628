"""The lock: one holder at a time, none that is dead, whatever the clocks say."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import psutil
import pytest

from cvdata import lease
from cvdata.errors import LockHeld, WorkspaceError
from cvdata.lease import FOLDER, Holder, holder, take
from cvdata.locking import hold, locking
from cvdata.maintenance import find_garbage
from cvdata.storage import Store
from tests.conftest import ROOT
from tests.objectstore.conftest import bucket, quick_retries, s3_server
from tests.objectstore.server import S3Server

__all__ = ["bucket", "quick_retries", "s3_server"]
ELSEWHERE = "another-machine boot pid:[1]"


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A folder, a store that knows nothing but create-if-absent, and one behind S3's protocol."""
    if request.param == "local":
        yield Store(str(tmp_path / "w"))
        return
    if request.param == "s3":
        yield Store(f"{request.getfixturevalue('bucket')}/w")
        return
    yield Store(f"memory://lease-{tmp_path.name}")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds in place of minutes."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(lease, "REMOTE_POLL_SECONDS", 0.02)


def _plant(store: Store, **changes: object) -> Holder:
    """A holder that nobody keeps alive, as a run on another machine left it."""
    now = time.time()
    one = Holder(1, "theirs", "curate", "far", ELSEWHERE, 1, now, now, now)
    one = replace(one, **changes)  # type: ignore[arg-type]
    store.put(f"{FOLDER}/{one.generation:020d}.json", one.encode())
    return one


def test_a_second_run_is_told_who_is_at_work(store: Store) -> None:
    first = take(store, "curate")
    with pytest.raises(LockHeld, match=rf"curate \(process {os.getpid()} on .*--wait-for-lock"):
        take(store, "infer")
    first.release()
    second = take(store, "infer")
    assert second.mine.generation == 2
    second.release()
    assert len(list(store.list(FOLDER))) == 1, "grants that are over are tidied up"


@pytest.mark.usefixtures("quick")
def test_of_many_that_want_it_one_has_it_at_a_time(store: Store) -> None:
    n_threads, turns = (6, 5) if "s3://" not in store.url else (3, 3)  # each look is two requests
    n_inside = n_most = n_turns = 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal n_inside, n_most, n_turns
        for _ in range(turns):
            mine = take(store, "curate", 60)
            with guard:
                n_inside += 1
                n_most = max(n_most, n_inside)
                n_turns += 1
            time.sleep(0.003)
            with guard:
                n_inside -= 1
            mine.release()

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (n_most, n_turns) == (1, n_threads * turns)


@pytest.mark.usefixtures("quick_retries")
def test_what_a_bad_network_says_of_it_is_looked_up(bucket: str, s3_server: S3Server) -> None:
    """Answers that are lost, and those that the name is taken where it was taken by us."""
    store = Store(f"{bucket}/w")
    s3_server.faults.rates = {"lost": 0.25, "taken": 0.25, "conflict": 0.1}
    for number in range(1, 6):
        mine = take(store, "curate")
        assert mine.mine.generation == number
        mine.release()
    assert {"lost", "taken", "conflict"} == set(s3_server.faults.seen)
    found = holder(store)
    assert found is not None
    assert found.is_released


@pytest.mark.parametrize("where", ["local", "s3"])
def test_a_killed_holder_is_seen_at_once(
    request: pytest.FixtureRequest, tmp_path: Path, where: str
) -> None:
    url = str(tmp_path) if where == "local" else f"{request.getfixturevalue('bucket')}/w"
    code = (
        "import sys, time; from cvdata.lease import take; from cvdata.storage import Store;"
        "take(Store(sys.argv[1]), 'curate'); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        store = Store(url)
        with pytest.raises(LockHeld):
            take(store, "curate")
        process.send_signal(signal.SIGKILL)
        process.wait()
    began = time.monotonic()
    take(store, "curate").release()
    assert time.monotonic() - began < lease.LEASE_SECONDS / 4


def test_a_pid_that_was_given_anew_is_not_the_holder(store: Store) -> None:
    me = psutil.Process()
    planted = _plant(store, place=lease.place(), pid=me.pid, born=me.create_time() - 500)
    assert planted.is_over
    assert not replace(planted, born=me.create_time()).is_over
    take(store, "curate").release()


def test_one_that_is_silent_for_long_is_dead_wherever_it_was(store: Store) -> None:
    _plant(store, beat=time.time() - lease.LONG_SILENT_SECONDS - 1)
    take(store, "curate").release()


@pytest.mark.usefixtures("quick")
def test_a_doubtful_one_is_watched_for_one_lease(store: Store) -> None:
    _plant(store, beat=time.time() - 2)
    began = time.monotonic()
    take(store, "curate").release()
    assert time.monotonic() - began >= lease.LEASE_SECONDS


@pytest.mark.usefixtures("quick")
def test_clocks_need_not_agree(store: Store) -> None:
    """A live run whose clock is five minutes behind looks silent, and is not robbed."""
    one = _plant(store, beat=time.time() - 300)
    ended = threading.Event()

    def live() -> None:
        n = 0
        while not ended.wait(0.1):
            n += 1
            _plant(store, beat=time.time() - 300, n_beats=n)

    thread = threading.Thread(target=live)
    thread.start()
    with pytest.raises(LockHeld):
        take(store, "curate", 2.0)
    ended.set()
    thread.join()
    found = holder(store)
    assert found is not None
    assert found.token == one.token


@pytest.mark.usefixtures("quick")
def test_waiting_ends_when_the_other_does(store: Store) -> None:
    first = take(store, "curate")
    threading.Timer(0.5, first.release).start()
    second = take(store, "infer", 30)
    assert second.mine.job == "infer"
    second.release()


@pytest.mark.usefixtures("quick")
def test_it_beats_and_tells_how_far_it_is(store: Store) -> None:
    mine = take(store, "scan", progress=lambda: {"stage": "measures", "done": 7})
    deadline = time.monotonic() + 20
    while (found := holder(store)) and found.n_beats < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found is not None
    assert found.n_beats >= 2
    assert found.progress == {"stage": "measures", "done": 7}
    mine.release()


def test_a_paused_run_notices_that_it_was_replaced(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease.log, "propagate", True)
    mine = take(store, "curate")
    _plant(store, generation=2)
    mine.renew()
    assert mine.is_lost
    assert "lost its lock" in caplog.text
    mine.release()
    found = holder(store)
    assert found is not None
    assert (found.token, found.is_released) == ("theirs", False), "it gave away nothing of others"


class _LosesAnswers(Store):
    def put_new(self, relative: str, data: bytes) -> bool:
        super().put_new(relative, data)
        return False


def test_a_grant_whose_answer_was_lost_is_ours(tmp_path: Path) -> None:
    store = _LosesAnswers(str(tmp_path / "w"))
    mine = take(store, "curate")
    assert mine.mine.generation == 1
    mine.release()


def test_what_is_no_lock_is_told(store: Store) -> None:
    store.put(f"{FOLDER}/{1:020d}.json", json.dumps({"foreign": 1}).encode())
    with pytest.raises(WorkspaceError, match="remove it"):
        take(store, "curate")


def test_a_run_locks_once_and_gc_leaves_it_alone(store: Store) -> None:
    with locking("curate", "require") as found:
        hold(store)
        hold(store)
        assert list(found.leases) == [store.url]
        assert find_garbage(store, keep=1, grace_seconds=0) == ([], [])
        with locking("infer", "require"), pytest.raises(LockHeld):
            hold(store)
        with locking("infer", "warn") as beside:
            hold(store)
            assert beside.leases == {store.url: None}
        with locking("infer", "off"):
            hold(store)
    hold(store)
    newest = holder(store)
    assert newest is not None
    assert newest.is_released
