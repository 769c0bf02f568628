"""`cvdata submit` to a head on loopback, data and workspace in a bucket."""

import ipaddress
import json
import os
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from cvdata.engine.submission import Order
from cvdata.workspace import Workspace
from tests.cluster.conftest import Head
from tests.conftest import ROOT
from tests.objectstore.conftest import bucket, s3_server  # noqa: F401
from tests.objectstore.test_jobs import _facts, _upload, make_photos

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.timeout(600)]


def _submit(head: Head, *args: str) -> "subprocess.Popen[str]":
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
    env = [word for n in names if n in os.environ for word in ("--env", f"{n}={os.environ[n]}")]
    command = [sys.executable, "-m", "cvdata.cli", "submit", "--address", head.url, *env, *args]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**head.environment, **{n: os.environ[n] for n in names if n in os.environ}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _run(head: Head, *args: str) -> tuple[int, str]:
    process = _submit(head, *args)
    said, _ = process.communicate(timeout=400)
    return process.returncode, said


@pytest.fixture
def in_bucket(bucket: str, tmp_path: Path) -> tuple[str, Path]:  # noqa: F811
    """A bucket with the photos below `in/`, and the same photos in a folder."""
    photos = make_photos(tmp_path / "photos", n=60)
    _upload(photos, "in")
    return bucket, photos


JOB = ["curate", "--source-name", "photos", "--chunk-rows", "16", "--workers", "2"]


def test_a_submitted_job_ends_as_a_local_one_and_joins_and_resumes(
    ray_head: Head, in_bucket: tuple[str, Path], tmp_path: Path
) -> None:
    where, photos = in_bucket
    order = [*JOB, f"{where}/in", "--workspace", f"{where}/out"]
    first = _submit(ray_head, "--detach", *order)
    said, _ = first.communicate(timeout=200)
    assert first.returncode == 0, said
    submission = said.split()[-1]
    assert submission == Order(order[0], tuple(order[1:])).submission_id
    deadline = time.monotonic() + 60
    while not Workspace(f"{where}/out").log.numbers() and time.monotonic() < deadline:
        time.sleep(0.5)
    code, said = _run(ray_head, "--stop", submission)
    assert code == 0, said
    assert "stopped" in said or "succeeded" in said
    code, said = _run(ray_head, *order)
    assert code in (0, 3), said
    assert "report:" in said, "the log is followed"
    local = [sys.executable, "-m", "cvdata.cli", *JOB, str(photos), "--engine", "serial"]
    subprocess.run([*local, "--workspace", str(tmp_path / "w")], cwd=ROOT, capture_output=True)
    assert _facts(f"{where}/out") == _facts(str(tmp_path / "w"))
    code, said = _run(ray_head, "--status", "all")
    assert submission in said


def test_the_exit_code_is_the_jobs(ray_head: Head, tmp_path: Path) -> None:
    code, said = _run(ray_head, "eda", "--workspace", str(tmp_path / "nothing"))
    assert code == 2, said
    code, said = _run(ray_head, "no-such-job")
    assert code == 2
    assert "unknown job" in said


def test_without_the_token_nothing_is_answered(ray_head: Head) -> None:
    body = json.dumps({"entrypoint": "true"}).encode()
    request = urllib.request.Request(  # noqa: S310
        f"{ray_head.url}/api/jobs/", data=body, headers={"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)  # noqa: S310
    assert refused.value.code in (401, 403)


def test_the_token_is_left_to_its_owner(ray_head: Head) -> None:
    _run(ray_head, "--status", "all")
    path = Path(ray_head.environment["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def test_nothing_but_loopback_listens(ray_head: Head) -> None:
    open_to = {
        c.laddr
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.pid in ray_head.pids
    }
    assert open_to, "the head listens somewhere"
    assert all(_is_loopback(where.ip) for where in open_to), sorted(open_to)
