"""Scan: fetch and decode each image once, measure everything that is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from cvdata.errors import ErrorCode, ImageError, printable
from cvdata.image import DECODE_VERSION, Limits
from cvdata.measures import spec_fingerprint
from cvdata.measures.base import Measure, Value
from cvdata.schema import measures_schema
from cvdata.sources.fetch import Fetcher
from cvdata.stages.base import Resources
from cvdata.stages.isolation import shared_sandbox
from cvdata.stages.isolation_process import Confinement
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
        limits = (
            f"{self.limits.max_bytes} {self.limits.max_pixels} {self.limits.max_side} "
            f"{' '.join(sorted(self.limits.formats))}"
        )
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
    """Rows of `records` -> rows of each measure set, from one fetch and one decode an image."""

    sets: tuple[MeasureSet, ...]
    confinement: Confinement = field(default_factory=Confinement)
    resources: Resources = field(default_factory=Resources)

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Schema by table."""
        return {s.table: s.schema for s in self.sets}

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint by table."""
        return {s.table: s.fingerprint for s in self.sets}

    def __call__(self, batch: pa.Table) -> dict[str, pa.Table]:
        """Measure every row; a broken image is a row with its error code."""
        results = self._scan(batch)
        again = [
            i
            for i, result in enumerate(results)
            if isinstance(result, ImageError) and result.code is ErrorCode.CHANGED
        ]
        if again:
            for i, result in zip(again, self._scan(batch.take(again)), strict=True):
                results[i] = result
        return {s.table: _rows(batch, results, s) for s in self.sets}

    def _scan(self, batch: pa.Table) -> list[Any]:
        """For each row its values and failed measures, or the `ImageError` that it ended with."""
        results: list[Any] = [None] * len(batch)
        places: list[int] = []
        specs = tuple(spec for s in self.sets for spec in s.specs)
        scanner = ImageScanner(specs, self.sets[0].limits)
        with shared_sandbox(scanner, limits=self.confinement) as sandbox:
            for n, result in enumerate(sandbox.map(self._fetched(batch, results, places))):
                results[places[n]] = result
        return results

    def _fetched(
        self, batch: pa.Table, results: list[Any], places: list[int]
    ) -> Iterator[tuple[bytes, str]]:
        limit = self.sets[0].limits.max_bytes
        uris = batch["uri"].to_pylist()
        for i, data in enumerate(Fetcher(max_bytes=limit).fetch(batch)):
            if isinstance(data, ImageError):
                results[i] = data
            else:
                places.append(i)
                yield data, uris[i]


def _rows(batch: pa.Table, results: list[Any], measure_set: MeasureSet) -> pa.Table:
    """THE place where bad images and failed measures become rows."""
    schema = measure_set.schema
    errors: list[str | None] = []
    details: list[str | None] = []
    values: dict[str, list[Value]] = {f.name: [] for m in measure_set.measures for f in m.fields}
    names = {m.name for m in measure_set.measures}
    for result in results:
        row: Row = {}
        error = detail = None
        if isinstance(result, ImageError):
            error, detail = str(result.code), result.detail
        else:
            row, failures = result
            failed = {n: text for n, text in failures.items() if n in names}
            if failed:
                error = str(ErrorCode.MEASURE_FAILED)
                detail = printable("; ".join(f"{n}: {text}" for n, text in failed.items()))
        errors.append(error)
        details.append(detail)
        for name, column in values.items():
            column.append(row.get(name))
    columns = {
        "image_id": batch["image_id"],
        "revision": batch["revision"],
        "error": pa.array(errors, pa.string()),
        "error_detail": pa.array(details, pa.string()),
        **{name: pa.array(column, schema.field(name).type) for name, column in values.items()},
    }
    return pa.table(columns, schema=schema)
