"""Commands in sessions of their own, ended with kill -9, and nothing of theirs left at work."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from tests.conftest import ROOT

IS_FULL = os.environ.get("CVDATA_CHAOS") == "full"
PATIENCE = 1800.0 if IS_FULL else 300.0
"""Seconds until a killed run's processes must be gone; much, for machines that do other work."""

AS_NICE = {"RAY_worker_niceness": "0"}
"""Workers as nice as their driver: Ray's own 15 more leaves them nothing on a busy machine."""

AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Ray's own: they hold no work, and end themselves a minute or so after their node is gone."""


def start(*words: object, env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """`cvdata WORDS` in a session of its own."""
    script = "import sys; from cvdata.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        cwd=ROOT,
        env={**(env or os.environ), **AS_NICE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(*words: object, env: dict[str, str] | None = None) -> float:
    """Run to the end; seconds."""
    started = time.monotonic()
    process = start(*words, env=env)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 3), error.decode()[-3000:]
    return time.monotonic() - started


def processes_of(session: int) -> list[psutil.Process]:
    """The living processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def nothing_outlives(session: int) -> None:
    """Fails where a killed run leaves something behind that could still write."""
    deadline = time.monotonic() + PATIENCE
    while (left := _working(session)) and time.monotonic() < deadline:
        time.sleep(0.2)
    names = [p.name() for p in left]
    for process in processes_of(session):
        process.kill()
    assert not left, f"these outlive a killed driver: {names}"


def _working(session: int) -> list[psutil.Process]:
    found = []
    for process in processes_of(session):
        try:
            if not " ".join(process.cmdline()).startswith(AGENTS):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def is_worker(process: psutil.Process) -> bool:
    """Whether it computes: a worker of Ray or the sandbox of one."""
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    return line.startswith(("ray::Map", "ray::_MapWorker")) or "isolation_child" in line


def ended(process: psutil.Process) -> bool:
    """kill -9; whether it was still there."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


@dataclass(frozen=True)
class Trial:
    """A command that is killed again and again, and what must be there once it has ended.

    `prepare(number)` makes a fresh folder, `command(folder)` is what runs there, `state(folder)`
    what must not differ from `wanted`. A command lasts about `seconds`.
    """

    name: str
    prepare: Callable[[int], Path]
    command: Callable[[Path], tuple[object, ...]]
    state: Callable[[Path], object]
    wanted: object
    seconds: float
    env: dict[str, str] | None = None

    def kill(self, times: int) -> None:
        """Kill so often, at random moments; a run that was faster is compared, and begun anew."""
        rng = Random(f"{self.name} {times}")
        n_killed = n_ended = 0
        folder = self.prepare(0)
        while n_killed < times:
            process = start(*self.command(folder), env=self.env)
            time.sleep(rng.uniform(0.1, 1.0) * self.seconds)
            if process.poll() is None:
                process.kill()
                n_killed += 1
                if n_killed % 10 == 0:
                    print(f"{n_killed} of {times} killed: {self.name}", flush=True)
            _, error = process.communicate()
            nothing_outlives(process.pid)
            if process.returncode != -9:
                assert process.returncode in (0, 3), error.decode()[-3000:]
                assert self.state(folder) == self.wanted
                n_ended += 1
                folder = self.prepare(n_ended)
        finish(*self.command(folder), env=self.env)
        assert self.state(folder) == self.wanted
        print(
            f"{self.name}: {times} killed, {n_ended} runs had ended before: "
            "0 lost, 0 doubled, 0 changed",
            flush=True,
        )
