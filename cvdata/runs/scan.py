"""Which measure sets a scan computes: what is asked for, less what committed sets hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cvdata.commits import TableState
from cvdata.engine.capacity import Needs
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.image import Limits
from cvdata.measures import spec_fingerprint
from cvdata.parts import PartSpec, open_part
from cvdata.runs.estimate import Cost
from cvdata.runs.filling import Filling, FillOptions, Work, fill_tables
from cvdata.runs.infer import (
    chunked,
    cost_of,
    describe,
    make_ready,
    needs_of,
    prepared_bytes,
    spec_of,
)
from cvdata.stages.base import Resources, Stage
from cvdata.stages.isolation_process import Confinement
from cvdata.stages.predict import Inference, Predict
from cvdata.stages.scan import MeasureSet, MeasureSpec, Scan
from cvdata.workspace import Change

PREFIX = "measures/"
SECONDS_PER_IMAGE, SECONDS_PER_BYTE, ROW_BYTES = 0.0006, 3.8e-8, 1000
"""Of a CPU, for an image and for each byte of its file (docs/benchmarks.md); bytes of a row."""


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


def scan_cost(n_columns: int = 0) -> Cost:
    """What measuring an image takes, before a run of this workspace says it better."""
    return Cost(SECONDS_PER_IMAGE, ROW_BYTES, n_columns, SECONDS_PER_BYTE)


def next_generation(tables: Mapping[str, TableState]) -> int:
    """One more than any committed set has: what `--refresh` computes."""
    return max((s.meta["generation"] for s in measure_sets(tables).values()), default=0) + 1


def fill(
    change: Change,
    session: Session,
    plan_: SetPlan,
    options: FillOptions,
    inference: Inference | None = None,
) -> Work:
    """Compute what the sets lack, and what the model's table lacks, each image decoded once."""
    order = max((s.meta.get("order", 0) for s in change.base.tables.values()), default=0)
    tables: list[tuple[PartSpec, Mapping[str, object]]] = []
    for measure_set in plan_.sets:
        held = change.base.tables.get(measure_set.table)
        order = order if held else order + 1
        meta = to_meta(measure_set, held.meta["order"] if held else order)
        tables.append(
            (PartSpec(measure_set.table, measure_set.fingerprint, measure_set.schema), meta)
        )
    columns = sum(len(s.schema) for s in plan_.sets)
    cost = scan_cost(columns)
    needs = needs_of(inference) if inference is not None else Needs()
    traveling = prepared_bytes(inference) if inference is not None else 0
    if inference is not None:
        tables.append((spec_of(inference), describe(inference)))
        cost += cost_of(inference)
        options = chunked(options, inference, sum(part.rows for part in change.records))
    stages = _Stages(plan_.by_table(), inference, options.confinement)
    filling = Filling(tables, stages, cost, needs, traveling)
    work = fill_tables(change, session, filling, options)
    if not options.is_dry_run:
        for name in superseded(change, plan_):
            change.drop(name)
    return work


@dataclass(frozen=True)
class _Stages:
    """The stage that feeds just the tables named: one pass over the pixels, whatever they are."""

    sets: Mapping[str, MeasureSet]
    inference: Inference | None
    confinement: Confinement

    def __call__(self, names: tuple[str, ...]) -> Stage:
        chosen = tuple(self.sets[n] for n in names if n in self.sets)
        model = self.inference
        if model is None or model.table not in names:
            return Scan(chosen, self.confinement)
        make_ready(model)
        if not chosen:
            return Predict(model, self.confinement)
        needs = Resources() if model.is_apart else model.resources
        return Scan(chosen, self.confinement, needs, model)
