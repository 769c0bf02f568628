"""Keyed tables brought up to date: plan what they lack, compute it, check it, count it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from cvdata.config import Prices
from cvdata.engine.capacity import NO_CAPACITY, Needs, capacity
from cvdata.engine.session import Session
from cvdata.engine.verbs import map_chunks
from cvdata.errors import TooManyErrors, WorkspaceError
from cvdata.keys import KeySet, key_columns
from cvdata.parts import PartSpec, error_counts, parts_digest, read_columns
from cvdata.runs.estimate import (
    COMMITS_LOOKED_AT,
    Cost,
    Estimate,
    Pending,
    estimate,
    measured_rate,
    refuse_unable,
)
from cvdata.schema import RECORDS
from cvdata.stages.base import Stage
from cvdata.stages.isolation_process import Confinement
from cvdata.storage import Store
from cvdata.tables import KEY_COLUMNS, Chunk, KeyedTable, Plan, check_complete, plan
from cvdata.workspace import Change, Workspace

SMALL_RUN_ROWS = 100


@dataclass(frozen=True)
class FillOptions:
    """How to compute, not what: nothing here can change a value."""

    chunk_rows: int = 0
    confinement: Confinement = field(default_factory=Confinement)
    max_error_rate: float = 0.05
    is_dry_run: bool = False
    prices: Prices = field(default_factory=Prices)
    ignores_capacity: bool = False


@dataclass(frozen=True)
class Filling:
    """Tables to bring up to date together, what feeds each choice of them, and what it costs.

    `stage` gets the names of the tables that a group of rows lacks. `needs` are those of its
    workers, and `traveling_bytes` what passes between two kinds of them for each image.
    """

    tables: Sequence[tuple[PartSpec, Mapping[str, object]]]
    stage: Callable[[tuple[str, ...]], Stage]
    cost: Cost
    needs: Needs = field(default_factory=Needs)
    traveling_bytes: int = 0


@dataclass(frozen=True)
class Work:
    """What one run computes, or computed."""

    plan: Plan
    cost: Cost
    estimate: Estimate
    prices: Prices = field(default_factory=Prices)
    images_per_second: float = 0.0

    @property
    def n_rows(self) -> int:
        """Images to read."""
        return self.plan.n_rows

    def numbers(self) -> dict[str, object]:
        """For the commit and for machines."""
        return {
            "n_records": self.plan.n_records,
            "n_read": self.n_rows,
            "pending_bytes": self.plan.pending_bytes,
            "images_per_second": round(self.images_per_second, 1),
            "estimate": self.estimate.numbers(self.prices),
        }

    def lines(self) -> list[str]:
        """The plan, for `--dry-run`."""
        return [
            f"plan: {self.n_rows:,} of {self.plan.n_records:,} images pending, "
            f"{len(self.plan.chunks):,} chunks",
            f"  {self.plan.pending_bytes / 1e9:,.2f} GB to read, about "
            f"{self.estimate.written_bytes / 1e9:,.3f} GB to write in "
            f"{self.cost.n_columns} columns",
            *self.estimate.lines(self.prices),
        ]


def fill_tables(change: Change, session: Session, filling: Filling, options: FillOptions) -> Work:
    """Compute what the tables lack: rows -> parts, checked complete and within the error rate."""
    covers = parts_digest(change.records)
    tables: dict[str, KeyedTable] = {
        spec.table: change.keyed(spec, {**meta, "covers": covers}) for spec, meta in filling.tables
    }
    work = plan(change.store, change.records, list(tables.values()), options.chunk_rows)
    expected = _expected(change, session, filling, work)
    if work.n_rows and not options.ignores_capacity:
        refuse_unable(change.store, expected, filling.needs)
    if options.is_dry_run:
        return Work(work, filling.cost, expected, options.prices)
    if work.n_rows:
        session.refuse_source(_uri(change.store, work.chunks[0]))
    rate = 0.0
    for names, chunks in work.groups().items():
        rate = map_chunks(session, filling.stage(names), chunks, tables).rate
    for table in tables.values():
        check_complete(table, work.chunks, change.store)
        refuse_errors(*_failed(change, table, work), options.max_error_rate)
    return Work(work, filling.cost, expected, options.prices, rate)


def _failed(change: Change, table: KeyedTable, work: Plan) -> tuple[int, int]:
    """Errors and rows of what the run adds.

    A stopped run may have left rows of images that were mended or removed since: they do not
    count, or else nothing could be committed any more.
    """
    n_errors = sum(sum(part.errors.values()) for part in table.added)
    n_rows = sum(part.rows for part in table.added)
    n_planned = sum(len(chunk.rows) for chunk in work.chunks if table.name in chunk.tables)
    if not n_errors or n_rows == n_planned:
        return n_errors, n_rows
    records = read_columns(change.store, change.records, RECORDS, KEY_COLUMNS)
    live = KeySet.of(records["image_id"], records["revision"])
    n_errors = n_rows = 0
    for part in table.added:
        rows = read_columns(change.store, [part], table.spec.schema, [*KEY_COLUMNS, "error"])
        is_live = live.contains(*key_columns(rows["image_id"], rows["revision"]))
        n_rows += int(is_live.sum())
        n_errors += len(rows.filter(pa.array(is_live))["error"].drop_null())
    return n_errors, n_rows


def _uri(store: Store, chunk: Chunk) -> str:
    """Where an image of the chunk lies; those of a source lie in one place."""
    uris = read_columns(store, [chunk.part], RECORDS, ["uri"])["uri"]
    return str(uris[int(chunk.rows[0])])


def _expected(change: Change, session: Session, filling: Filling, work: Plan) -> Estimate:
    """What the plan will take, at the rate of this workspace's earlier runs where it has any."""
    kind = " + ".join(sorted({spec.kind for spec, _ in filling.tables}))
    numbers = change.workspace.log.numbers()[-COMMITS_LOOKED_AT:] if work.n_rows else []
    commits = [change.workspace.log.read(number) for number in numbers]
    pending = Pending(work.n_rows, work.pending_bytes, filling.traveling_bytes)
    has = capacity(session) if work.n_rows else NO_CAPACITY
    rate = measured_rate(commits, kind, filling.cost)
    return estimate(pending, filling.cost, rate, filling.needs, has)


def refuse_errors(n_errors: int, n_rows: int, max_error_rate: float) -> None:
    """Over the limit nothing is committed; under 100 rows the limit is that of 100 rows."""
    if n_errors > max_error_rate * max(n_rows, SMALL_RUN_ROWS if max_error_rate else 0):
        raise TooManyErrors(
            f"{n_errors:,} of {n_rows:,} images failed ({n_errors / n_rows:.1%}), more than "
            f"--max-error-rate {max_error_rate:g}; nothing is committed. The finished parts are "
            "kept: look at the source, or raise the limit and run the same command again"
        )


@dataclass(frozen=True)
class Tally:
    """The conservation law of a table: records = ok + errors by code."""

    n_records: int
    n_ok: int
    errors: Mapping[str, int]

    @property
    def n_errors(self) -> int:
        """Error rows."""
        return sum(self.errors.values())

    def line(self) -> str:
        """The law, with its numbers."""
        codes = ", ".join(f"{code} {n:,}" for code, n in sorted(self.errors.items()))
        tail = f" ({codes})" if codes else ""
        return f"{self.n_records:,} records = {self.n_ok:,} ok + {self.n_errors:,} errors{tail}"


def tally(workspace: Workspace, table: str = "measures") -> Tally:
    """Count the committed rows and assert the law; `WorkspaceError` where it does not hold."""
    errors: dict[str, int] = {}
    n_ok = n_records = 0
    for id_range in workspace.ranges():
        n_records += len(workspace.read("records", ["image_id"], id_range=id_range))
        rows = workspace.read(table, ["error"], id_range=id_range)
        n_ok += rows["error"].null_count
        for code, n in error_counts(rows).items():
            errors[code] = errors.get(code, 0) + n
    found = Tally(n_records, n_ok, dict(sorted(errors.items())))
    if found.n_ok + found.n_errors != n_records:
        raise WorkspaceError(f"the conservation law does not hold: {found.line()}")
    return found
