"""Predict: fetch, decode and prepare in the sandbox; run the model here, in batches."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from cvdata.errors import ErrorCode, ImageError
from cvdata.image import DECODE_VERSION, Limits
from cvdata.models.base import Geometry, Model, Prepared
from cvdata.models.batching import Result, Runner
from cvdata.models.rows import schema, table_name, to_table
from cvdata.sources.fetch import Fetcher
from cvdata.stages.base import Resources
from cvdata.stages.isolation import shared_sandbox
from cvdata.stages.isolation_process import Confinement
from cvdata.stages.prepared import pack, unpack
from cvdata.stages.scanner import ImageScanner, MeasureSpec, Prepare
from cvdata.stopwatch import timed
from cvdata.storage import digest

FIRST_IMAGES, BATCH_IMAGES = 128, 32
"""Images gathered before a run of the model: enough to find the batch size, then enough for the
sandbox to decode the next ones meanwhile."""
GATHERED_BYTES = 128 << 20
KEPT_RUNNERS = 2


@dataclass(frozen=True)
class Inference:
    """A model, the table that it feeds and how it is run. `name` is as the operator gave it.

    `device` is `cpu`, `cuda` or `auto`; `batch_size` 0 finds it. Neither is in the fingerprint, nor
    are the `resources` of a worker. `question` says what was asked of the model.
    """

    model: Model
    name: str = ""
    limits: Limits = field(default_factory=Limits)
    device: str = "cpu"
    batch_size: int = 0
    generation: int = 0
    resources: Resources = field(default_factory=Resources)
    is_apart: bool = False
    n_actors: int = 0
    question: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The table's name."""
        return table_name(self.model, self.name)

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of weights, task, parameters, decode version and limits."""
        text = f"decode {DECODE_VERSION}\n{limits_text(self.limits)}\n{self.model.fingerprint}"
        return digest(f"{text}\n{self.generation or ''}".encode())

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Schema by table."""
        return {self.table: schema(self.model)}

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint by table."""
        return {self.table: self.fingerprint}

    @property
    def prepare(self) -> Prepare:
        """What the sandbox does to the pixels: of our own models the resize alone travels there."""
        resize: Prepare | None = getattr(self.model, "resize", None)
        return resize or self.model.prepare

    def runner(self) -> Runner:
        """The runner that this process keeps, loaded once."""
        how = getattr(getattr(self.model, "network", None), "execution", None)
        key = (os.getpid(), self.model.fingerprint, self.device, self.batch_size, repr(how))
        with _lock:
            if key not in _runners:
                while len(_runners) >= KEPT_RUNNERS:
                    _runners.pop(next(iter(_runners)))
                runner = Runner(self.model, self.device, self.batch_size or None)
                runner.setup()
                _runners[key] = runner
            return _runners[key]

    def run(self, prepared: Sequence[Prepared]) -> list[Result]:
        """What the model says of each; its time is counted."""
        if not prepared:
            return []
        runner = self.runner()
        with timed("model"):
            return runner.run(prepared)

    def finish(self, prepared: pa.Table) -> dict[str, pa.Table]:
        """The table's rows of what `pack` packed."""
        results: list[Any] = list(unpack(prepared))
        good = [i for i, result in enumerate(results) if isinstance(result, Prepared)]
        answers = self.run([results[i] for i in good])
        for i, answer in zip(good, answers, strict=True):
            results[i] = answer
        return {self.table: self.rows(prepared, results)}

    def rows(self, batch: pa.Table, results: Sequence[Result]) -> pa.Table:
        """The table's rows; names of classes are those of the loaded model."""
        is_loaded = any(not isinstance(result, ImageError) for result in results)
        return to_table(self.runner().model if is_loaded else self.model, batch, results)


_runners: dict[tuple[Any, ...], Runner] = {}
_lock = threading.Lock()


def limits_text(limits: Limits) -> str:
    """The limits as they enter a fingerprint."""
    formats = " ".join(sorted(limits.formats))
    return f"{limits.max_bytes} {limits.max_pixels} {limits.max_side} {formats}"


@dataclass(frozen=True)
class Predict:
    """Rows of `records` -> rows of one model's table; one row in, one row out."""

    inference: Inference
    confinement: Confinement = field(default_factory=Confinement)

    @property
    def resources(self) -> Resources:
        """What one worker needs; of the first half where the halves run apart."""
        return Resources() if self.is_split else self.inference.resources

    @property
    def is_split(self) -> bool:
        """Whether the model runs apart from the decode."""
        return self.inference.is_apart

    @property
    def device(self) -> Resources:
        """What one worker with the model needs."""
        return self.inference.resources

    @property
    def n_devices(self) -> int:
        """Workers with the model."""
        return self.inference.n_actors

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Schema by table."""
        return self.inference.schemas

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint by table."""
        return self.inference.fingerprints

    def __call__(self, batch: pa.Table) -> dict[str, pa.Table]:
        """Run the model on every row; what it cannot see or fails on is a row with its code."""
        model = self.inference
        done = Reader((), model.limits, self.confinement, model)(batch)
        return {model.table: model.rows(batch, done.results)}

    def prepare(self, batch: pa.Table) -> tuple[dict[str, pa.Table], pa.Table]:
        """Everything up to the model."""
        model = self.inference
        done = Reader((), model.limits, self.confinement, model, is_prepared_only=True)(batch)
        return {}, pack(batch, done.results)

    def setup(self) -> None:
        """Load the model."""
        self.inference.runner()

    def finish(self, prepared: pa.Table) -> dict[str, pa.Table]:
        """The model, on what was prepared."""
        return self.inference.finish(prepared)


@dataclass
class Pass:
    """What became of each row of a batch.

    `outcomes` has what the sandbox made of it, or the `ImageError` that it ended with; `results`
    what the model said, or what it would be shown.
    """

    outcomes: list[Any]
    results: list[Any]


@dataclass(frozen=True)
class Reader:
    """One pass over a batch: each row is fetched and decoded once, measured, and shown a model.

    With `is_prepared_only` the model's input is kept in place of its answer.
    """

    specs: tuple[MeasureSpec, ...]
    limits: Limits
    confinement: Confinement
    inference: Inference | None = None
    is_prepared_only: bool = False

    def __call__(self, batch: pa.Table) -> Pass:
        """What became of each row. What changed while it was read is read once more."""
        done = Pass([None] * len(batch), [None] * len(batch))
        rows = list(range(len(batch)))
        for _ in range(2):
            self._read(batch, rows, done)
            rows = [i for i in rows if _is_changed(done.outcomes[i])]
            if not rows:
                break
        return done

    def _read(self, batch: pa.Table, rows: list[int], done: Pass) -> None:
        """One pass over these rows of the batch, into `done`."""
        places: list[int] = []
        gathered = self._sink(done)
        scanner = ImageScanner(
            self.specs, self.limits, self.inference.prepare if self.inference else None
        )
        fetched = self._fetched(batch.take(pa.array(rows)), rows, places, done)
        types = (Prepared, Geometry) if self.inference else ()
        with shared_sandbox(scanner, limits=self.confinement, result_types=types) as sandbox:
            for n, outcome in enumerate(sandbox.map(fetched)):
                done.outcomes[places[n]] = outcome
                if gathered is not None:
                    done.outcomes[places[n]] = gathered.take(places[n], outcome)
        if gathered is not None:
            gathered.run()

    def _sink(self, done: Pass) -> "_Gathered | None":
        if self.inference is None:
            return None
        return _Gathered(self.inference, done.results, self.is_prepared_only)

    def _fetched(
        self, batch: pa.Table, rows: list[int], places: list[int], done: Pass
    ) -> Iterator[tuple[bytes, str]]:
        uris = batch["uri"].to_pylist()
        for n, data in enumerate(Fetcher(max_bytes=self.limits.max_bytes).fetch(batch)):
            if isinstance(data, ImageError):
                done.outcomes[rows[n]] = done.results[rows[n]] = data
            else:
                places.append(rows[n])
                yield data, uris[n]


@dataclass
class _Gathered:
    """Prepared images on their way to the model, or kept; it runs once there are enough."""

    inference: Inference
    results: list[Any]
    is_kept: bool = False
    waiting: list[tuple[int, Prepared]] = field(default_factory=list)
    n_bytes: int = 0

    def take(self, place: int, outcome: Any) -> Any:
        """Queue the image for the model; its outcome, without the pixels."""
        if isinstance(outcome, ImageError):
            self.results[place] = outcome
            return outcome
        row, failures, prepared = outcome
        if isinstance(prepared, Prepared) and self.is_kept:
            self.results[place] = prepared
        elif isinstance(prepared, Prepared):
            self.waiting.append((place, prepared))
            self.n_bytes += prepared.pixels.nbytes
            if len(self.waiting) >= self._enough() or self.n_bytes >= GATHERED_BYTES:
                self.run()
        else:
            self.results[place] = ImageError(ErrorCode.MODEL_FAILED, str(prepared))
        return row, failures, None

    @cached_property
    def _runner(self) -> Runner:
        return self.inference.runner()

    def _enough(self) -> int:
        size = self._runner.batch_size
        return FIRST_IMAGES if size is None else size * max(1, BATCH_IMAGES // size)

    def run(self) -> None:
        """Run the model on what waits."""
        if self.waiting:
            results = self.inference.run([prepared for _, prepared in self.waiting])
            for (place, _), result in zip(self.waiting, results, strict=True):
                self.results[place] = result
            self.waiting, self.n_bytes = [], 0


def _is_changed(outcome: Any) -> bool:
    return isinstance(outcome, ImageError) and outcome.code is ErrorCode.CHANGED
