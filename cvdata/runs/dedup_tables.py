"""What a deduplication publishes: pairs, duplicates, leaks, conflicts, and figures in words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.commits import Commit
from cvdata.duplicates.candidates import Candidates, expanded, joined
from cvdata.duplicates.groups import connected
from cvdata.duplicates.history import SUCCESSIONS, history_of, successions
from cvdata.duplicates.tables import duplicates_table, pairs_table
from cvdata.duplicates.verdicts import ACCEPTED, I8, REFUSED, UNASKED
from cvdata.kernels.graph import Neighbors
from cvdata.leaks import conflicts_table, leaks_table
from cvdata.runs.components import HAS_VECTOR, Images
from cvdata.runs.dedup import Cover
from cvdata.runs.dedup_options import DedupOptions
from cvdata.runs.eda import origin
from cvdata.workspace import Change, Workspace

DEDUPLICATED = pa.schema(
    [
        schema.ISSUES.field("image_id"),
        schema.ISSUES.field("revision"),
        pa.field(HAS_VECTOR, pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Outcome:
    """The tables of one run and its figures."""

    pairs: pa.Table
    duplicates: pa.Table
    leaks: pa.Table
    conflicts: pa.Table
    successions: pa.Table
    figures: Mapping[str, Any]


def tables_of(
    workspace: Workspace, images: Images, found: Mapping[str, Candidates], cover: Cover
) -> Outcome:
    """Everything as tables, sorted, and the figures by method."""
    plain = {m: expanded(c.neighbors) for m, c in found.items()}
    radii = {m: c.radius or 1e-9 for m, c in found.items()}
    copies = Neighbors.of_rows(len(images), [], [], [])
    plain["any"] = joined(copies, [(plain[m], radii[m]) for m in found])
    ids = images.table["image_id"]
    pairs, duplicates, leaks, figures = [], [], [], {}
    for method, neighbors in plain.items():
        verdicts = cover.verdicts.at(neighbors.a, neighbors.b)
        if method != "any":
            pairs.append(_with_verdicts(method, ids, neighbors, verdicts))
        standing = _standing(neighbors, verdicts)
        duplicates.append(duplicates_table(method, images.table, cover.stars[method]))
        leaks.append(leaks_table(method, images.table, standing))
        figures[method] = _figures(method, len(neighbors.a), standing, cover, images)
        if method != "any":
            figures[method] |= _search_figures(found[method], images)
    all_duplicates = pa.concat_tables(duplicates)
    records = workspace.read("records", ["image_id", "label", "boxes"])
    succeeded = _successions(workspace, images, cover)
    return Outcome(
        pa.concat_tables([schema.PAIRS.empty_table(), *pairs]),
        all_duplicates,
        pa.concat_tables([schema.LEAKS.empty_table(), *leaks]),
        conflicts_table(all_duplicates, records),
        succeeded,
        {
            "methods": figures,
            "n_images": int(images.weight.sum()),
            "n_set_aside": 0,
            "n_crowds": 0,
            "n_verified": len(cover.verdicts),
            "n_turned_down": int((~cover.verdicts.is_copy).sum()),
            "n_unread": cover.n_unread,
            "n_keepers_gone": len(pc.unique(succeeded["removed"])),
            "n_succeeded": int(pc.sum(succeeded["n_images"]).as_py() or 0),
        },
    )


def _with_verdicts(
    method: str, ids: pa.ChunkedArray, neighbors: Neighbors, verdicts: I8
) -> pa.Table:
    """PAIRS with what the second look said, null where it was not asked."""
    rows = pairs_table(method, ids, neighbors, verdicts == ACCEPTED)
    asked = pairs_table(method, ids, neighbors, verdicts != UNASKED)["is_verified"]
    masked = pc.if_else(asked, rows["is_verified"], pa.scalar(None, pa.bool_()))
    at = rows.schema.get_field_index("is_verified")
    return rows.set_column(at, schema.PAIRS.field("is_verified"), masked)


def _standing(neighbors: Neighbors, verdicts: I8) -> Neighbors:
    """The pairs that nobody turned down."""
    kept = verdicts != REFUSED
    return Neighbors.of_rows(
        len(neighbors.unit), neighbors.a[kept], neighbors.b[kept], neighbors.distance[kept]
    )


def _figures(
    method: str,
    n_pairs: int,
    standing: Neighbors,
    cover: Cover,
    images: Images,
) -> dict[str, Any]:
    """Components and bridges are those of the pairs that stand: what chaining would merge."""
    stars = cover.stars[method]
    parts = connected(standing, stars)
    return {
        "n_pairs": n_pairs,
        "n_standing": len(standing.a),
        "n_groups": stars.n_groups,
        "n_copies": int(images.weight[~stars.is_keeper].sum()),
        "n_not_comparable": 0,
        "components": parts.weighed(images.weight)[:20].tolist(),
        "n_bridges": len(parts.bridge_a),
        "recall_lower_bound": None,
    }


def _search_figures(found: Candidates, images: Images) -> dict[str, Any]:
    """What only a search of its own has: images that took no part, and its recall."""
    is_out = found.neighbors.unit >= found.neighbors.n_units - found.n_refused
    if found.method == "semantic":  # its units are rows, in no order
        is_out = ~np.asarray(images.table[HAS_VECTOR], bool)
    n_aside = int((images.weight[is_out] - 1).sum())
    return {
        "n_not_comparable": found.n_refused + n_aside,
        "recall_lower_bound": found.recall.lower if found.recall is not None else None,
    }


def _successions(workspace: Workspace, images: Images, cover: Cover) -> pa.Table:
    """Who took over from keepers that are gone, over all methods together."""
    if "deduplicated" not in workspace.head.tables:
        return SUCCESSIONS.empty_table()
    rows = workspace.read_all("duplicates")
    rows = rows.filter(pc.equal(rows["method"], "any"))
    history = history_of(images.table, workspace.read_all("deduplicated"), rows)
    return successions(images.table, history, cover.stars["any"], images.weight)


def publish(change: Change, images: Images, outcome: Outcome, settings: str) -> None:
    """All of it in one commit, with what it was computed from."""
    meta = {**origin(change.base), "settings": settings}
    for name, rows, columns in (
        ("pairs", outcome.pairs, schema.PAIRS),
        ("duplicates", outcome.duplicates, schema.DUPLICATES),
        ("leaks", outcome.leaks, schema.LEAKS),
        ("conflicts", outcome.conflicts, schema.CONFLICTS),
        ("successions", outcome.successions, SUCCESSIONS),
        ("deduplicated", images.table.select(DEDUPLICATED.names), DEDUPLICATED),
    ):
        change.replace(name, [rows], columns, meta=meta)
    figures = {**outcome.figures, "no_longer_against": _forgotten(change.base, settings)}
    text = json.dumps(figures, indent=1, sort_keys=True)
    change.artifact("dedup.json", text.encode(), "summary", ".json")


def _forgotten(head: Commit, settings: str) -> list[str]:
    """Evaluation sets that the last run looked into and this one does not: their leaks are gone."""
    state = head.tables.get("duplicates")
    if state is None:
        return []
    before, now = (json.loads(t).get("against", {}) for t in (state.meta["settings"], settings))
    return sorted(set(before) - set(now))


def is_current(head: Commit, settings: str) -> bool:
    """Whether the committed tables are those of these very measures and settings."""
    state = head.tables.get("duplicates")
    wanted = {"inputs": origin(head)["inputs"], "settings": settings}
    return state is not None and all(state.meta.get(k) == v for k, v in wanted.items())


def is_fresh(head: Commit, settings: str, options: DedupOptions) -> bool:
    """Whether earlier keepers do not bind this run: it was asked to, or its rules are others.

    Another method, radius, threshold or keep policy asks for new decisions.
    """
    state = head.tables.get("duplicates")
    if options.is_fresh or state is None:
        return options.is_fresh
    before, now = (json.loads(text).get("rules") for text in (state.meta["settings"], settings))
    return bool(before != now)


def lines(figures: Mapping[str, Any], workspace: Workspace) -> list[str]:
    """The figures for a person."""
    methods: dict[str, dict[str, int]] = figures["methods"]
    text = [f"dedup: {methods['any']['n_copies']:,} copies of {methods['any']['n_groups']:,}"]
    for name, m in methods.items():
        tail = f", {m['n_not_comparable']:,} not comparable" if m["n_not_comparable"] else ""
        text.append(
            f"  {name:<14} {m['n_groups']:>8,} groups {m['n_copies']:>9,} copies "
            f"from {m['n_pairs']:,} pairs{tail}"
        )
    outside: dict[str, dict[str, int]] = figures.get("against", {})
    n_leaks = _any(workspace, "leaks") - sum(m["n_leaks"] for m in outside.values())
    text.append(
        f"  verified {figures['n_verified']:,} pairs, turned down {figures['n_turned_down']:,}; "
        f"leaks {n_leaks:,}, label conflicts in {_n_conflicts(workspace):,} groups"
    )
    text += _set_aside(figures)
    if figures.get("n_keepers_gone"):
        text.append(
            f"  {figures['n_keepers_gone']:,} keepers are gone or changed: the next in order took "
            f"over {figures['n_succeeded']:,} images (table successions)"
        )
    for name, m in outside.items():
        text.append(
            f"  against {name}: {m['n_leaking']:,} images are copies of its {m['n_images']:,}, "
            f"{m['n_leaks']:,} pairs; turned down {m['n_turned_down']:,} of {m['n_verified']:,}"
        )
    text += [
        f"  no longer against {name}: leaks into it are told no more; name all sets with --against "
        "in one run"
        for name in figures.get("no_longer_against", ())
    ]
    return text


def _set_aside(figures: Mapping[str, Any]) -> list[str]:
    """What is told of crowds (duplicates/crowds.py): nothing where nobody stood aside."""
    n, n_crowds = figures.get("n_set_aside", 0), figures.get("n_crowds", 0)
    crowds = f"{n_crowds:,} crowd{'s' * (n_crowds != 1)} of equal files"
    told = (
        f"  {n:,} files of {crowds} stand aside behind their first ones: grouped with them, their "
        "pairs not all listed"
    )
    return [told] if n else []


def _n_conflicts(workspace: Workspace) -> int:
    """Groups of `any` whose images disagree; the table has a row for each image."""
    rows = workspace.read("conflicts", ["method", "group_id"])
    return len(pc.unique(rows.filter(pc.equal(rows["method"], "any"))["group_id"]))


def _any(workspace: Workspace, table: str) -> int:
    rows = workspace.read(table)
    return int(sum(method == "any" for method in rows["method"].to_pylist()))
