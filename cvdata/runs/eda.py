"""EDA as a run: three folds over committed tables, no pixels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cvdata import schema
from cvdata.commits import Commit, TableState
from cvdata.eda import GroupFold, Summarize, SummaryTables
from cvdata.eda.summarize import SummaryState
from cvdata.engine.session import EngineConfig, Session
from cvdata.engine.verbs import TableReader, fold
from cvdata.errors import ConfigError
from cvdata.issues import Context, IssueSettings, SizeFold, find_issues
from cvdata.parts import Part, PartSpec, parts_digest, write_content
from cvdata.reading import IdRange
from cvdata.runs.mismatched import doubts_in, with_doubts
from cvdata.storage import Store, digest
from cvdata.workspace import Change, Workspace

EDA_VERSION = 1
"""Moves whenever issues or summary of the same measures can change."""

RECORD_COLUMNS = ["source", "split", "label", "boxes"]
SERIAL_BELOW_RANGES = 8
"""Up to 2 M rows a loop in this process is faster than starting Ray."""


@dataclass(frozen=True)
class EdaRange:
    """One range of ids: its issues are written, its numbers are returned."""

    reader: TableReader
    store: Store
    spec: PartSpec
    context: Context
    settings: IssueSettings
    summarize: Summarize

    def __call__(self, id_range: IdRange) -> tuple[Part, SummaryState]:
        """The part of the range's issues, and the state of its numbers."""
        wide = self.reader.read(id_range)
        workspace = Workspace(self.reader.url).pin(self.reader.seq)
        boxes = wide.select(["image_id", "boxes"])
        doubted = with_doubts(wide, doubts_in(workspace, id_range))
        issues = find_issues(doubted, boxes, self.context, self.settings)
        part = write_content(self.store, self.spec, issues)
        return part, self.summarize.update(self.summarize.zero(), wide)


@dataclass(frozen=True)
class Found:
    """What EDA found."""

    issues: TableState
    tables: SummaryTables


def session_for(config: EngineConfig, ranges: Sequence[IdRange]) -> Session:
    """A loop for what a loop does in seconds, the configured engine for more."""
    if config.kind == "auto" and not config.address and len(ranges) <= SERIAL_BELOW_RANGES:
        return Session(EngineConfig("serial"))
    return Session(config)


def bring_up_to_date(
    change: Change, engine: EngineConfig, settings: IssueSettings, *, is_forced: bool = False
) -> bool:
    """Compute issues and summary unless those of these very measures are committed already."""
    refuse_without_measures(change.base, change.store.url)
    if not is_forced and is_current(change.base, settings):
        return False
    publish(change, explore(change, engine, settings).tables)
    return True


def explore(change: Change, engine: EngineConfig, settings: IssueSettings) -> Found:
    """Issues and summary of the committed measures, computed anew from the tables."""
    head = change.base
    workspace = Workspace(change.store.url, store=change.store).pin(head.seq)
    ranges = workspace.ranges()
    with session_for(engine, ranges) as session:
        size = _reader(head, change.store, {"measures": ["width", "height"]}, workspace)
        context = fold(session, SizeFold(), size, ranges)
        labels = TableReader(change.store.url, head.seq, {"records": RECORD_COLUMNS})
        groups = fold(session, GroupFold(), labels, ranges)
        summarize = Summarize(groups)
        wide = {"measures": _facts(workspace), "records": RECORD_COLUMNS}
        spec = PartSpec("issues", digest(schema.ISSUES.serialize()), schema.ISSUES)
        work = EdaRange(
            TableReader(change.store.url, head.seq, wide),
            change.store,
            spec,
            context,
            settings,
            summarize,
        )
        acc, parts = summarize.zero(), []
        for part, state in session.run(work, ranges):
            acc = summarize.merge(acc, state)
            parts.append(part)
    thresholds = {issue.name: issue.threshold for issue in settings.issues()}
    meta = {**origin(head), "settings": _settings(settings), "thresholds": thresholds}
    unique = {part.path: part for part in parts}
    issues = TableState(spec.fingerprint, tuple(unique[p] for p in sorted(unique)), meta)
    change.put_state("issues", issues)
    return Found(issues, summarize.finalize(acc))


def publish(change: Change, tables: SummaryTables) -> None:
    """Write the summary as tables and as JSON."""
    meta = origin(change.base)
    for name, rows, columns in (
        ("summary", tables.summary, schema.SUMMARY),
        ("counts", tables.counts, schema.COUNTS),
        ("histograms", tables.histograms, schema.HISTOGRAMS),
        ("joint", tables.joint, schema.JOINT),
        ("cooccurrence", tables.cooccurrence, schema.COOCCURRENCE),
        ("class_profile", tables.class_profile, schema.CLASS_PROFILE),
    ):
        change.replace(name, [rows], columns, meta=meta)
    text = json.dumps(tables.answers, indent=1, sort_keys=False, allow_nan=False)
    change.artifact("summary.json", text.encode(), "summary", ".json")


def is_current(head: Commit, settings: IssueSettings) -> bool:
    """Whether the committed issues and summary are those of these measures and settings."""
    state = head.tables.get("issues")
    wanted = {"inputs": origin(head)["inputs"], "settings": _settings(settings)}
    return state is not None and all(state.meta.get(k) == v for k, v in wanted.items())


def _settings(settings: IssueSettings) -> dict[str, Any]:
    return {"version": EDA_VERSION, **settings.model_dump(mode="json")}


def origin(head: Commit) -> dict[str, Any]:
    """What the tables were computed from: a commit, and a digest that shows when it is stale."""
    parts = [p for n, s in head.tables.items() if n.startswith("measures/") for p in s.parts]
    inputs = parts_digest([*parts, *head.tables["records"].parts])
    return {"computed_from": head.seq, "inputs": inputs}


def _facts(workspace: Workspace) -> list[str]:
    keys = ("image_id", "revision")
    return [name for name in workspace.columns("measures") if name not in keys]


def _reader(
    head: Commit, store: Store, columns: dict[str, list[str]], workspace: Workspace
) -> TableReader:
    """A reader of those columns that the measures have."""
    known = set(workspace.columns("measures"))
    kept = {name: [c for c in cs if c in known] for name, cs in columns.items()}
    return TableReader(store.url, head.seq, kept)


def refuse_without_measures(head: Commit, url: str) -> None:
    """`ConfigError` where nothing was scanned."""
    if not any(name.startswith("measures/") for name in head.tables):
        raise ConfigError(f"{url} has no measures yet: run `cvdata scan --workspace {url}` first")
