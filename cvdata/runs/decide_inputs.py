"""Which tables a decision rests on: those there are, and whether they are those of these images."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cvdata.commits import Commit
from cvdata.errors import ConfigError, WorkspaceError
from cvdata.parts import parts_digest
from cvdata.runs.eda import origin
from cvdata.storage import digest
from cvdata.workspace import Workspace

DECIDE_VERSION = 1
"""Moves whenever the same tables and rules can be decided otherwise."""

MADE_BY = {
    "measures": "scan",
    "issues": "eda",
    "duplicates": "dedup",
    "leaks": "dedup",
    "pairs": "dedup",
    "outliers": "outliers",
    "label_issues": "labels",
}
"""The tables that rules are about, and the job that writes each."""

_OF_MEASURES = ("issues", "duplicates", "leaks")
OURS_AND_LATER = ("selection", "budget", "merged", "augmented")
_DERIVED = (*_OF_MEASURES, "outliers", "label_issues")


@dataclass(frozen=True)
class Inputs:
    """Tables that are used, rules' tables that are not there, and those of an older state."""

    used: tuple[str, ...]
    absent: tuple[str, ...]
    stale: tuple[str, ...]

    def lines(self) -> list[str]:
        """What a person should know."""
        out = []
        missing: dict[str, list[str]] = {}
        for name in self.absent:
            missing.setdefault(MADE_BY[name], []).append(name)
        for job, names in missing.items():
            out.append(f"  not used, not there: {', '.join(names)} (`cvdata {job}` makes them)")
        if self.stale:
            out.append(
                f"  stale: {', '.join(self.stale)}: images that changed since are not judged by it"
            )
        return out


def inputs_of(workspace: Workspace) -> Inputs:
    """What there is to decide from."""
    there = set(workspace.tables())
    used = [name for name in MADE_BY if name in there]
    stale = [name for name in _DERIVED if name in there and is_stale(workspace, name)]
    extra = [name for name in ("splits",) if name in there]
    absent = [name for name in MADE_BY if name not in there]
    return Inputs((*used, *extra), tuple(absent), tuple(stale))


def is_stale(workspace: Workspace, name: str) -> bool:
    """Whether images were ingested (or, for what rests on measures alone, scanned) since.

    Issues, copies and leaks keep a digest of records and measures. The others read what their
    options named: they are held to the records of the commit that they were computed from; where
    `gc` took that commit they pass, and rows of images that changed since are not used anyway.
    """
    head = workspace.head
    meta = head.tables[name].meta
    if name in _OF_MEASURES:
        return bool(meta.get("inputs") != origin(head)["inputs"])
    try:
        then = workspace.log.read(int(meta.get("computed_from", head.seq)))
    except WorkspaceError:
        return False
    known = then.tables.get("records")
    return known is None or known.parts != head.tables["records"].parts


def refuse_stale(inputs: Inputs, url: str) -> None:
    """Raise `ConfigError` that says what to run."""
    if inputs.stale:
        jobs = dict.fromkeys(MADE_BY[name] for name in inputs.stale)
        runs = ", ".join(f"`cvdata {job} --workspace {url}`" for job in jobs)
        raise ConfigError(
            f"images were ingested or scanned since {', '.join(inputs.stale)} was computed: run "
            f"{runs}, or decide from what there is with --stale use"
        )


def meta_of(head: Commit, inputs: Inputs, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the selection names as its origin; `is_current` compares it.

    With SQL rules every table may matter.
    """
    names = {n for n in head.tables if n.partition("/")[0] not in OURS_AND_LATER}
    if not settings["rules"]["sql"]:
        names = {n for n in names if n.partition("/")[0] in {*inputs.used, "records"}}
        model = settings["balance"]["embeddings"]
        names |= {f"embeddings/{model}"} & set(head.tables)
    else:
        names = {n for n in names if not n.startswith("synthetic/")}
    parts = [part for name in sorted(names) for part in head.tables[name].parts]
    text = json.dumps({"version": DECIDE_VERSION, **settings}, sort_keys=True)
    return {
        "computed_from": head.seq,
        "inputs": digest((parts_digest(parts) + text).encode()),
        "settings": text,
    }


def is_current(head: Commit, meta: Mapping[str, Any]) -> bool:
    """Whether the committed selection is that of these very tables and rules."""
    state = head.tables.get("selection")
    return state is not None and state.meta.get("inputs") == meta["inputs"]


def is_decided(workspace: Workspace) -> bool:
    """Whether the committed selection is that of the tables as they are, by its own rules."""
    state = workspace.head.tables["selection"]
    settings: dict[str, Any] = json.loads(state.meta["settings"])
    settings.pop("version")
    return is_current(workspace.head, meta_of(workspace.head, inputs_of(workspace), settings))
