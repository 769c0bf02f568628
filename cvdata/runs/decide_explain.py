"""All that is known of one image, and why it stays or goes."""

import json
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.decide.query import database
from cvdata.decide.rules import SqlRule
from cvdata.decide.words import Known, tell
from cvdata.parts import open_part
from cvdata.reading import IdRange
from cvdata.runs.decide_find import find_image, only
from cvdata.runs.decide_inputs import is_decided
from cvdata.workspace import Workspace

SHOWN = 12
"""Other images of a group that are named."""

Row = dict[str, Any]


def explain(workspace: Workspace, name: str) -> list[str]:
    """In lines for a person: facts, findings, decision. `name`: id, key, path or end of a uri."""
    image_id = find_image(workspace, name)
    at = only(image_id)
    record = workspace.read("records", id_range=at).to_pylist()[0]
    selection = _first(_rows(workspace, "selection", at))
    settings = _settings(workspace)
    groups = [_group(workspace, row) for row in _rows(workspace, "duplicates", at)]
    leaks = _leaks(workspace, image_id)
    split = _first(_rows(workspace, "splits", at))
    known = Known(
        record=record,
        facts=_first(_rows(workspace, "measures", at)) or {},
        selection=selection,
        rules=settings.get("rules", {}),
        issues=_rows(workspace, "issues", at),
        thresholds=_thresholds(workspace),
        groups=groups,
        leaks=leaks,
        outliers=_rows(workspace, "outliers", at),
        label_issues=_rows(workspace, "label_issues", at),
        augmented=_augmented(workspace, image_id),
        n_copies=sum(row["n_copies"] for row in _rows(workspace, "budget", at)),
        matched=_matched(workspace, image_id, selection, settings),
        names=_names(workspace, groups, leaks, selection),
        plan=_plan(workspace, record, selection),
        split=split["split"] if split else record["split"],
    )
    story = tell(known)
    if selection is not None and not is_decided(workspace):
        story.insert(2, "tables have changed since this was decided: run `cvdata decide`")
    return story


def _rows(workspace: Workspace, name: str, at: IdRange) -> list[Row]:
    """The rows of one image in a table, none where there is no such table."""
    if name not in workspace.tables():
        return []
    rows: list[Row] = workspace.read(name, id_range=at).to_pylist()
    return rows


def _first(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None


def _settings(workspace: Workspace) -> Mapping[str, Any]:
    """The rules of the committed selection."""
    state = workspace.head.tables.get("selection")
    settings: dict[str, Any] = json.loads(state.meta["settings"]) if state is not None else {}
    return settings


def _thresholds(workspace: Workspace) -> Mapping[str, float]:
    state = workspace.head.tables.get("issues")
    found: Mapping[str, float] = state.meta.get("thresholds", {}) if state is not None else {}
    return found


def _group(workspace: Workspace, row: Row) -> Row:
    """A row of `duplicates` with the others of its group: the keeper first, then the nearest."""
    found = []
    for part in workspace.head.tables["duplicates"].parts:
        with open_part(workspace.store, part.path) as file:
            rows = file.read()
        same = pc.equal(rows["group_id"], pa.scalar(row["group_id"], rows["group_id"].type))
        found.append(rows.filter(pc.and_(same, pc.equal(rows["method"], row["method"]))))
    members = pa.concat_tables(found)
    order = [("is_keeper", "descending"), ("distance", "ascending"), ("image_id", "ascending")]
    others = [r for r in members.sort_by(order).to_pylist() if r["image_id"] != row["image_id"]]
    named = [{**r, "keep": _kept(workspace, r["image_id"])} for r in others[:SHOWN]]
    for other in named:
        # distances are to the keeper: between two copies nobody measured
        if not (other["is_keeper"] or row["is_keeper"]):
            other["distance"] = None
        elif other["is_keeper"]:
            other["distance"] = row["distance"]
    return {**row, "size": len(members), "others": named}


def _kept(workspace: Workspace, image_id: bytes) -> bool | None:
    row = _first(_rows(workspace, "selection", only(image_id)))
    return None if row is None else bool(row["keep"])


def _leaks(workspace: Workspace, image_id: bytes) -> list[Row]:
    """Pairs of this image with others in other splits, by any method together."""
    if "leaks" not in workspace.tables():
        return []
    rows = workspace.read("leaks")
    out = []
    for mine, other in (("a", "b"), ("b", "a")):
        is_mine = pc.equal(rows[f"id_{mine}"], pa.scalar(image_id, rows[f"id_{mine}"].type))
        found = rows.filter(pc.and_(is_mine, pc.equal(rows["method"], "any")))
        out += [
            {
                "method": row["method"],
                "split": row[f"split_{mine}"],
                "other": row[f"id_{other}"],
                "other_split": row[f"split_{other}"],
                "distance": row["distance"],
            }
            for row in found.to_pylist()
        ]
    return out


def _augmented(workspace: Workspace, image_id: bytes) -> list[Row]:
    """Copies that were made of it."""
    out: list[Row] = []
    for name, state in workspace.head.tables.items():
        if name.partition("/")[0] != "augmented":
            continue
        for part in state.parts:
            with open_part(workspace.store, part.path) as file:
                rows = file.read(columns=["parent_id", "variant", "policy", "uri", "error"])
            mine = pc.equal(rows["parent_id"], pa.scalar(image_id, rows["parent_id"].type))
            out += rows.filter(mine).to_pylist()
    return out


def _matched(
    workspace: Workspace, image_id: bytes, selection: Row | None, settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """The sql rules that hold for the image, asked again."""
    if selection is None or "user" not in selection["reasons"]:
        return ()
    rules = [SqlRule(**rule) for rule in settings.get("rules", {}).get("sql", ())]
    if not rules:
        return ()
    with (
        TemporaryDirectory(prefix="cvdata-sql-") as folder,
        database(workspace, folder) as db,
    ):
        return tuple(rule.name for rule in rules if db.is_matched(rule, image_id))


def _names(
    workspace: Workspace, groups: list[Row], leaks: list[Row], selection: Row | None
) -> dict[bytes, str]:
    """Uris of the other images that are spoken of."""
    ids = {other["image_id"] for group in groups for other in group["others"]}
    ids |= {leak["other"] for leak in leaks}
    for reason in selection["reasons"] if selection else ():
        if reason.startswith("duplicate:"):
            ids.add(bytes.fromhex(reason.rpartition(":")[2]))
    found = {}
    for other in sorted(ids):
        rows = workspace.read("records", ["uri"], id_range=only(other))
        if len(rows):
            found[other] = rows["uri"][0].as_py()
    return found


def _plan(workspace: Workspace, record: Row, selection: Row | None) -> Row | None:
    """What balancing does to the image's class."""
    if selection is None or "balance.json" not in workspace.head.artifacts:
        return None
    balanced = json.loads(workspace.artifact("balance.json"))
    if balanced["splits"] is not None and record["split"] not in balanced["splits"]:
        return None
    plans = [c for c in balanced["classes"] if c["label"] == record["label"]]
    return plans[0] if plans else None
