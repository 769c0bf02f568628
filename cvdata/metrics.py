"""What Prometheus is told of a run: a text file for node_exporter's textfile collector.

A batch job is gone before anybody scrapes it, so it leaves its numbers in a file, written whole or
not at all, every ten seconds while it runs and once at the end. No port is opened.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cvdata.errors import ConfigError
from cvdata.outcome import Outcome
from cvdata.recording import Recorder, StageRecord

log = logging.getLogger("cvdata")
WRITE_EVERY_SECONDS = 10.0
PREFIX = "cvdata_run"
LAST_SUCCESS = f"{PREFIX}_last_success_timestamp_seconds"
GOOD_CODES = (0, 3)
STAGE_GAUGES: tuple[tuple[str, str, Callable[[StageRecord], float]], ...] = (
    ("images", "Images that went through the stage.", lambda s: s.n_images),
    ("bytes_read", "Bytes of the images that were read.", lambda s: s.bytes_read),
    ("bytes_written", "Bytes of the parts that were written.", lambda s: s.bytes_written),
    ("stage_seconds", "Wall time of the stage.", lambda s: s.seconds),
    ("workers", "Worker processes that took part.", lambda s: len(s.workers)),
    ("hosts", "Machines that took part.", lambda s: len(s.hosts)),
)


def registry_of(
    recorder: Recorder, labels: dict[str, str], outcome: Outcome | None, last_success: float | None
) -> Any:
    """The numbers of a run as a `CollectorRegistry`; `outcome` is None while it is at work."""
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    put = _Putter(registry, labels)
    put("timestamp_seconds", "When these numbers were written.", time.time())
    put("running", "1 while the run is at work.", float(outcome is None))
    put("seconds", "Wall time of the run.", recorder.seconds)
    for name, stage in sorted(recorder.stages.items()):
        for metric, text, value in STAGE_GAUGES:
            put(metric, text, value(stage), stage=name)
        for code, n in sorted(stage.errors.items()):
            put("errors", "Bad images by code.", n, stage=name, code=code)
        for step, seconds in sorted(stage.steps.items()):
            put("worker_seconds", "Time of all workers by step.", seconds, stage=name, step=step)
        if (share := stage.model_idle_share) is not None:
            metric = "gpu_idle_share" if stage.gpus else "model_idle_share"
            text = "Share of its time in which a worker with a {} did not run the model."
            put(metric, text.format("GPU" if stage.gpus else "model"), share, stage=name)
    live = recorder.live
    pending = max(live.total - live.done, 0) if live is not None else 0
    put("pending", "Images that the stage at work has still to do.", pending)
    if outcome is not None:
        _put_outcome(put, outcome)
    if last_success is not None:
        put("last_success_timestamp_seconds", "When a run last ended with 0 or 3.", last_success)
    return registry


def _put_outcome(put: "_Putter", outcome: Outcome) -> None:
    put("exit_code", "How the run ended.", outcome.exit_code)
    put("commit", "Number of the live commit.", outcome.head.seq)
    put("workspace_images", "Images of the workspace.", outcome.rows)
    for code, n in sorted(outcome.errors.items()):
        put("workspace_errors", "Bad images of the workspace by code.", n, code=code)
    for gate in outcome.gates:
        put("gate_failed", "1 where a limit was passed.", float(gate.is_failed), gate=gate.name)
        if gate.value is not None:
            put("gate_value", "What was held against the limit.", gate.value, gate=gate.name)


class _Putter:
    """Makes a gauge when its first value comes, and sets values by label."""

    def __init__(self, registry: Any, labels: dict[str, str]) -> None:
        self.registry, self.labels = registry, labels
        self.made: dict[str, Any] = {}

    def __call__(self, name: str, text: str, value: float, **labels: str) -> None:
        from prometheus_client import Gauge

        every = {**self.labels, **labels}
        if name not in self.made:
            self.made[name] = Gauge(f"{PREFIX}_{name}", text, list(every), registry=self.registry)
        self.made[name].labels(**every).set(value)


class MetricsFile:
    """The file at `path`, of one run."""

    def __init__(self, path: str, recorder: Recorder, labels: dict[str, str]) -> None:
        self.path, self.recorder, self.labels = Path(path), recorder, labels
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise ConfigError(f"--metrics-file: cannot write into a folder {self.path.parent}")
        self.last_success = self._kept()

    def _kept(self) -> float | None:
        """When a run last succeeded, as the file of the last run says."""
        from prometheus_client.parser import text_string_to_metric_families

        if not self.path.is_file():
            return None
        try:
            families = list(text_string_to_metric_families(self.path.read_text(encoding="utf-8")))
        except ValueError as error:
            log.warning("%s is no metrics file and is replaced: %s", self.path, error)
            return None
        samples = [s for f in families for s in f.samples]
        return next((float(s.value) for s in samples if s.name == LAST_SUCCESS), None)

    def write(self, outcome: Outcome | None = None) -> None:
        """Write it, whole or not at all."""
        from prometheus_client import write_to_textfile

        if outcome is not None and outcome.exit_code in GOOD_CODES:
            self.last_success = time.time()
        registry = registry_of(self.recorder, self.labels, outcome, self.last_success)
        write_to_textfile(str(self.path), registry)


@contextmanager
def publishing(file: MetricsFile | None) -> Iterator[None]:
    """Write the file again and again while the block runs."""
    if file is None:
        yield
        return
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(WRITE_EVERY_SECONDS):
            try:
                file.write()
            except OSError as error:
                log.warning("the metrics could not be written: %s", error)

    file.write()
    thread = threading.Thread(target=write, name="cvdata-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
