"""A Ray head on loopback with its Jobs API and a token, ended with the tests."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.objectstore.conftest import CREDENTIALS, bucket, s3_server
from tests.objectstore.server import S3Server

__all__ = ["bucket", "s3_server"]


@dataclass(frozen=True)
class Head:
    """A running head: where its dashboard is, and the environment of those who may use it."""

    url: str
    pids: frozenset[int]
    environment: dict[str, str]
    folder: Path
    """Where it writes its logs."""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def ray_head(
    tmp_path_factory: pytest.TempPathFactory,
    s3_server: S3Server,
) -> Iterator[Head]:
    """One node, whose environment knows the way to the bucket, as a role would on a cloud."""
    folder = tmp_path_factory.mktemp("head")
    token = folder / "auth_token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o644)  # as Ray itself leaves it
    temp = Path(tempfile.mkdtemp(prefix="rh", dir="/tmp"))  # sockets want a short path
    url = f"http://127.0.0.1:{(port := _free_port())}"
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_worker_niceness": "0",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    on_nodes = {**environment, **CREDENTIALS, "AWS_ENDPOINT_URL": s3_server.url}
    environment.pop("RAY_ADDRESS", None)
    before = {p.pid for p in psutil.process_iter()}
    ray = [str(Path(sys.executable).with_name("ray"))]
    start = ["start", "--head", f"--port={_free_port()}", f"--temp-dir={temp}", "--num-cpus=2"]
    start += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"]
    start += [f"--dashboard-port={port}", f"--object-store-memory={128 * 1024**2}"]
    # Any other Ray of this machine, an embedded one too, holds the agent's usual port; a head whose
    # agent finds it taken takes no jobs.
    start += [f"--dashboard-agent-listen-port={_free_port()}"]
    subprocess.run(ray + start, env=on_nodes, check=True, capture_output=True, timeout=120)
    _wait_for(url)
    mine = [p for p in psutil.process_iter() if p.pid not in before and _is_of(p, str(temp))]
    yield Head(url, frozenset(p.pid for p in mine), environment, temp)
    for process in psutil.process_iter():
        if process.pid not in before and _is_of(process, str(temp)):
            for child in [*process.children(recursive=True), process]:
                with_suppressed_kill(child)
    shutil.rmtree(temp, ignore_errors=True)


def _is_of(process: psutil.Process, temp: str) -> bool:
    """Whether the process belongs to the Ray of this folder: it names it, or its session."""
    try:
        return temp in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def with_suppressed_kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/api/version", timeout=2)  # noqa: S310
            return
        except urllib.error.HTTPError:
            return  # it answers, if only to refuse
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"no dashboard at {url}")
