"""What is sent to a cluster, what of it is refused here, and which exit code comes back."""

import os
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cvdata import submit
from cvdata.cli import JOBS
from cvdata.engine.auth import ensure_token, protect_token
from cvdata.engine.submission import JobState, Order, entrypoint, exit_code, packed
from cvdata.errors import ConfigError, RunInterrupted
from tests.conftest import ROOT

AWKWARD = ("--where", "a b", "$(id)", "; rm -rf /", "it's", "ü\n", "")


def _order(*arguments: str, job: str = "scan") -> Order:
    return Order(job, arguments)


def test_the_same_order_has_the_same_id_and_no_other_has_it() -> None:
    orders = [
        _order(),
        _order("a"),
        _order("a", "b"),
        _order("b", "a"),
        _order("a b"),
        _order("ab"),
    ]
    orders.append(_order("a", job="eda"))
    ids = [order.submission_id for order in orders]
    assert len(set(ids)) == len(ids)
    assert _order("a", "b").submission_id == ids[2]
    assert ids[0].startswith("cvdata-scan-")
    assert all(part.isalnum() for one in ids for part in one.split("-"))


def test_another_config_or_environment_is_another_order(tmp_path: Path) -> None:
    """Else an edited config would join the run of the old one."""
    config = tmp_path / "scan.yaml"
    ids = [Order("scan", environment=found).submission_id for found in ({}, {"A": "1"}, {"A": "2"})]
    for text in ("chunk_rows: 8", "chunk_rows: 9"):
        config.write_text(text)
        ids.append(_order("--config", str(config)).submission_id)
    assert len(set(ids)) == 5
    assert _order("--config", str(config)).submission_id == ids[-1]


def test_arguments_reach_the_job_as_they_are() -> None:
    words = shlex.split(entrypoint("scan", AWKWARD))
    assert words == ["python", "-m", "cvdata.cli", "scan", *AWKWARD]
    show = "import sys; sys.stdout.buffer.write('\\0'.join(sys.argv[1:]).encode())"
    line = entrypoint("scan", AWKWARD).replace("python -m cvdata.cli", '"$0" -c "$1"', 1)
    done = subprocess.run(["sh", "-c", line, sys.executable, show], capture_output=True, check=True)
    assert done.stdout.decode().split("\0") == ["scan", *AWKWARD]


def _files(folder: Path) -> set[str]:
    """What a package holds, without what Python and numba keep beside it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)) for p in found if "__pycache__" not in p.parts}


@pytest.mark.parametrize("form", ["--config={}", "--config {}"])
def test_the_code_and_the_config_are_sent_and_nothing_else(tmp_path: Path, form: str) -> None:
    config = tmp_path / "my scan.yaml"
    config.write_text("chunk_rows: 8\n")
    given = form.replace("{}", "\0").split(" ")
    words = [word.replace("\0", str(config)) for word in given]
    with packed(_order("--workspace", "s3://b/w", *words)) as (folder, arguments):
        assert {path.name for path in folder.iterdir()} == {"cvdata", "jobs", "submitted.yaml"}
        for package in ("cvdata", "jobs"):
            assert _files(folder / package) == _files(ROOT / package)
        assert (folder / "submitted.yaml").read_text() == config.read_text()
        told = " ".join(arguments).replace("=", " ")
        assert told == "--workspace s3://b/w --config submitted.yaml"
    assert not folder.exists()


@pytest.mark.parametrize("code", range(10))
def test_the_jobs_exit_code_is_ours(code: int) -> None:
    status = "FAILED" if code else "SUCCEEDED"
    assert exit_code(JobState("one", status, exit_code=code)) == code


@pytest.mark.parametrize(
    "state", [JobState("one", "STOPPED", exit_code=0), JobState("one", "FAILED", "lost its node")]
)
def test_a_job_that_did_not_end_by_itself_is_resumable(state: JobState) -> None:
    with pytest.raises(RunInterrupted, match="submit the same command again") as error:
        exit_code(state)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "which job"),
        (("--detach",), "which job"),
        (("scann", "--workspace", "w"), "unknown job 'scann'"),
        (("--address", "http://127.0.0.1:9", "--env", "A=b", "--detach", "nothing"), "unknown job"),
        (("--stop", "one", "scan"), "take a submission id, and no job"),
        (("--status=one", "scan", "--detach"), "take a submission id, and no job"),
        (("scan", "--config", "no-such.yaml"), "there is no file no-such.yaml"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anybody_is_asked(
    words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        submit.run(words, JOBS)


def test_a_cluster_that_does_not_answer_is_told_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match="no Ray cluster answers at") as error:
            submit.run(("--address", url, "scan", "--workspace", "w"), JOBS)
    assert "ray dashboard cluster.yaml" in str(error.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token, and an environment that names none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray/auth_token"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_is_made_for_its_owner_alone(home: Path) -> None:
    before = os.umask(0)
    try:
        ensure_token()
    finally:
        os.umask(before)
    token = home.read_text()
    assert (_mode(home), _mode(home.parent)) == (0o600, 0o700)
    assert len(bytes.fromhex(token)) == 32
    assert [path.name for path in home.parent.iterdir()] == ["auth_token"]
    home.chmod(0o644)
    ensure_token()
    assert (home.read_text(), _mode(home)) == (token, 0o600)


def test_no_token_is_made_where_none_is_wanted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ensure_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "given")
    ensure_token()
    assert not home.parent.exists()
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "one"))
    ensure_token()
    assert _mode(tmp_path / "one") == 0o600
    assert not home.exists()


EMBEDDED = """
import os
os.umask(0o022)
from cvdata.engine.session import EngineConfig, Session
with Session(EngineConfig("ray", workers=2, object_store_bytes=128 << 20)) as session:
    session.start()
    print(os.environ["RAY_AUTH_MODE"])
"""


def test_an_embedded_ray_is_guarded_by_a_token_that_others_cannot_read(home: Path) -> None:
    """Ray makes one where there is none, and would leave it to everybody."""
    environment = {**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["token"]
    assert _mode(home) == 0o600
