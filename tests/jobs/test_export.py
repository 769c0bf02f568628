"""export: the same bytes however it is run, nothing lost, nothing overwritten, all of it told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from cvdata import Workspace
from cvdata.engine.session import Session
from cvdata.runs.export_task import STATE
from tests.conftest import ROOT
from tests.jobs.exporting import boxed_workspace, export, told, tree

SHARDED, FILES = "webdataset", "yolo"


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of 60 images with boxes in two splits, and three without a label file."""
    return boxed_workspace(tmp_path_factory.mktemp("boxed"))


@pytest.fixture(scope="module")
def expected(boxed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What a serial run writes, by format."""
    found = {}
    for kind in (SHARDED, FILES):
        to = tmp_path_factory.mktemp("expected") / kind
        assert export(boxed, to, kind, "--shard-rows", "8") == 0
        found[kind] = tree(to)
    return found


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        (SHARDED, 2),
        (FILES, 4),
        pytest.param(FILES, 1, marks=pytest.mark.slow),
        pytest.param(SHARDED, 4, marks=pytest.mark.slow),
    ],
)
def test_the_same_bytes_on_ray(
    kind: str,
    workers: int,
    boxed: Path,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
    ray_up: None,
) -> None:
    words = ("--shard-rows", "8", "--workers", workers)
    assert export(boxed, tmp_path / "out", kind, *words, engine="ray") == 0
    assert tree(tmp_path / "out") == expected[kind]


def test_the_same_bytes_in_any_order_of_chunks(
    boxed: Path,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session hands chunks out backwards; results come back in that order."""
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda self, work, items, *a: run(self, work, items[::-1]))
    assert export(boxed, tmp_path / "out", FILES, "--shard-rows", "8") == 0
    assert tree(tmp_path / "out") == expected[FILES]


def test_the_same_bytes_from_another_order_of_ingest(
    boxed: Path, expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    """Compaction rewrites the parts; what is exported does not depend on them."""
    assert export(boxed, tmp_path / "out", FILES, "--shard-rows", "8") == 0
    records = Workspace(str(boxed)).read("records")
    workspace = Workspace(str(tmp_path / "w"))
    order = np.random.default_rng(1).permutation(len(records))
    halves = [records.take(pa.array(order[:25])), records.take(pa.array(order[25:]))]
    with workspace.change("ingest", {}) as change:
        change.replace("records", halves, records.schema)
    assert export(tmp_path / "w", tmp_path / "again", FILES, "--shard-rows", "60") == 0
    ours = {k: v for k, v in tree(tmp_path / "again").items() if "/" in k}
    assert ours == {k: v for k, v in expected[FILES].items() if "/" in k}


@pytest.mark.parametrize("kind", [SHARDED, FILES])
def test_killed_and_run_again_is_the_same(
    kind: str, boxed: Path, expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    """SIGKILL after some chunks: they are found, one that lost a file is done anew."""
    to = tmp_path / "out"
    words = ["--workspace", str(boxed), "--to", str(to), "--format", kind]
    slow = (
        "import sys, time; from cvdata.runs.export_task import ExportTask as T; call = T.__call__\n"
        "T.__call__ = lambda self, chunk: (time.sleep(0.3), call(self, chunk))[1]\n"
        "from cvdata.cli import main; main(sys.argv[1:])"
    )
    argv = [sys.executable, "-c", slow, "export", *words, "--shard-rows", "8", "--engine", "serial"]
    child = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(to.glob(f"{STATE}/*.parquet"))) < 3:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (to / "export.json").exists(), "not whole yet"
    lost = next(to.glob("*.tar" if kind == SHARDED else "images/*/*.jpg"))
    lost.write_bytes(b"cut")
    assert export(boxed, to, kind, "--shard-rows", "8") == 0
    assert tree(to) == expected[kind]
    assert not (to / STATE).exists()


def test_what_is_whole_is_not_written_again(
    boxed: Path,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = tmp_path / "out"
    assert export(boxed, to, FILES, "--shard-rows", "8") == 0
    before = {p: p.stat().st_mtime_ns for p in to.rglob("*")}
    assert export(boxed, to, FILES, "--shard-rows", "8") == 0
    assert "holds this very export already" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in to.rglob("*")} == before
    assert tree(to) == expected[FILES]


def test_targets_of_others_are_refused(
    boxed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "out"
    to.mkdir()
    (to / "mine.txt").write_text("keep me")
    for words in ((), ("--replace",)):
        assert export(boxed, to, "coco", *words) == 2
        assert "no export of cvdata is in it" in capsys.readouterr().err
    assert [p.name for p in to.iterdir()] == ["mine.txt"]
    assert export(boxed, boxed / "out", "coco") == 2
    assert "lies in the workspace" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert export(boxed, tmp_path / "file", "coco") == 2
    assert "is a file" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "export.json").write_text('{"made_by": "somebody"}')
    assert export(boxed, other, "coco", "--replace") == 2
    assert "another program's" in capsys.readouterr().err


def test_another_plan_needs_replace(
    boxed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "out"
    assert export(boxed, to, "coco") == 0
    assert export(boxed, to, "yolo") == 2
    assert "--replace" in capsys.readouterr().err
    assert export(boxed, to, "yolo", "--replace") == 0
    fresh = tmp_path / "fresh"
    assert export(boxed, fresh, "yolo") == 0
    assert tree(to) == tree(fresh), "nothing of the earlier one is left"


def test_every_file_is_in_the_checksums(boxed: Path, tmp_path: Path) -> None:
    for kind in ("coco", "parquet"):
        to = tmp_path / kind
        assert export(boxed, to, kind) == 0
        lines = (to / "SHA256SUMS").read_text().splitlines()
        sums = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
        found = tree(to)
        assert told(to)["checksums"] == found.pop("SHA256SUMS")
        del found["export.json"]
        assert sums == found
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=to, check=True)


def test_a_remote_target_is_the_same(
    boxed: Path, expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    fs = fsspec.filesystem("memory")
    for kind in (SHARDED, FILES):
        assert export(boxed, f"memory://bucket/{kind}", kind, "--shard-rows", "8") == 0
        fs.get(f"/bucket/{kind}/", f"{tmp_path}/{kind}/", recursive=True)
        assert tree(tmp_path / kind) == expected[kind]
        assert export(boxed, f"memory://bucket/{kind}", "coco") == 2
    fs.rm("/bucket", recursive=True)


def test_a_dry_run_changes_nothing(
    boxed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(boxed, tmp_path / "out", "coco", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "plan: 60 of 60 images as coco" in out
    assert "target: fresh" in out
    assert not (tmp_path / "out").exists()
