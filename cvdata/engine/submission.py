"""Jobs on a running cluster through Ray's Jobs API: send, follow, look after, stop."""

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cvdata.engine.auth import protect_token
from cvdata.errors import ConfigError, RunInterrupted

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
PACKAGES = ("cvdata", "jobs")
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_POLL_SECONDS, _AGENT_SECONDS = 0.5, 120.0
_NO_AGENT = (
    "no node of {address} takes jobs: its agents are not up. Where several Rays share the head's "
    "machine they want the same port: ray start --head --dashboard-agent-listen-port=0"
)


@dataclass(frozen=True)
class Order:
    """A job and its arguments, as `cvdata JOB ARGUMENTS` takes them, and its environment."""

    job: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """`ConfigError` where a config file is not there."""
        if missing := [path for path in self.configs.values() if not path.is_file()]:
            raise ConfigError(f"--config: there is no file {missing[0]}")

    @property
    def configs(self) -> dict[int, Path]:
        """Config files, by the argument that names them."""
        found = {}
        for at, value in enumerate(self.arguments):
            if value.startswith("--config=") or (at and self.arguments[at - 1] == "--config"):
                found[at] = Path(value.removeprefix("--config="))
        return found

    @property
    def submission_id(self) -> str:
        """The same for the same order: sending it twice does not run it twice."""
        hasher = hashlib.sha256(json.dumps([self.job, *self.arguments]).encode())
        if self.environment:
            hasher.update(json.dumps(dict(self.environment), sort_keys=True).encode())
        for path in self.configs.values():
            hasher.update(path.read_bytes())
        return f"cvdata-{self.job}-{hasher.hexdigest()[:12]}"


@dataclass(frozen=True)
class JobState:
    """What the cluster says of a job. `exit_code` is known once it has ended by itself."""

    submission_id: str
    status: str
    message: str = ""
    exit_code: int | None = None

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in _ENDED


@dataclass
class JobsClient:
    """The Jobs API at `address`: the dashboard's URL, through a tunnel where it is remote."""

    address: str = DEFAULT_ADDRESS
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        protect_token()
        from ray.job_submission import JobSubmissionClient

        try:
            self._client = JobSubmissionClient(self.address)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"no Ray cluster answers at {self.address}: start one (`ray up cluster.yaml`), "
                f"open the tunnel (`ray dashboard cluster.yaml`), or give --address. {error}"
            ) from error

    def state(self, submission_id: str) -> JobState:
        """Where the job is; `ConfigError` where the cluster does not know it."""
        try:
            info = self._client.get_job_info(submission_id)
        except RuntimeError as error:
            raise ConfigError(f"{self.address} knows no job {submission_id!r}: {error}") from error
        return _state(info)

    def page(self, state: JobState) -> str:
        """The job's page of Ray's dashboard: its log, tasks, actors, metrics."""
        return f"{self.address.rstrip('/')}/#/jobs/{state.submission_id}"

    def jobs(self) -> list[JobState]:
        """Every job that was submitted, newest first."""
        found = [j for j in self._client.list_jobs() if j.submission_id]
        found.sort(key=lambda job: -(job.start_time or 0))
        return [_state(job) for job in found]

    def submit(self, order: Order) -> JobState:
        """Send the code and the order. One that is at work already is not sent again.

        An ended one is sent anew under the same id: it goes on where the last one stopped.
        """
        known = next((j for j in self.jobs() if j.submission_id == order.submission_id), None)
        if known is not None and not known.is_ended:
            return known
        if known is not None:
            self._client.delete_job(order.submission_id)
        with packed(order) as (folder, arguments):
            variables = {"PYTHONUNBUFFERED": "1", **order.environment}
            self._send(
                entrypoint=entrypoint(order.job, arguments),
                submission_id=order.submission_id,
                runtime_env={"working_dir": str(folder), "env_vars": variables},
                metadata={"cvdata": order.job},
            )
        return self.state(order.submission_id)

    def _send(self, **request: Any) -> None:
        """Submit; a head that has just started has no agent yet, and says so."""
        deadline = time.monotonic() + _AGENT_SECONDS
        while True:
            try:
                self._client.submit_job(**request)
                return
            except RuntimeError as error:
                if "No available agent" not in str(error):
                    raise RunInterrupted(f"{self.address} did not take the job: {error}") from error
                if time.monotonic() > deadline:
                    raise RunInterrupted(_NO_AGENT.format(address=self.address)) from error
                time.sleep(_POLL_SECONDS)

    def follow(self, submission_id: str) -> Iterator[str]:
        """Pieces of the job's log as they come, until it ends; its last words too."""
        n_told = 0
        for piece in self._tail(submission_id):
            n_told += len(piece)
            yield piece
        self.wait(submission_id)
        # Ray's tail ends as soon as the job has, whether or not it has read all that it said.
        if rest := self._client.get_job_logs(submission_id)[n_told:]:
            yield rest

    def _tail(self, submission_id: str) -> Iterator[str]:
        loop = asyncio.new_event_loop()
        try:
            lines = self._client.tail_job_logs(submission_id).__aiter__()
            while True:
                try:
                    yield loop.run_until_complete(lines.__anext__())
                except StopAsyncIteration:
                    break
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def wait(self, submission_id: str, seconds: float = float("inf")) -> JobState:
        """Where the job is once it has ended, or after so long."""
        deadline = time.monotonic() + seconds
        while not (state := self.state(submission_id)).is_ended and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return state

    def stop(self, submission_id: str) -> JobState:
        """Ask the job to end, and wait until it has; what is finished is kept."""
        self.state(submission_id)
        self._client.stop_job(submission_id)
        return self.wait(submission_id, 60)


def exit_code(state: JobState) -> int:
    """The job's own exit code; `RunInterrupted` where it was stopped, or died without one."""
    if state.exit_code is not None and state.status != "STOPPED":
        return state.exit_code
    raise RunInterrupted(
        f"{state.submission_id} {state.status.lower()}: {state.message}. What is finished is kept: "
        "submit the same command again to go on"
    )


def _state(info: Any) -> JobState:
    code = info.driver_exit_code
    return JobState(info.submission_id, str(info.status.value), info.message or "", code)


def entrypoint(job: str, arguments: Sequence[str]) -> str:
    """A shell command: what Ray starts jobs by."""
    import shlex

    return shlex.join(["python", "-m", "cvdata.cli", job, *arguments])


@contextmanager
def packed(order: Order) -> Iterator[tuple[Path, list[str]]]:
    """The code and the config file in a folder of their own, and the arguments that fit there."""
    with tempfile.TemporaryDirectory(prefix="cvdata-submit-") as name:
        folder = Path(name)
        for package in PACKAGES:
            found = importlib.util.find_spec(package)
            if found is None or found.origin is None:
                raise ConfigError(f"the package {package} is not installed here")
            source = Path(found.origin).parent
            skipped = shutil.ignore_patterns("__pycache__", "*.pyc", "*.nbi", "*.nbc")
            shutil.copytree(source, folder / source.name, ignore=skipped)
        arguments = list(order.arguments)
        for at, path in order.configs.items():
            shutil.copyfile(path, folder / "submitted.yaml")
            arguments[at] = arguments[at].replace(str(path), "submitted.yaml")
        yield folder, arguments
