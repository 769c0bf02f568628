"""A fault at every storage operation in turn; disk full; each followed by a clean re-run."""

import itertools
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cvdata.errors import CvdataError, StorageError
from cvdata.storage import Entry, Store
from cvdata.workspace import Workspace
from tests.conftest import ROOT
from tests.tables.flows import ingest, part_digests, rows_digest, run_stage

KEYS = [f"{i:05d}" + ("bad" if i % 50 == 7 else "") for i in range(300)]


class FaultyStore(Store):
    """Fails at operation number `at`: before it has its effect, or after (the answer is lost)."""

    def __init__(self, url: str, at: int, *, is_answer_lost: bool = False) -> None:
        super().__init__(url)
        self.at, self.is_answer_lost, self.n = at, is_answer_lost, 0

    def _count(self, after: bool) -> None:
        if after != self.is_answer_lost:
            return
        self.n += 1
        if self.n == self.at:
            raise StorageError(f"injected at operation {self.at}")

    def get(self, relative: str) -> bytes:
        self._count(after=False)
        data = super().get(relative)
        self._count(after=True)
        return data

    def exists(self, relative: str) -> bool:
        self._count(after=False)
        found = super().exists(relative)
        self._count(after=True)
        return found

    def put_new(self, relative: str, data: bytes) -> bool:
        self._count(after=False)
        done = super().put_new(relative, data)
        self._count(after=True)
        return done

    def list(self, prefix: str = "") -> Iterator[Entry]:
        self._count(after=False)
        yield from super().list(prefix)
        self._count(after=True)

    def delete(self, relative: str) -> None:
        self._count(after=False)
        super().delete(relative)
        self._count(after=True)


def _two_runs(workspace: Workspace) -> None:
    ingest(workspace, KEYS[:200])
    run_stage(workspace)
    ingest(workspace, KEYS)
    run_stage(workspace)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    workspace = Workspace(str(tmp_path_factory.mktemp("clean") / "w"))
    _two_runs(workspace)
    return rows_digest(workspace.read("lengths")), part_digests(workspace, "lengths")


@pytest.mark.parametrize("is_answer_lost", [False, True])
def test_a_fault_at_every_operation(
    tmp_path: Path, is_answer_lost: bool, expected: tuple[str, dict[str, str]]
) -> None:
    for at in itertools.count(1):
        url = str(tmp_path / f"w{at}")
        store = FaultyStore(url, at, is_answer_lost=is_answer_lost)
        try:
            _two_runs(Workspace(url, store=store))
        except CvdataError:
            pass
        else:
            break
        again = Workspace(url)
        _two_runs(again)
        assert rows_digest(again.read("lengths")) == expected[0], at
        assert part_digests(again, "lengths") == expected[1], at
        assert again.verify() == [], at
    assert at > 30, "the fault was never injected: the counter does not see the operations"


SCRIPT = """
import sys
from tests.tables.flows import ingest, run_stage
from cvdata.workspace import Workspace
from cvdata.errors import StorageError
workspace = Workspace(sys.argv[1])
keys = [f"{i:05d}" + ("bad" if i % 50 == 7 else "") for i in range(300)]
try:
    ingest(workspace, keys[:200]); run_stage(workspace)
    ingest(workspace, keys); run_stage(workspace)
except StorageError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def _run(url: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.mark.parametrize("limit", [1_000, 6_000, 12_000])
def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(
    tmp_path: Path, limit: int, expected: tuple[str, dict[str, str]]
) -> None:
    """A file size limit makes the kernel refuse writes as a full disk does."""
    url = str(tmp_path / "w")
    first = _run(
        url,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert first.returncode == 4, first.stdout + first.stderr
    assert "free some space" in first.stdout
    assert not list(Path(url).rglob(".tmp-*")), "a failed write leaves nothing behind"
    assert _run(url).returncode == 0
    workspace = Workspace(url)
    assert rows_digest(workspace.read("lengths")) == expected[0]
    assert part_digests(workspace, "lengths") == expected[1]
    assert workspace.verify() == []
