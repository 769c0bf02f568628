"""The sandbox against real crashes, hangs and allocations: each costs exactly its own item."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cvdata.errors import ErrorCode, ImageError, StorageError
from cvdata.stages.isolation import Confinement, Sandbox, SandboxBug, shared_sandbox
from cvdata.stages.isolation_answers import read_answers
from tests.conftest import ROOT
from tests.stages.faulty import Faulty, Sick, Surroundings

QUICK = Confinement(time_limit_seconds=1.0, memory_limit_bytes=1 << 30)
GOOD = [(bytes([i % 251]) * (100 + 37 * i), f"image-{i}") for i in range(60)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(Faulty(), limits=QUICK)
    yield made
    made.close()


def straight(items: list[tuple[bytes, str]]) -> list:
    call = Faulty()()
    return [call(*item) for item in items]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until_dead(pid: int, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_alive(pid)


def test_map_is_the_for_loop(sandbox: Sandbox) -> None:
    assert list(sandbox.map(GOOD)) == straight(GOOD)
    assert list(sandbox.map([])) == []
    assert list(sandbox.map([(b"", "empty"), (b"x", "bytes\udcff\nand more")])) == straight(
        [(b"", "empty"), (b"x", "bytes\udcff\nand more")]
    )


def test_child_is_kept_between_maps(sandbox: Sandbox) -> None:
    list(sandbox.map(GOOD[:1]))
    first = sandbox.pid
    list(sandbox.map(GOOD))
    assert sandbox.pid == first


@pytest.mark.parametrize("place", [0, 60])
def test_poison_may_come_first_or_last(sandbox: Sandbox, place: int) -> None:
    results = list(sandbox.map([*GOOD[:place], (b"!segv!", "poison"), *GOOD[place:]]))
    assert results.pop(place).code is ErrorCode.DECODER_CRASHED
    assert results == straight(GOOD)


@pytest.mark.parametrize(
    ("poison", "code"),
    [
        (b"!segv!", ErrorCode.DECODER_CRASHED),
        (b"!kill!", ErrorCode.DECODER_CRASHED),
        (b"!exit!", ErrorCode.DECODER_CRASHED),
        (b"!abrt!", ErrorCode.DECODER_CRASHED),
        (b"!hang!", ErrorCode.TIMEOUT),
        (b"!spin!", ErrorCode.TIMEOUT),
        (b"!8gb!!", ErrorCode.OUT_OF_MEMORY),
        (b"!cv2!!", ErrorCode.OUT_OF_MEMORY),
        (b"!bad!!", ErrorCode.CORRUPT),
    ],
)
def test_poison_costs_exactly_its_own_item(
    sandbox: Sandbox, poison: bytes, code: ErrorCode
) -> None:
    results = list(sandbox.map([*GOOD[:33], (poison, "poison"), *GOOD[33:]]))
    error = results.pop(33)
    assert isinstance(error, ImageError)
    assert error.code is code
    assert results == straight(GOOD)


def test_many_poisons_at_once(sandbox: Sandbox) -> None:
    kinds = [b"!segv!", b"!hang!", b"!bad!!", b"!8gb!!", b"!bad!!", b"!segv!"]
    items = [(kinds[i // 10], "poison") if i % 10 == 5 else GOOD[i] for i in range(60)]
    results = list(sandbox.map(items))
    codes = [r.code for r in results if isinstance(r, ImageError)]
    expected = ["decoder_crashed", "timeout", "corrupt", "out_of_memory"]
    assert codes == [*expected, "corrupt", "decoder_crashed"]
    assert [r for r in results if not isinstance(r, ImageError)] == straight(
        [item for item in items if item[1] != "poison"]
    )


def test_last_words_are_kept(sandbox: Sandbox) -> None:
    (error,) = sandbox.map([(b"!abrt!", "x")])
    assert error.detail == "SIGABRT: free(): invalid pointer"


def test_a_death_that_does_not_repeat_makes_no_bad_row(tmp_path: Path) -> None:
    poisoned = [*GOOD[:20], (b"!once!", "stray"), *GOOD[20:]]
    sandbox = Sandbox(Faulty(str(tmp_path)), limits=QUICK)
    results = list(sandbox.map(poisoned))
    sandbox.close()
    assert (tmp_path / "stray").exists()
    assert results[20] == ("stray", 6, sum(b"!once!"))
    assert results[:20] + results[21:] == straight(GOOD)


def test_kill_from_outside_at_any_moment_changes_nothing() -> None:
    sandbox = Sandbox(Faulty(), limits=QUICK)

    def items() -> Iterator[tuple[bytes, str]]:
        for i, item in enumerate(GOOD):
            if i in (0, 17, 40, 59) and sandbox.pid:
                os.kill(sandbox.pid, signal.SIGKILL)
            yield item

    assert list(sandbox.map(items())) == straight(GOOD)
    sandbox.close()


def test_what_one_image_leaks_does_not_condemn_the_next() -> None:
    sandbox = Sandbox(Faulty(), limits=Confinement(memory_limit_bytes=1 << 30))
    items = [GOOD[0], (b"!leak!", "first"), (b"!leak!", "second"), GOOD[1]]
    results = list(sandbox.map(items))
    sandbox.close()
    assert not any(isinstance(r, ImageError) for r in results)


def test_a_bug_is_raised_in_its_place_with_its_traceback(sandbox: Sandbox) -> None:
    results = sandbox.map([*GOOD[:20], (b"!bug!!", "x"), *GOOD[20:]])
    assert [next(results) for _ in range(20)] == straight(GOOD[:20])
    with pytest.raises(SandboxBug, match=r"(?s)ZeroDivisionError: as marked.*in call"):
        next(results)
    assert list(sandbox.map(GOOD)) == straight(GOOD)


def test_an_abandoned_map_leaves_nothing_behind(sandbox: Sandbox) -> None:
    run = sandbox.map([*GOOD, *GOOD])
    next(run)
    run.close()
    assert list(sandbox.map(GOOD)) == straight(GOOD)


def test_an_error_of_the_source_is_the_callers(sandbox: Sandbox) -> None:
    def items() -> Iterator[tuple[bytes, str]]:
        yield from GOOD[:30]
        raise OSError("storage is away")

    with pytest.raises(OSError, match="storage is away"):
        list(sandbox.map(items()))
    assert list(sandbox.map(GOOD)) == straight(GOOD)


def test_large_items_pass(sandbox: Sandbox) -> None:
    big = np.random.default_rng(3).bytes(50 << 20)
    items = [(big, "a"), GOOD[0], (b"!segv!", "x"), (big[1:], "b"), (big, "c")]
    results = list(sandbox.map(items))
    assert [r for r in results if not isinstance(r, ImageError)] == straight(
        [item for item in items if item[1] != "x"]
    )
    assert isinstance(results[2], ImageError)


def test_a_consumer_that_dawdles_is_no_timeout(sandbox: Sandbox) -> None:
    results = []
    for result in sandbox.map(GOOD[:40]):
        if len(results) == 3:
            time.sleep(1.5 * QUICK.time_limit_seconds)
        results.append(result)
    assert results == straight(GOOD[:40])


def test_sick_factories_are_told() -> None:
    sandbox = Sandbox(Sick("raise"))
    with pytest.raises(SandboxBug, match=r"(?s)factory failed.*no weights"):
        list(sandbox.map(GOOD))
    sandbox.close()
    sandbox = Sandbox(Sick("die"))
    with pytest.raises(StorageError, match="SIGSEGV"):
        list(sandbox.map(GOOD))
    sandbox.close()


def test_results_are_data_only(sandbox: Sandbox) -> None:
    with pytest.raises(pickle.UnpicklingError, match="name it in result_types"):
        list(sandbox.map([(b"!type!", "a")]))
    trusting = Sandbox(Faulty(), result_types=[type(Path())])
    with pytest.raises(pickle.UnpicklingError):
        read_answers(pickle.dumps([(2, "ok", os.system)]))
    assert list(trusting.map([(b"!type!", "a")])) == [Path("a")]
    trusting.close()
    array = np.arange(6.0).reshape(2, 3)
    answers = read_answers(pickle.dumps([(2, "ok", {"a": array, "b": np.float32(2)})], protocol=5))
    np.testing.assert_array_equal(answers[0][2]["a"], array)


def test_surroundings_of_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1]).encode()
        plain = Sandbox(Surroundings())
        (seen,) = plain.map([(port, str(tmp_path / "plain"))])
        plain.close()
        isolated = Sandbox(Surroundings(), limits=Confinement(isolate=True))
        (apart,) = isolated.map([(port, str(tmp_path / "isolated"))])
        isolated.close()
    for facts in (seen, apart):
        assert "AWS_SECRET_ACCESS_KEY" not in facts["environment"]
        assert facts["environment"]["OMP_NUM_THREADS"] == "1"
        assert not {"ray", "torch", "pytest"} & set(facts["modules"])
        assert facts["core"] == 0
        assert facts["threads"] == 1
    assert seen["wrote"]
    assert not apart["wrote"]


def test_isolated_children_are_replaced(tmp_path: Path) -> None:
    limits = Confinement(isolate=True)
    sandbox = Sandbox(Surroundings(), limits=limits, images_per_process=4)
    pids = [r["pid"] for r in sandbox.map([(b"1", str(tmp_path / "x"))] * 10)]
    sandbox.close()
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [4, 4, 2]


def test_shared_sandboxes_are_kept_and_never_shared_at_once() -> None:
    with shared_sandbox(Faulty(), limits=QUICK) as first:
        list(first.map(GOOD[:1]))
        with shared_sandbox(Faulty(), limits=QUICK) as second:
            assert second is not first
            pids = {first.pid, second.pid}
    with shared_sandbox(Faulty(), limits=QUICK) as third:
        assert third.pid in pids


def test_a_thread_that_ends_takes_no_child_along() -> None:
    made: list[Sandbox] = []
    thread = threading.Thread(target=lambda: made.append(Sandbox(Faulty())))
    thread.start()
    thread.join()
    list(made[0].map(GOOD[:1]))
    pid = made[0].pid
    time.sleep(0.1)
    assert list(made[0].map(GOOD)) == straight(GOOD)
    assert made[0].pid == pid
    made[0].close()


PARENT = """
import sys, time
sys.path.insert(0, {root!r})
from cvdata.stages.isolation import Sandbox
from tests.stages.faulty import Faulty
sandbox = Sandbox(Faulty())
list(sandbox.map([(b"x", "y")]))
print(sandbox.pid, flush=True)
list(sandbox.map({items}))
time.sleep(1000)
"""


@pytest.mark.parametrize("items", ["[]", "[(b'!hang!', 'x')]"], ids=["idle", "busy"])
def test_no_child_outlives_a_killed_parent(items: str) -> None:
    script = PARENT.format(root=str(ROOT), items=items)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        assert is_alive(pid)
        parent.kill()
    assert wait_until_dead(pid)
