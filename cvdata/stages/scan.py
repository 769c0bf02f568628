"""Scan: fetch and decode each image once, measure everything that is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any

import pyarrow as pa

from cvdata.errors import ErrorCode, ImageError, printable
from cvdata.image import DECODE_VERSION, Limits
from cvdata.measures import spec_fingerprint
from cvdata.measures.base import Measure, Value
from cvdata.schema import measures_schema
from cvdata.stages.base import Resources
from cvdata.stages.isolation_process import Confinement
from cvdata.stages.predict import Inference, Pass, Reader, limits_text
from cvdata.stages.prepared import pack
from cvdata.stages.scanner import ImageScanner, MeasureSpec, Row
from cvdata.storage import digest

__all__ = ["ImageScanner", "MeasureSet", "MeasureSpec", "Scan"]


@dataclass(frozen=True)
class MeasureSet:
    """Measures that are computed and stored together, in the table `measures/<fingerprint8>`."""

    specs: tuple[MeasureSpec, ...]
    limits: Limits = field(default_factory=Limits)
    generation: int = 0

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """The measures, built."""
        return tuple(spec.build() for spec in self.specs)

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of all that can change a value in the set."""
        limits = limits_text(self.limits)
        parts = [spec_fingerprint(m) for m in self.measures]
        text = "\n".join([f"decode {DECODE_VERSION}", limits, *sorted(parts)])
        return digest(f"{text}\n{self.generation or ''}".encode())

    @property
    def table(self) -> str:
        """The table's name."""
        return f"measures/{self.fingerprint[:8]}"

    @property
    def schema(self) -> pa.Schema:
        """Keys, error, and a column for each field of each measure."""
        return measures_schema([(f.name, f.dtype) for m in self.measures for f in m.fields])


@dataclass(frozen=True)
class Scan:
    """Rows of `records` -> rows of each measure set, from one fetch and one decode an image.

    With an `inference` the model sees the same decoded pixels, and its table is fed as well.
    """

    sets: tuple[MeasureSet, ...]
    confinement: Confinement = field(default_factory=Confinement)
    resources: Resources = field(default_factory=Resources)
    inference: Inference | None = None

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Schema by table."""
        model = self.inference
        return {s.table: s.schema for s in self.sets} | (model.schemas if model else {})

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint by table."""
        model = self.inference
        return {s.table: s.fingerprint for s in self.sets} | (model.fingerprints if model else {})

    @property
    def is_split(self) -> bool:
        """Whether the model runs apart from the decode and the measures."""
        return self.inference is not None and self.inference.is_apart

    @property
    def device(self) -> Resources:
        """What one worker with the model needs."""
        return self.inference.resources if self.inference else self.resources

    @property
    def n_devices(self) -> int:
        """Workers with the model."""
        return self.inference.n_actors if self.inference else 0

    def __call__(self, batch: pa.Table) -> dict[str, pa.Table]:
        """Measure every row; a broken image is a row with its error code."""
        done = self._read(batch)
        tables = {s.table: _rows(batch, done.outcomes, s) for s in self.sets}
        if self.inference is not None:
            tables[self.inference.table] = self.inference.rows(batch, done.results)
        return tables

    def prepare(self, batch: pa.Table) -> tuple[dict[str, pa.Table], pa.Table]:
        """The measures, and what the model takes."""
        done = self._read(batch, is_prepared_only=True)
        measured = {s.table: _rows(batch, done.outcomes, s) for s in self.sets}
        return measured, pack(batch, done.results)

    def setup(self) -> None:
        """Load the model."""
        if self.inference is not None:
            self.inference.runner()

    def finish(self, prepared: pa.Table) -> dict[str, pa.Table]:
        """The model, on what was prepared."""
        return self.inference.finish(prepared) if self.inference else {}

    def _read(self, batch: pa.Table, is_prepared_only: bool = False) -> Pass:
        specs = tuple(spec for s in self.sets for spec in s.specs)
        limits = self.sets[0].limits
        return Reader(specs, limits, self.confinement, self.inference, is_prepared_only)(batch)


def _rows(batch: pa.Table, results: list[Any], measure_set: MeasureSet) -> pa.Table:
    """THE place where bad images and failed measures become rows."""
    schema = measure_set.schema
    columns = [f.name for m in measure_set.measures for f in m.fields]
    names = {m.name for m in measure_set.measures}
    nothing = (None,) * len(columns)
    taken = _taker(columns)
    errors: list[tuple[str | None, str | None]] = []
    rows: list[tuple[Value, ...]] = []
    for result in results:
        if isinstance(result, ImageError):
            errors.append((str(result.code), result.detail))
            rows.append(nothing)
        else:
            values, failures, _ = result
            errors.append(_failed({n: text for n, text in failures.items() if n in names}))
            rows.append(taken(values))
    codes, details = zip(*errors, strict=True) if errors else ((), ())
    by_column = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pa.table(
        {
            "image_id": batch["image_id"],
            "revision": batch["revision"],
            "error": pa.array(codes, pa.string()),
            "error_detail": pa.array(details, pa.string()),
            **{
                name: pa.array(column, schema.field(name).type)
                for name, column in zip(columns, by_column, strict=True)
            },
        },
        schema=schema,
    )


def _taker(columns: list[str]) -> Callable[[Row], tuple[Value, ...]]:
    """A row's values in the order of the columns."""
    if len(columns) == 1:
        return lambda row: (row[columns[0]],)
    return itemgetter(*columns)


def _failed(failures: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Error and detail of a good image on which these measures failed."""
    if not failures:
        return None, None
    text = "; ".join(f"{n}: {why}" for n, why in failures.items())
    return str(ErrorCode.MEASURE_FAILED), printable(text)
