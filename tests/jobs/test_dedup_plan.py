"""What `dedup --dry-run` tells, held to what the run then writes and takes."""

import shutil
import subprocess
import sys
from collections import Counter, namedtuple
from pathlib import Path

import pyarrow as pa
import pytest

from cvdata.runs import hash_search
from cvdata.sample import Truth
from cvdata.storage import Store
from cvdata.workspace import Workspace
from jobs import dedup
from tests.conftest import ROOT
from tests.jobs.flows import cvdata, make_photos

TILES = "tests.jobs.odd_models-Tiles"
SHUFFLE = ("--search", "shuffle", "--no-verify", "--fresh")


@pytest.fixture(scope="module")
def scanned(decided: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small sample, scanned: a copy, for these tests commit."""
    return Path(shutil.copytree(decided[0] / "w", tmp_path_factory.mktemp("plan") / "w"))


def _planned(where: Path, **options: object) -> dict[str, object]:
    config = dedup.Config.model_validate(
        {"workspace": str(where), "engine": "serial", "dry_run": True, **options}
    )
    return dict(dedup.run(config).numbers)


def _sent(where: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Counter[str]:
    """Rows that a run passes through `_tmp/`, by the folder of each shuffle, in order."""
    rows: Counter[str] = Counter()
    put = Store.put

    def noted(self: Store, relative: str, data: bytes) -> None:
        if relative.startswith("_tmp/"):
            rows[relative.split("/")[1]] += pa.ipc.open_file(data).read_all().num_rows
        put(self, relative, data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", noted)
        assert cvdata("dedup", "--workspace", where, *SHUFFLE, *words) == 0
    return rows


@pytest.mark.parametrize("column", ["phash", "dhash"])
def test_a_shuffle_writes_what_was_told(
    scanned: Path, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _planned(scanned, search="shuffle", hash=column, verify=False)["shuffle_bytes"]
    sent = _sent(scanned, monkeypatch, "--hash", column)
    assert list(told) == ["perceptual", "dihedral"]  # type: ignore[call-overload]
    assert [n * 9 for n in sent.values()] == list(told.values())  # type: ignore[attr-defined]
    assert min(sent.values()) > 200, "a hash is sent at least once"
    assert list(Store(str(scanned)).list("_tmp")) == [], "nothing stays behind"


def test_a_sample_tells_of_all(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _planned(scanned, search="shuffle")["shuffle_bytes"]
    monkeypatch.setattr(hash_search, "SAMPLE_ROWS", 150)
    found = _planned(scanned, search="shuffle")["shuffle_bytes"]
    for method, n_bytes in whole.items():  # type: ignore[attr-defined]
        assert found[method] == pytest.approx(n_bytes, rel=0.3)  # type: ignore[index]


def test_the_plan_says_it_and_writes_nothing(
    scanned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = Workspace(str(scanned)).head.seq
    assert cvdata("dedup", "--workspace", scanned, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "nothing is shuffled: hashes are compared in one process" in out
    assert "about 0.4 GB of memory in one process" in out
    assert cvdata("dedup", "--workspace", scanned, "--dry-run", *SHUFFLE) == 0
    assert "shuffles through _tmp/ of the workspace" in capsys.readouterr().out
    assert Workspace(str(scanned)).head.seq == head


def test_memory_grows_with_images_and_embeddings(scanned: Path, tmp_path: Path) -> None:
    n = Workspace(str(scanned)).tables()["records"]
    assert _planned(scanned, methods=["perceptual"])["memory_bytes"] == 400_000_000 + 600 * n
    make_photos(tmp_path / "photos", range(5))
    cvdata("ingest", tmp_path / "photos", "--workspace", tmp_path / "w")
    cvdata("scan", "--workspace", tmp_path / "w", "--measures", "file,geometry")
    cvdata("infer", "--workspace", tmp_path / "w", "--model", "tests.jobs.odd_models:Tiles")
    more = _planned(tmp_path / "w", methods=["semantic"], embeddings=TILES, threshold=0.9)
    assert more["memory_bytes"] == 400_000_000 + 5 * (600 + 3 * 4 * 12)


MEASURED = """
import re, sys
from pathlib import Path
from cvdata.cli import main
code = main(["dedup", "--workspace", sys.argv[1], "--engine", "serial", "--fresh", "--no-verify"])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(code, int(peak[1]) * 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_the_memory_of_few_images_is_that_of_the_process(scanned: Path) -> None:
    told = _planned(scanned)["memory_bytes"]
    command = [sys.executable, "-c", MEASURED, str(scanned)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    code, took = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert 0.5 < int(took) / told < 1.5  # type: ignore[operator]


def test_a_shuffle_without_room_is_refused(
    scanned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**12, 10**12 - 10**6, 10**6))
    head = Workspace(str(scanned)).head.seq
    for more, what in ((("--dry-run",), "the largest shuffle needs"), ((), "the shuffle of phash")):
        assert cvdata("dedup", "--workspace", scanned, *SHUFFLE, *more) == 2
        assert what in capsys.readouterr().err
    assert Workspace(str(scanned)).head.seq == head
    assert cvdata("dedup", "--workspace", scanned, "--no-verify", "--fresh") == 0, "in one process"
