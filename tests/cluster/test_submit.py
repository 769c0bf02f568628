"""`cvdata submit` to a head on loopback, data and workspace in a bucket."""

import ipaddress
import json
import shutil
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
from cvdata.sample import make_sample
from cvdata.workspace import Workspace
from tests.cluster.conftest import Head
from tests.conftest import ROOT
from tests.jobs.flows import cvdata
from tests.objectstore.buckets import facts, make_photos, upload
from tests.objectstore.conftest import CREDENTIALS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

FLAGS = ("--source-name", "photos", "--chunk-rows", "8", "--max-error-rate", "0.5")
QUICK = ("--measures", "file,geometry,pixel_digest,phash,sharpness", "--skip", "outliers")
"""Few kernels to compile: code that has just been sent has no machine code beside it."""


def _submit(head: Head, *args: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "cvdata.cli", "submit", "--address", head.url, *args]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=head.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _run(head: Head, *args: str) -> tuple[int, str]:
    process = _submit(head, *args)
    said, _ = process.communicate(timeout=800)
    return process.returncode, said


def _locally(photos: Path, where: Path, *options: str) -> None:
    command = [sys.executable, "-m", "cvdata.cli", "curate", *FLAGS, *options, str(photos)]
    subprocess.run(
        [*command, "--engine", "serial", "--workspace", str(where)],
        cwd=ROOT,
        capture_output=True,
        timeout=600,
    )


def _stop_midway(head: Head, order: list[str], where: str) -> str:
    """Submit, wait for the first commit, stop: the submission id."""
    code, said = _run(head, "--detach", *order)
    assert code == 0, said
    submission = said.split()[-1]
    assert submission == Order(order[0], tuple(order[1:])).submission_id
    deadline = time.monotonic() + 120
    while not Workspace(where).log.numbers() and time.monotonic() < deadline:
        time.sleep(0.2)
    code, said = _run(head, "--stop", submission)
    assert code == 0, said
    assert "stopped" in said, "it was in the midst of it"
    return submission


def _measured(where: str) -> list[tuple[str, ...]]:
    columns = ["image_id", "sha256", "width", "error"]
    return sorted(
        tuple(map(str, r.values())) for r in Workspace(where).read("measures", columns).to_pylist()
    )


def test_a_job_is_sent_once_followed_and_answered(
    ray_head: Head, bucket: str, tmp_path: Path
) -> None:
    """Sent, sent again while it runs, followed to its end, asked for afterwards."""
    upload(make_photos(tmp_path / "photos", n=24), "in")
    for name in ("here", "there"):
        assert cvdata("ingest", f"{bucket}/in", "--workspace", f"{bucket}/{name}") == 0
    quick = ("--measures", "file,geometry", "--chunk-rows", "8", "--max-error-rate", "0.5")
    assert cvdata("scan", "--workspace", f"{bucket}/here", *quick) in (0, 3)
    config = tmp_path / "scan.yaml"
    config.write_text("measures: [file, geometry]\nmax_error_rate: 0.5\nwarn_error_rate: 0.01\n")
    order = ["scan", "--workspace", f"{bucket}/there", "--config", str(config), "--chunk-rows", "8"]
    code, said = _run(ray_head, "--detach", *order)
    assert code == 0, said
    submission = said.split()[-1]
    code, said = _run(ray_head, *order)
    assert code == 3, f"two of 27 images are none: the job's own exit code: {said}"
    assert f"submitted {submission}, see {ray_head.url}/#/jobs/{submission}" in said
    assert "measures: 27 of 27 images" in said, "progress is followed"
    assert f"Ray's dashboard: {ray_head.url}" in said
    assert _measured(f"{bucket}/there") == _measured(f"{bucket}/here")
    assert [c.job for c in Workspace(f"{bucket}/there").commits()] == ["ingest", "scan"]
    code, said = _run(ray_head, "--status", "all")
    assert code == 0
    scans = [line for line in said.splitlines() if line.startswith("cvdata-scan-")]
    assert scans == [f"{submission}  failed  exit code 3"], "it was joined and not sent again"


@pytest.mark.slow
def test_a_submitted_job_is_stopped_and_sent_again_and_ends_as_a_local_one(
    ray_head: Head, bucket: str, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "photos", n=40)
    upload(photos, "in")
    out = f"{bucket}/out"
    order = ["curate", *FLAGS, *QUICK, f"{bucket}/in", "--workspace", out]
    submission = _stop_midway(ray_head, order, out)
    assert "report" not in Workspace(out).head.artifacts, "it was not done"
    code, said = _run(ray_head, *order)
    assert code in (0, 3), said
    assert "report:" in said, "the log is followed"
    _locally(photos, tmp_path / "w", *QUICK)
    assert facts(out) == facts(str(tmp_path / "w"))
    assert Workspace(out).verify() == []
    code, said = _run(ray_head, "--status", submission)
    assert code == 0
    assert "exit code" in said
    code, said = _run(ray_head, "eda", "--workspace", f"{bucket}/nothing")
    assert code == 2, f"the job's own exit code: {said}"
    assert "has no measures yet: run `cvdata scan" in said


@pytest.mark.slow
def test_the_sample_with_every_measure_ends_as_a_local_run(
    ray_head: Head, bucket: str, tmp_path: Path
) -> None:
    make_sample(tmp_path / "photos", size="small")
    for path in list(tmp_path.rglob("*")):
        if path.is_symlink() or not str(path).isprintable():
            path.unlink()  # a bucket has no links; boto wants UTF-8, moto no line breaks
    upload(tmp_path / "photos", "in")
    out = f"{bucket}/out"
    order = ["curate", *FLAGS, f"{bucket}/in", "--workspace", out, "--workers", "2"]
    _stop_midway(ray_head, order, out)
    code, said = _run(ray_head, *order)
    assert code in (0, 3), said
    _locally(tmp_path / "photos", tmp_path / "w")
    assert facts(out) == facts(str(tmp_path / "w"))
    code, said = _run(ray_head, "--status", "all")
    assert code == 0
    assert Order(order[0], tuple(order[1:])).submission_id in said


@pytest.mark.slow
def test_rays_own_submission_is_the_same(ray_head: Head, bucket: str, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", n=24)
    upload(photos, "in")
    for package in ("cvdata", "jobs"):
        skipped = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / "code" / package, ignore=skipped)
    ray = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", ray_head.url]
    job = ["python", "-m", "jobs.curate", *FLAGS, *QUICK, f"{bucket}/in"]
    done = subprocess.run(
        [*ray, "--working-dir", str(tmp_path / "code"), "--", *job, "--workspace", f"{bucket}/out"],
        env=ray_head.environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    _locally(photos, tmp_path / "w", *QUICK)
    assert facts(f"{bucket}/out") == facts(str(tmp_path / "w")), done.stdout[-3000:]


def test_credentials_are_in_no_log_of_the_cluster(ray_head: Head) -> None:
    """After the jobs above, which had them from the node's environment."""
    logs = [path for path in ray_head.folder.rglob("*") if path.is_file() and "logs" in path.parts]
    assert any("job-driver" in path.name for path in logs), "jobs ran"
    secret = CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode()
    assert [path.name for path in logs if secret in path.read_bytes()] == []


def test_an_unknown_job_is_refused_before_anything_is_sent(ray_head: Head) -> None:
    code, said = _run(ray_head, "no-such-job")
    assert code == 2
    assert "unknown job" in said


@pytest.mark.parametrize("token", ["", "0" * 64], ids=["none", "wrong"])
def test_without_the_token_nothing_is_answered(ray_head: Head, token: str) -> None:
    body = json.dumps({"entrypoint": "true"}).encode()
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(  # noqa: S310
        f"{ray_head.url}/api/jobs/",
        data=body,
        headers={"Content-Type": "application/json", **shown},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)  # noqa: S310
    assert refused.value.code in (401, 403)


def test_the_token_is_left_to_its_owner(ray_head: Head) -> None:
    path = Path(ray_head.environment["RAY_AUTH_TOKEN_PATH"])
    path.chmod(0o644)  # as Ray itself leaves it
    _run(ray_head, "--status", "all")
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
