"""The three verbs: map rows to parts, fold a table to one value, shuffle rows by key."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa

from cvdata.engine.actors import Halves, run_halves
from cvdata.engine.chunks import ChunkRunner, Computed, Done, effort
from cvdata.engine.metering import tell, tell_idle
from cvdata.engine.progress import ProgressBar
from cvdata.engine.session import Session
from cvdata.parts import Part
from cvdata.reading import positions
from cvdata.recording import recorder
from cvdata.stages.base import Resources, SplitStage, Stage
from cvdata.stopwatch import taken, timed
from cvdata.tables import Chunk, KeyedTable
from cvdata.workspace import Workspace

A = TypeVar("A")
F = TypeVar("F", covariant=True)


class Accumulator(Protocol[A, F]):
    """A monoid over tables: any grouping of the rows and any order of merges ends the same."""

    def zero(self) -> A:
        """The value of no rows."""
        ...

    def update(self, acc: A, table: pa.Table) -> A:
        """`acc` with these rows."""
        ...

    def merge(self, a: A, b: A) -> A:
        """The value of the rows of both."""
        ...

    def finalize(self, acc: A) -> F:
        """The result."""
        ...


@dataclass(frozen=True)
class _MapChunk:
    runner: ChunkRunner

    def __call__(self, item: tuple[str, bytes]) -> Done:
        return self.write(self.compute(item))

    def compute(self, item: tuple[str, bytes]) -> tuple[list[Part] | Computed, dict[str, float]]:
        taken()
        with timed("compute"):
            computed = self.runner.compute(*item)
        return computed, taken()

    def write(self, computed: tuple[list[Part] | Computed, dict[str, float]]) -> Done:
        made, seconds = computed
        with timed("write"):
            parts = self.runner.write(made)
        idle = seconds["compute"] if "model" in seconds else 0.0
        return Done(parts, effort({**seconds, **taken()}, idle))


def map_chunks(
    session: Session, stage: Stage, chunks: Sequence[Chunk], into: Mapping[str, KeyedTable]
) -> ProgressBar:
    """Run `stage` on every chunk; each worker writes its parts, only receipts come back.

    `into` are the tables that the stage feeds, by name. Returns the finished progress: rows,
    errors and rate.
    """
    tables = [into[name] for name in stage.schemas]
    runner = ChunkRunner(tables[0].store, stage, tuple(t.spec for t in tables))
    items = [(chunk.part.path, chunk.rows.tobytes()) for chunk in chunks]
    n_rows = sum(len(chunk.rows) for chunk in chunks)
    what = " + ".join(sorted({t.name.split("/")[0] for t in tables}))
    name = " + ".join(sorted({t.spec.kind for t in tables}))
    counts = _Counts(stage, name, is_on_ray=not session.is_serial)
    with ProgressBar(what, n_rows, n_chunks=len(chunks)) as bar:
        if isinstance(stage, SplitStage) and stage.is_split:
            results = run_halves(session, Halves(runner, stage), items)
        else:
            results = session.run(_MapChunk(runner), items, stage.resources)
        for done in results:
            for table, part in zip(tables, done.parts, strict=True):
                table.add(part)
            counts.add(done, time.monotonic() - bar.started)
            bar.advance(done.parts[0].rows, sum(done.parts[0].errors.values()))
    counts.read(sum(chunk.n_bytes for chunk in chunks))
    return bar


class _Counts:
    """What a pass over images is recorded as: in the recorders that are open, and with Ray."""

    def __init__(self, stage: Stage, name: str, *, is_on_ray: bool) -> None:
        device = stage.device if isinstance(stage, SplitStage) and stage.is_split else Resources(0)
        self.name, self.is_on_ray = name, is_on_ray
        self.records = [one.stage(name) for one in recorder().each()]
        for record in self.records:
            record.cpus = stage.resources.cpus
            record.gpus = max(stage.resources.gpus, device.gpus)

    def add(self, done: Done, seconds: float) -> None:
        """One finished chunk; `seconds` since the pass began."""
        first, n_bytes = done.parts[0], sum(part.size_bytes for part in done.parts)
        for record in self.records:
            record.n_chunks += 1
            record.n_images += first.rows
            record.errors.update(first.errors)
            record.bytes_written += n_bytes
            record.add(done.effort)
            record.seconds = max(record.seconds, seconds)
        if self.is_on_ray:
            tell(self.name, first.rows, n_bytes, dict(first.errors), done.effort)
            tell_idle(self.name, self.records[0])

    def read(self, n_bytes: int) -> None:
        """Bytes of the images of the pass."""
        for record in self.records:
            record.bytes_read += n_bytes


@dataclass(frozen=True)
class TableReader:
    """Reads ranges of one or several tables of a pinned commit, joined by image_id."""

    url: str
    seq: int
    columns: Mapping[str, list[str]]

    def read(self, id_range: tuple[bytes, bytes | None]) -> pa.Table:
        """The first table's rows in the range, with the columns of the others beside them."""
        workspace = Workspace(self.url).pin(self.seq)
        base: pa.Table | None = None
        for name, columns in self.columns.items():
            asked = list(dict.fromkeys(["image_id", "revision", *columns]))
            rows = workspace.read(name, asked, id_range=id_range)
            if base is None:
                base = rows
                continue
            at = positions(base, rows)
            taken = rows.take(pa.array(at, mask=at < 0))
            for column in columns:
                if column not in base.column_names:
                    base = base.append_column(column, taken[column])
        if base is None:
            raise ValueError("no table to read")
        return base


@dataclass(frozen=True)
class _FoldRange(Generic[A]):
    accumulator: Accumulator[A, Any]
    reader: TableReader

    def __call__(self, id_range: tuple[bytes, bytes | None]) -> A:
        zero = self.accumulator.zero()
        return self.accumulator.update(zero, self.reader.read(id_range))


def fold(
    session: Session,
    accumulator: Accumulator[A, F],
    reader: TableReader,
    ranges: Sequence[tuple[bytes, bytes | None]],
) -> F:
    """One value from a whole table: each range is folded where it is read, then merged."""
    acc = accumulator.zero()
    for one in session.run(_FoldRange(accumulator, reader), ranges):
        acc = accumulator.merge(acc, one)
    return accumulator.finalize(acc)
