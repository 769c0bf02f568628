"""Local files are whole or absent, and a short one of a power cut is not believed."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cvdata.durable import TEMP_PREFIX, put_content, put_new, settle
from cvdata.storage import Store, digest
from tests.conftest import ROOT

DATA = bytes(range(256)) * 64
NAME = digest(DATA)


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_content_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "a/b" / NAME
    put_content(path, DATA)
    settle(tmp_path)
    before = path.stat()
    put_content(path, DATA)
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert path.read_bytes() == DATA
    assert _names(tmp_path) == [NAME]


@pytest.mark.parametrize("left", [0, 1, len(DATA) - 1])
def test_what_a_power_cut_left_short_is_written_again(tmp_path: Path, left: int) -> None:
    path = tmp_path / NAME
    path.write_bytes(DATA[:left])
    put_content(path, DATA)
    assert path.read_bytes() == DATA
    assert _names(tmp_path) == [NAME]


def test_a_name_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    assert put_new(tmp_path / "x", b"one")
    assert not put_new(tmp_path / "x", b"two")
    assert (tmp_path / "x").read_bytes() == b"one"
    assert _names(tmp_path) == ["x"]


WRITE = (
    "import sys; from pathlib import Path; from cvdata.durable import put_content;"
    " put_content(Path(sys.argv[1]), bytes(100_000))"
)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    limit = 50_000
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path / "a" / "b")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert "OSError" in done.stderr
    assert _names(tmp_path) == []


def test_a_store_settles_where_nothing_was_written(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "not there"))
    store.settle()
    store.put_content(f"a/{NAME}", DATA)
    store.settle()
    assert store.get(f"a/{NAME}") == DATA
    assert not list(tmp_path.rglob(f"{TEMP_PREFIX}*"))
