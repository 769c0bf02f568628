"""Listing costs little time and memory a file: the benchmark's law, scaled down."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.bench_ingest import make_tree, measure

N_FOLDERS, N_FILES = 50, 1_000


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    make_tree(root, N_FOLDERS, N_FILES)
    return root


def test_a_million_files_would_take_less_than_a_minute(tree: Path) -> None:
    fastest = min(measure(str(tree)).seconds for _ in range(2))
    # 60 s a million is the promise, half of it left to the writer
    assert fastest / (N_FOLDERS * N_FILES) < 30e-6


def test_memory_does_not_grow_with_the_number_of_files(tree: Path) -> None:
    code = (
        "import sys, tests.benchmarks.bench_ingest as b;"
        "print(b.measure(sys.argv[1], limit=int(sys.argv[2])).peak_mb)"
    )

    def peak(limit: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tree), str(limit)],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return float(done.stdout)

    first_table, whole = peak(1), peak(N_FOLDERS * N_FILES)
    # 17,000 more entries and their columns held would be 8 MB
    assert whole - first_table < 6
