"""How items are handed to tasks."""

import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvdata.engine.session import MAX_ITEMS_PER_TASK, guided, overlapped
from tests.conftest import ROOT


@given(st.integers(0, 3000), st.integers(1, 80))
def test_every_item_is_in_one_task_and_the_last_tasks_are_small(n: int, workers: int) -> None:
    slices = list(guided(n, workers))
    assert [i for start, end in slices for i in range(start, end)] == list(range(n))
    sizes = [end - start for start, end in slices]
    assert sizes == sorted(sizes, reverse=True)
    assert not sizes or max(sizes) <= MAX_ITEMS_PER_TASK
    # no worker waits at the end for more than one item of another
    assert workers == 1 or sizes[-workers:] == [1] * min(workers, n)


def test_few_items_are_a_task_each() -> None:
    assert list(guided(3, 2)) == [(0, 1), (1, 2), (2, 3)]


FAULTS = """
import resource, sys
from cvdata.engine.allocator import keep_freed_memory
is_told = keep_freed_memory() if sys.argv[1] == "keep" else False
def work():
    for _ in range(200):
        files = [bytes(110_000) for _ in range(16)]
        del files
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(int(is_told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(mode: str) -> tuple[bool, int]:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, mode], cwd=ROOT, capture_output=True, text=True, check=True
    )
    is_told, faults = done.stdout.split()
    return is_told == "1", int(faults)


def test_freed_memory_is_not_taken_from_the_kernel_again() -> None:
    is_told, kept = _page_faults("keep")
    if not is_told:
        pytest.skip("the C library cannot be told")
    assert kept < 200, "3,200 files of 27 pages were read into memory that was there"
    assert kept * 10 < _page_faults("default")[1]


@dataclass
class Doubling:
    """Two steps that say when they ran."""

    log: list[str] = field(default_factory=list)
    fails_at: int = -1

    def compute(self, item: int) -> int:
        self.log.append(f"compute {item}")
        return item

    def write(self, computed: int) -> int:
        if computed == self.fails_at:
            raise ValueError(f"cannot write {computed}")
        self.log.append(f"write {computed}")
        return 2 * computed


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_overlapped_work_gives_the_results_of_a_loop_in_order(n: int) -> None:
    work = Doubling()
    assert list(overlapped(work, range(n))) == [2 * i for i in range(n)]
    assert [line for line in work.log if "compute" in line] == [f"compute {i}" for i in range(n)]
    assert [line for line in work.log if "write" in line] == [f"write {i}" for i in range(n)]


def test_what_fails_to_be_written_stops_the_work() -> None:
    work = Doubling(fails_at=2)
    with pytest.raises(ValueError, match="cannot write 2"):
        list(overlapped(work, range(100)))
    assert "compute 10" not in work.log
