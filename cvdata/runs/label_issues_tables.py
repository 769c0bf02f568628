"""What a run about labels publishes: the ranked table, its figures, and both in words."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.label_issues.judge import CONFIDENT, DOUBTED
from cvdata.parts import parts_digest
from cvdata.runs.label_issues import (
    Found,
    LabelOptions,
    by_embeddings,
    by_model,
    refuse_no_table,
)
from cvdata.runs.label_issues_boxes import by_detector
from cvdata.schema import LABEL_ISSUES
from cvdata.workspace import Change, Workspace

LABELS_VERSION = 3
"""Moves whenever the same tables and settings can give another result."""

NOTHING = "name --embeddings, --predictions or --boxes: nothing was asked"
TABLE, FIGURES = "label_issues", "labels.json"


def look(session: Session, workspace: Workspace, options: LabelOptions) -> dict[str, Found]:
    """Everything that was asked for, by what it was asked of; `ConfigError` for nothing at all."""
    if not (options.embeddings or options.predictions or options.boxes):
        raise ConfigError(NOTHING)
    found: dict[str, Found] = {}
    if options.predictions:
        found["predictions"] = by_model(session, workspace, options)
    if options.embeddings:
        learnt = by_embeddings(session, workspace, options)
        rows = learnt.rows
        if options.predictions:
            # the named model's probabilities are the ones of confident learning
            rows = rows.filter(pc.not_equal(rows["method"], CONFIDENT))
        found["embeddings"] = Found(rows, learnt.figures)
    if options.boxes:
        found["boxes"] = by_detector(session, workspace, options)
    return found


def ranked(found: Sequence[pa.Table]) -> pa.Table:
    """LABEL_ISSUES: the doubts of all methods, each method ranked by itself."""
    rows = pa.concat_tables([DOUBTED.empty_table(), *found]).combine_chunks()
    keys = [("method", "ascending"), ("order", "descending"), ("image_id", "ascending")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=keys))
    codes = np.asarray(rows["method"].combine_chunks().dictionary_encode().indices, np.int64)
    rank = np.arange(len(codes)) - np.searchsorted(codes, codes) + 1
    rows = rows.append_column("rank", pa.array(rank, pa.int64())).select(LABEL_ISSUES.names)
    rows = rows.cast(LABEL_ISSUES)
    return rows.sort_by([("image_id", "ascending"), ("method", "ascending")])


def publish(
    change: Change, found: Mapping[str, Found], settings: str, tables: list[str]
) -> pa.Table:
    """Table and figures in one commit, with what they were computed from; the table."""
    rows = ranked([f.rows for f in found.values()])
    meta = {**_origin(change.base, tables), "settings": settings}
    change.replace(TABLE, [rows], LABEL_ISSUES, meta=meta)
    figures = {
        "doubted": _counts(rows),
        "flagged": _counts(rows.filter(rows["is_flagged"])),
        "sources": {name: f.figures for name, f in found.items()},
    }
    text = json.dumps(figures, indent=1, sort_keys=True, allow_nan=False)
    change.artifact(FIGURES, text.encode(), "summary", ".json")
    return rows


def _counts(rows: pa.Table) -> dict[str, int]:
    found = pc.value_counts(rows["method"]).to_pylist()
    return {v["values"]: v["counts"] for v in sorted(found, key=lambda v: str(v["values"]))}


def inputs_of(options: LabelOptions) -> list[str]:
    """The tables that are read."""
    named = {
        "embeddings": [options.embeddings],
        "predictions": [options.predictions, options.boxes],
    }
    return [f"{kind}/{name}" for kind, names in named.items() for name in names if name]


def refuse_absent(head: Commit, tables: Sequence[str]) -> None:
    """`ConfigError` where there is nothing to judge by."""
    if not tables:
        raise ConfigError(NOTHING)
    for name in tables:
        refuse_no_table(head, name)


def _origin(head: Commit, tables: list[str]) -> dict[str, Any]:
    """What the rows were computed from: a commit, and a digest that shows when they are stale."""
    read = ["records", "duplicates", *tables]
    parts = [p for name in read if name in head.tables for p in head.tables[name].parts]
    return {
        "computed_from": head.seq,
        "inputs": parts_digest(parts),
        "version": LABELS_VERSION,
        "tables": tables,
    }


def is_current(head: Commit, settings: str, tables: list[str]) -> bool:
    """Whether the committed table is that of these very tables and settings."""
    state = head.tables.get(TABLE)
    wanted = {**_origin(head, tables), "settings": settings}
    keys = ("inputs", "settings", "version")
    return state is not None and all(state.meta.get(k) == wanted[k] for k in keys)


def is_stale(head: Commit) -> bool:
    """Whether its inputs changed since the committed table was made."""
    meta = head.tables[TABLE].meta
    return bool(meta.get("inputs") != _origin(head, list(meta.get("tables", [])))["inputs"])


def lines(figures: Mapping[str, Any]) -> list[str]:
    """The figures for a person."""
    flagged: dict[str, int] = figures["flagged"]
    text = [f"labels: {sum(flagged.values()):,} flags in {len(flagged)} methods"]
    for method, n in figures["doubted"].items():
        text.append(f"  {method:<20} {flagged.get(method, 0):>8,} flagged of {n:>8,} doubted")
    learnt = figures["sources"].get("embeddings")
    if learnt:
        text.append(
            f"  probes: {learnt['accuracy']:.1%} of {learnt['n_learnt']:,} labels met out of "
            f"sample in {learnt['n_classes']:,} classes; noise by the confident joint "
            f"{learnt['estimated_noise']:.1%}"
        )
        if learnt["n_rare_images"]:
            text.append(f"  {learnt['n_rare_images']:,} images are of classes too rare to judge")
    model = figures["sources"].get("predictions")
    if model:
        text.append(f"  model: about {model['estimated_rate']:.1%} of the labels look wrong")
        if model["n_unknown_images"]:
            text.append(f"  {model['n_unknown_images']:,} images bear labels it has no class for")
    return text
