"""`cvdata … | head`: who reads no further is not told of it by a traceback."""

import os
import subprocess
import sys
from pathlib import Path

from tests.jobs.flows import cvdata, make_photos


def unread(*words: object) -> subprocess.CompletedProcess[str]:
    """A command whose output goes into a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from cvdata.cli import main; sys.exit(main(sys.argv[1:]))"
    try:
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=240,
        )  # fmt: skip
    finally:
        os.close(writing)


def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", range(2))
    where = ("--workspace", tmp_path / "w")
    assert cvdata("ingest", tmp_path / "photos", *where) == 0
    for words in (("--help",), ("decide", *where, "--explain", "00001.jpg")):
        done = unread(*words)
        assert done.returncode == 141, words
        assert not done.stderr
