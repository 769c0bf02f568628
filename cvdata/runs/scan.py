"""Which measure sets a scan computes: what is asked for, less what committed sets hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cvdata.commits import TableState
from cvdata.engine.session import Session
from cvdata.engine.verbs import map_chunks
from cvdata.errors import ConfigError, TooManyErrors, WorkspaceError
from cvdata.image import Limits
from cvdata.measures import spec_fingerprint
from cvdata.parts import PartSpec, error_counts, open_part, parts_digest
from cvdata.stages.isolation_process import Confinement
from cvdata.stages.scan import MeasureSet, MeasureSpec, Scan
from cvdata.tables import KeyedTable, Plan, check_complete, plan
from cvdata.workspace import Change, Workspace

PREFIX = "measures/"
SMALL_RUN_ROWS = 100
SECONDS_PER_IMAGE, ROW_BYTES, WORKER_BYTES = 0.004, 700, 1e9
"""Measured on 0.2-megapixel JPEGs (docs/benchmarks.md); large images take longer."""


@dataclass(frozen=True)
class ScanOptions:
    """How to compute, not what: nothing here can change a value."""

    chunk_rows: int = 0
    confinement: Confinement = field(default_factory=Confinement)
    max_error_rate: float = 0.05
    is_dry_run: bool = False


@dataclass(frozen=True)
class SetPlan:
    """The sets to keep complete, newest last."""

    sets: tuple[MeasureSet, ...]

    def by_table(self) -> dict[str, MeasureSet]:
        """The sets by table name."""
        return {s.table: s for s in self.sets}


def plan_sets(
    asked: Sequence[MeasureSpec],
    tables: Mapping[str, TableState],
    limits: Limits,
    generation: int = 0,
) -> SetPlan:
    """Committed sets that hold something asked for, and one new set for what none of them holds.

    A committed set counts while the code still computes the same from its description: a new
    version of a measure makes a new set, and readers take the newest.
    """
    missing = {spec_fingerprint(spec.build()): spec for spec in asked}
    held: list[MeasureSet] = []
    for _, state in sorted(measure_sets(tables).items(), key=_newest_first):
        found = from_meta(state)
        prints = _prints(found)
        is_current = bool(prints) and found.fingerprint == state.fingerprint
        is_wanted = found.limits == limits and found.generation >= generation
        if is_current and is_wanted and prints & set(missing):
            held.insert(0, found)
            missing = {k: v for k, v in missing.items() if k not in prints}
    if missing:
        specs = tuple(sorted(missing.values(), key=lambda s: s.name))
        held.append(MeasureSet(specs, limits, generation))
    return SetPlan(tuple(held))


def measure_sets(tables: Mapping[str, TableState]) -> dict[str, TableState]:
    """The committed measure sets, by table name."""
    return {n: s for n, s in tables.items() if n.startswith(PREFIX)}


def _newest_first(item: tuple[str, TableState]) -> int:
    return -int(item[1].meta["order"])


def _prints(found: MeasureSet) -> set[str]:
    """Fingerprints of the set's measures; none where one of them cannot be built any more."""
    try:
        return {spec_fingerprint(m) for m in found.measures}
    except ConfigError:
        return set()


def superseded(change: Change, plan_: SetPlan) -> list[str]:
    """Committed sets every column of which a newer set of the plan holds: they leave the commit."""
    newer = {n for s in plan_.sets for n in s.schema.names}
    kept = plan_.by_table()
    gone = []
    for name, state in measure_sets(change.base.tables).items():
        if name not in kept and state.parts:
            with open_part(change.store, state.parts[0].path) as file:
                is_covered = set(file.schema_arrow.names) <= newer
            gone.extend([name] if is_covered else [])
    return gone


def to_meta(measure_set: MeasureSet, order: int) -> dict[str, object]:
    """What a commit keeps of a set, so that a later run can go on with it."""
    limits = measure_set.limits
    return {
        "measures": [{"name": s.name, "params": dict(s.params)} for s in measure_set.specs],
        "limits": {
            "max_bytes": limits.max_bytes,
            "max_pixels": limits.max_pixels,
            "max_side": limits.max_side,
            "formats": sorted(limits.formats),
        },
        "generation": measure_set.generation,
        "order": order,
    }


def from_meta(state: TableState) -> MeasureSet:
    """The set that `to_meta` described."""
    limits = dict(state.meta["limits"])
    limits["formats"] = frozenset(limits["formats"])
    specs = tuple(MeasureSpec(m["name"], m["params"]) for m in state.meta["measures"])
    return MeasureSet(specs, Limits(**limits), state.meta["generation"])


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
    """The conservation law of a scan: records = ok + errors by code."""

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


def tally(workspace: Workspace) -> Tally:
    """Count the committed rows and assert the law; `WorkspaceError` where it does not hold."""
    errors: dict[str, int] = {}
    n_ok = n_records = 0
    for id_range in workspace.ranges():
        n_records += len(workspace.read("records", ["image_id"], id_range=id_range))
        rows = workspace.read("measures", ["error"], id_range=id_range)
        n_ok += rows["error"].null_count
        for code, n in error_counts(rows).items():
            errors[code] = errors.get(code, 0) + n
    found = Tally(n_records, n_ok, dict(sorted(errors.items())))
    if found.n_ok + found.n_errors != n_records:
        raise WorkspaceError(f"the conservation law does not hold: {found.line()}")
    return found


def next_generation(tables: Mapping[str, TableState]) -> int:
    """One more than any committed set has: what `--refresh` computes."""
    return max((s.meta["generation"] for s in measure_sets(tables).values()), default=0) + 1


@dataclass(frozen=True)
class Work:
    """What one scan computes, or computed."""

    plan: Plan
    sets: tuple[MeasureSet, ...]
    images_per_second: float = 0.0

    @property
    def n_rows(self) -> int:
        """Images to decode."""
        return self.plan.n_rows

    def numbers(self) -> dict[str, object]:
        """For the commit and for machines."""
        return {
            "n_records": self.plan.n_records,
            "n_decoded": self.n_rows,
            "pending_bytes": self.plan.pending_bytes,
            "images_per_second": round(self.images_per_second, 1),
        }

    def lines(self) -> list[str]:
        """The plan, for `--dry-run`."""
        columns = sum(len(s.schema) for s in self.sets)
        seconds = self.n_rows * SECONDS_PER_IMAGE
        return [
            f"plan: {self.n_rows:,} of {self.plan.n_records:,} images pending, "
            f"{len(self.plan.chunks):,} chunks",
            f"  {self.plan.pending_bytes / 1e9:,.2f} GB to read, about "
            f"{self.n_rows * ROW_BYTES / 1e9:,.3f} GB to write in {columns} columns",
            f"  about {seconds / 60:,.1f} CPU minutes, at most {WORKER_BYTES / 1e9:.0f} GB of "
            "memory a worker",
        ]


def fill(change: Change, session: Session, plan_: SetPlan, options: ScanOptions) -> Work:
    """Compute what the sets lack: rows -> parts, checked complete and within the error rate."""
    order = max((s.meta.get("order", 0) for s in change.base.tables.values()), default=0)
    tables: dict[str, KeyedTable] = {}
    covers = parts_digest(change.records)
    for measure_set in plan_.sets:
        held = change.base.tables.get(measure_set.table)
        order = order if held else order + 1
        meta = to_meta(measure_set, held.meta["order"] if held else order)
        spec = PartSpec(measure_set.table, measure_set.fingerprint, measure_set.schema)
        tables[measure_set.table] = change.keyed(spec, {**meta, "covers": covers})
    work = plan(change.store, change.records, list(tables.values()), options.chunk_rows)
    if options.is_dry_run:
        return Work(work, plan_.sets)
    sets = plan_.by_table()
    rate = 0.0
    for names, chunks in work.groups().items():
        stage = Scan(tuple(sets[n] for n in names), options.confinement)
        rate = map_chunks(session, stage, chunks, tables).rate
    for table in tables.values():
        check_complete(table, work.chunks, change.store)
        n_errors = sum(sum(p.errors.values()) for p in table.added)
        refuse_errors(n_errors, sum(p.rows for p in table.added), options.max_error_rate)
    for name in superseded(change, plan_):
        change.drop(name)
    return Work(work, plan_.sets, rate)
