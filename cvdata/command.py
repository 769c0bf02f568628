"""From a job's `Config` and `run` to a command with exit codes."""

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from cvdata.commits import now
from cvdata.config import JobConfig, dump, parse
from cvdata.engine.session import EngineConfig
from cvdata.errors import CvdataError
from cvdata.locking import locking
from cvdata.logs import fail, set_up_logging
from cvdata.metrics import MetricsFile, publishing
from cvdata.outcome import Outcome
from cvdata.recording import Recorder, recording
from cvdata.runs.gates import check_gates, refuse_unknown
from cvdata.workspace import Workspace

log = logging.getLogger("cvdata")
C = TypeVar("C", bound=JobConfig)
COMMITTED, BUG, USAGE, WARNED, INTERRUPTED, GATED = 0, 1, 2, 3, 4, 8
STOPPED = "stopped; finished parts are kept: run the same command again to go on"


@dataclass(frozen=True)
class Summary:
    """What a job did, in lines for a person and numbers for a machine."""

    lines: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    is_warning: bool = False
    """Committed, but with more errors than the warning rate."""

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(
            self.lines + other.lines,
            {**self.numbers, **other.numbers},
            self.is_warning or other.is_warning,
        )


def engine_config(config: JobConfig) -> EngineConfig:
    """The engine that a job's options ask for."""
    is_private = "://" not in config.workspace and not config.shared_workspace
    return EngineConfig(
        config.engine,
        config.address,
        config.workers,
        config.object_store_bytes,
        config.workspace if is_private else "",
        config.shared_workspace,
    )


def main(
    config_type: type[C],
    run: Callable[[C], Summary],
    argv: Sequence[str] | None = None,
    prog: str | None = None,
) -> int:
    """Parse, run, print, and return the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    name = prog or f"python {Path(sys.argv[0]).name}"
    try:
        config = parse(config_type, args, name)
    except CvdataError as error:
        fail(str(error), error.exit_code)
        return error.exit_code
    job = name.split()[-1].removesuffix(".py")
    set_up_logging(config.log_format, verbose=config.verbose, job=job)
    with recording() as recorder:
        return _Run(job, config, recorder).of(run)


class _Run:
    """One run of a job, from its lock to its exit code."""

    def __init__(self, job: str, config: JobConfig, recorder: Recorder) -> None:
        self.config, self.recorder = config, recorder
        self.outcome = Outcome(job, config.workspace, BUG, now(), is_dry=config.dry_run)

    def of(self, run: Callable[[Any], Summary]) -> int:
        """Run, whatever happens tell how it ended, and return the exit code."""
        config, metrics = self.config, None
        try:
            with _told_to_stop():
                refuse_unknown(config.gates)
                if config.metrics_file and not config.dry_run:
                    labels = {"job": self.outcome.job, "workspace": config.workspace}
                    metrics = MetricsFile(config.metrics_file, self.recorder, labels)
                with publishing(metrics):
                    self._locked(run)
        except CvdataError as error:
            self._failed(str(error), error.exit_code)
        except KeyboardInterrupt:
            self._failed(STOPPED, INTERRUPTED)
        except BaseException as error:
            self.outcome = replace(self.outcome, error=f"a bug: {error!r}")
            raise
        finally:
            self._tell(metrics)
        return self.outcome.exit_code

    def _tell(self, metrics: MetricsFile | None) -> None:
        """How it ended, for machines: what is committed now, the metrics, the last line."""
        if not self._is_watched:
            return
        try:
            head = Workspace(self.config.workspace).head
            self.outcome = replace(self.outcome, head=head)
        except CvdataError as error:
            log.warning("what is committed could not be read: %s", error)
        if metrics is not None:
            try:
                metrics.write(self.outcome)
            except OSError as error:
                log.warning("the metrics could not be written: %s", error)
        if self.config.summary == "json":
            print(self.outcome.line(self.recorder), flush=True)

    def _failed(self, message: str, exit_code: int) -> None:
        fail(message, exit_code)
        self.outcome = replace(self.outcome, error=message, exit_code=exit_code)

    def _locked(self, run: Callable[[Any], Summary]) -> None:
        config = self.config
        mode = "off" if config.is_read_only else config.lock
        if config.dry_run:
            print(dump(config), end="")
        before = Workspace(config.workspace).head.seq if self._is_watched else None
        self.outcome = replace(self.outcome, before=before)
        with locking(self.outcome.job, mode, config.wait_for_lock, self.recorder.progress):
            summary = run(config)
        for line in summary.lines:
            print(line)
        log.debug("%s", json.dumps(summary.numbers, sort_keys=True, default=str))
        self._judge(summary)

    @property
    def _is_watched(self) -> bool:
        """Whether anybody asks what was there before and is there now."""
        config = self.config
        return config.summary == "json" or bool(config.metrics_file) or config.gates.is_set

    def _judge(self, summary: Summary) -> None:
        """Check the gates; the outcome."""
        workspace, gates = Workspace(self.config.workspace), self.config.gates
        exit_code = WARNED if summary.is_warning else COMMITTED
        errors = summary.numbers.get("errors", {})
        self.outcome = replace(self.outcome, exit_code=exit_code, errors=errors)
        if not gates.is_set or self.config.dry_run:
            return
        found = check_gates(workspace, gates, self.outcome.before)
        for gate in found:
            print(gate.line())
        if any(gate.is_failed for gate in found):
            exit_code = GATED
        self.outcome = replace(self.outcome, exit_code=exit_code, gates=tuple(found))


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """SIGTERM, as schedulers send it, ends the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
