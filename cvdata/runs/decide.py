"""Decide as a run: passes over ranges of ids, in bounded memory; tables in, `selection` out."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from cvdata.balance import Balance
from cvdata.decide.findings import FINDINGS, findings
from cvdata.decide.floors import FloorTally
from cvdata.decide.lists import NameList, refuse_unmatched
from cvdata.decide.query import database
from cvdata.decide.rules import Rules
from cvdata.duplicates.merge import SAME_GEOMETRY
from cvdata.engine.session import EngineConfig, Session
from cvdata.errors import ConfigError
from cvdata.issues import ISSUES
from cvdata.parts import Part
from cvdata.reading import IdRange
from cvdata.runs.decide_balance import VECTORS_ASKED, Balanced, balance
from cvdata.runs.decide_cut import Columns, Cut, cut_tables
from cvdata.runs.decide_inputs import (
    Inputs,
    inputs_of,
    is_current,
    meta_of,
    refuse_stale,
)
from cvdata.runs.decide_judge import FINDING_TABLES, RECORDS_ASKED, Judged, JudgeRange
from cvdata.runs.decide_links import GROUPS_ASKED, Linked, keep_policy, link
from cvdata.runs.decide_merge import ClassCounts, MergeRange, Scope, empty_ids, floors_of
from cvdata.runs.decide_outcome import DecideOptions, Decision
from cvdata.runs.decide_publish import publish
from cvdata.runs.decide_smote import synthetic_rows
from cvdata.runs.decide_spill import Spill, spill
from cvdata.runs.decide_united import united_rows
from cvdata.runs.decide_write import Tally, WriteRange
from cvdata.runs.eda import session_for
from cvdata.schema import ID
from cvdata.storage import digest
from cvdata.workspace import Change, Workspace

DERIVED = {"pixels": ("width", "height"), "is_labeled": ()}
"""Columns of a keep policy that are made of others."""


def bring_up_to_date(
    change: Change, engine: EngineConfig, options: DecideOptions, *, is_forced: bool = False
) -> Decision | None:
    """Decide and publish; None where the committed selection is that of these tables and rules."""
    workspace = Workspace(change.store.url, store=change.store).pin(change.base.seq)
    _refuse_without_records(change)
    inputs = inputs_of(workspace)
    if not options.uses_stale:
        refuse_stale(inputs, change.store.url)
    lists = NameList.read(options.rules.keep_list), NameList.read(options.rules.drop_list)
    meta = meta_of(change.base, inputs, _settings(options, lists))
    if not (is_forced or options.is_dry) and is_current(change.base, meta):
        return None
    _check(workspace, inputs, options)
    decision = _decide(workspace, engine, options, (inputs, lists))
    if not options.is_dry:
        publish(change, decision, options, meta)
    return decision


def _refuse_without_records(change: Change) -> None:
    if not change.records:
        raise ConfigError(f"{change.store.url} has no records: run `cvdata ingest` first")


def _settings(options: DecideOptions, lists: tuple[NameList, NameList]) -> dict[str, Any]:
    """All that can change a decision; of the lists what they say, not where they lie."""
    rules = options.rules.model_dump(mode="json", exclude={"keep_list", "drop_list"})
    named = {
        name: digest("\n".join(one.lines).encode()) if one.lines else ""
        for name, one in zip(("keep_list", "drop_list"), lists, strict=True)
    }
    return {"rules": rules, "lists": named, "balance": options.balance.model_dump(mode="json")}


def _check(workspace: Workspace, inputs: Inputs, options: DecideOptions) -> None:
    """Refuse what cannot be done before any work starts."""
    rules, head = options.rules, workspace.head
    methods: dict[str, set[str]] = {
        name: set(pa.compute.unique(workspace.read(name, ["method"])["method"]).to_pylist())
        for name in ("outliers", "label_issues")
        if name in inputs.used
    }
    if "duplicates" in inputs.used and "dedup.json" in head.artifacts:
        known = set(json.loads(workspace.artifact("dedup.json"))["methods"])
        methods |= {"duplicates": known, "leaks": known}
    thresholds = head.tables["issues"].meta.get("thresholds", {}) if "issues" in head.tables else {}
    rules.check({issue.name for issue in ISSUES} | set(thresholds), methods)
    if rules.duplicates.action == "merge" and rules.duplicates.method not in SAME_GEOMETRY:
        raise ConfigError(
            f"duplicates: merge carries boxes over by scale, so its method must be one of "
            f"{', '.join(SAME_GEOMETRY)}, not {rules.duplicates.method}"
        )
    model = options.balance.embeddings
    if model and f"embeddings/{model}" not in head.tables:
        url = workspace.store.url
        raise ConfigError(
            f"balance: there is no table embeddings/{model}: run "
            f"`cvdata infer --workspace {url} --model {model}` first"
        )


def _decide(
    workspace: Workspace,
    engine: EngineConfig,
    options: DecideOptions,
    given: tuple[Inputs, tuple[NameList, NameList]],
) -> Decision:
    inputs, lists = given
    rules, used = options.rules, inputs.used
    ranges = workspace.ranges()
    with _passes(workspace, engine, ranges) as (session, store):
        tables = cut_tables(session, workspace, store, ranges, _asked(workspace, inputs, options))
        _by_sql(workspace, store, ranges, options)
        judged = _judge(session, workspace, tables, (rules, inputs, lists))
        linked = link(workspace, tables, rules, used)
        tally = FloorTally()
        numbers = list(range(len(ranges)))
        for one in session.run(MergeRange(store, rules), numbers):
            tally = tally.merge(one, {**floors_of(rules, tally), **floors_of(rules, one)})
        floors = floors_of(rules, tally)
        back = tally.restored(floors)
        scope = _scope(options.balance, tables, inputs, list(chain(*back.values())))
        balanced = Balanced(scope, ClassCounts())
        if options.balance.is_active:
            balanced = balance(session, tables, (options.balance, scope, floors))
        repeats = options.balance.oversample == "repeat"
        write = WriteRange(store, balanced, repeats, options.is_dry)
        total, parts = _written(session, write, numbers)
        merged, synthetic = _made(tables, linked, balanced, options)
    restored = {label: len(ids) for label, ids in back.items()}
    n_unscanned = sum(j.n_unscanned for j in judged)
    return Decision(
        total, parts, linked, balanced, restored, n_unscanned, inputs, merged, synthetic
    )


def _made(
    tables: Cut, linked: Linked | None, balanced: Balanced, options: DecideOptions
) -> tuple[pa.Table | None, pa.Table | None]:
    """The rows of `merged` and of `synthetic`, where they are asked for."""
    if options.is_dry:
        return None, None
    duplicates = options.rules.duplicates
    merged = synthetic = None
    if duplicates.action == "merge" and linked is not None:
        merged = united_rows(tables, linked, duplicates.method)
    if options.balance.smote:
        synthetic = synthetic_rows(tables, balanced, options.balance)
    return merged, synthetic


def _asked(workspace: Workspace, inputs: Inputs, options: DecideOptions) -> Columns:
    """What passes over the ranges read of each table."""
    asked: dict[str, Sequence[str] | None] = {"records": RECORDS_ASKED}
    if "measures" in inputs.used:
        asked["measures"] = ("error", "width", "height", *_facts(workspace))
    if "duplicates" in inputs.used:
        asked["duplicates"] = GROUPS_ASKED
    asked |= {name: None for name in (*FINDING_TABLES, "splits") if name in inputs.used}
    settings = options.balance
    if settings.embeddings and (
        settings.smote or settings.undersample in ("k_center", "hierarchical")
    ):
        asked[f"embeddings/{settings.embeddings}"] = VECTORS_ASKED
    return asked


@contextmanager
def _passes(
    workspace: Workspace, engine: EngineConfig, ranges: list[IdRange]
) -> Iterator[tuple[Session, Spill]]:
    with session_for(engine, ranges) as session, spill(workspace.store) as store:
        yield session, store


def _by_sql(
    workspace: Workspace, store: Spill, ranges: list[IdRange], options: DecideOptions
) -> None:
    """FINDINGS of the user's conditions, to the ranges: 16 bytes an image that they match."""
    if not options.rules.sql:
        return
    starts = np.array([low for low, _ in ranges], "S16")
    tables = []
    with (
        TemporaryDirectory(prefix="cvdata-sql-") as folder,
        database(workspace, folder, options.memory) as db,
    ):
        for rule in options.rules.sql:
            db.check(rule)
        for rule in options.rules.sql:
            is_drop = rule.action == "drop"
            tables += [findings(ids, "user", is_drop) for ids in db.matching(rule)]
    rows = pa.concat_tables([FINDINGS.empty_table(), *tables])
    ids = rows["image_id"].to_pylist()
    # S16 strips zero bytes at the end, from both sides alike: the order is the same
    number = np.searchsorted(starts, np.array(ids, "S16"), side="right") - 1
    for n in np.unique(number).tolist():
        store.put("sql", n, rows.filter(pa.array(number == n)))


def _judge(
    session: Session,
    workspace: Workspace,
    tables: Cut,
    given: tuple[Rules, Inputs, tuple[NameList, NameList]],
) -> list[Judged]:
    rules, inputs, lists = given
    known = set(workspace.columns("measures")) if "measures" in inputs.used else set()
    facts = tuple(c for c in _facts(workspace) if c in known)
    used = (*inputs.used, *(n for n in FINDING_TABLES if n in inputs.used))
    work = JudgeRange(tables.spill, tables, rules, lists, used, facts)
    judged = list(session.run(work, list(enumerate(tables.ranges))))
    for names, field in zip(lists, ("kept_lines", "dropped_lines"), strict=True):
        refuse_unmatched(names, {line for one in judged for line in getattr(one, field)})
    return judged


def _facts(workspace: Workspace) -> list[str]:
    """Columns of `measures` that the keep policy and floors look at."""
    asked = [c for name in keep_policy(workspace).needs for c in DERIVED.get(name, (name,))]
    named = dict.fromkeys([*asked, "width", "height"])
    return [c for c in named if c not in ("image_id", "revision", "error")]


def _scope(settings: Balance, tables: Cut, inputs: Inputs, restored: list[bytes]) -> Scope:
    back = pa.array(sorted(restored), ID) if restored else empty_ids()
    has_split = "splits" in inputs.used
    for id_range in () if has_split else tables.ranges:
        rows = tables.read("records", ["split"], id_range=id_range)
        if rows["split"].null_count < len(rows):
            has_split = True
            break
    return Scope(tuple(settings.splits) if has_split else None, back)


def _written(
    session: Session, write: WriteRange, numbers: list[int]
) -> tuple[Tally, dict[str, tuple[Part, ...]]]:
    total = Tally()
    parts: dict[str, dict[str, Part]] = {"selection": {}, "budget": {}}
    for selected, planned, tally in session.run(write, numbers):
        total += tally
        for name, part in (("selection", selected), ("budget", planned)):
            if part is not None:
                parts[name][part.path] = part
    return total, {name: tuple(held[p] for p in sorted(held)) for name, held in parts.items()}
