"""All that is known of one image, and why it stays or goes."""

import json
from collections.abc import Iterable, Mapping
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.decide.query import database
from cvdata.decide.rules import SqlRule
from cvdata.decide.words import Known, tell
from cvdata.parts import find_rows
from cvdata.reading import IdRange, states, stored_schema
from cvdata.runs.decide_find import find_image, only
from cvdata.runs.decide_inputs import inputs_of, is_decided
from cvdata.schema import ID
from cvdata.workspace import Workspace

SHOWN = 12
"""Other images of a group that are named."""

Row = dict[str, Any]


def explain(workspace: Workspace, name: str) -> list[str]:
    """In lines for a person: decision, findings, facts, and what nobody has looked for yet.

    `name`: id, key, path or end of a uri.
    """
    image_id = find_image(workspace, name)
    at = only(image_id)
    record = workspace.read("records", id_range=at).to_pylist()[0]
    selection = _first(_rows(workspace, "selection", at))
    settings = _settings(workspace)
    groups = [_group(workspace, row) for row in _rows(workspace, "duplicates", at)]
    leaks = _leaks(workspace, image_id)
    others = _others(workspace, groups, leaks, selection)
    assigned = _first(_rows(workspace, "splits", at))
    split = assigned["split"] if assigned else record["split"]
    known = Known(
        record=record,
        facts=_first(_rows(workspace, "measures", at)) or {},
        selection=selection,
        rules=settings.get("rules", {}),
        issues=_rows(workspace, "issues", at),
        thresholds=_thresholds(workspace),
        groups=[_decided(group, others) for group in groups],
        leaks=leaks,
        outliers=_rows(workspace, "outliers", at),
        label_issues=_rows(workspace, "label_issues", at),
        augmented=_augmented(workspace, image_id),
        n_copies=sum(row["n_copies"] for row in _rows(workspace, "budget", at)),
        matched=_matched(workspace, image_id, selection, settings),
        names={one: other["uri"] for one, other in others.items()},
        plan=_plan(workspace, record, split) if selection is not None else None,
        split=split,
    )
    story = tell(known)
    if selection is not None and not is_decided(workspace):
        story.insert(2, "tables have changed since this was decided: run `cvdata decide`")
    return [*story, *(line.strip() for line in inputs_of(workspace).lines())]


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


def _found(
    workspace: Workspace,
    name: str,
    column: str,
    ids: Iterable[bytes],
    columns: list[str] | None = None,
) -> pa.Table:
    """Rows of a table that have one of these ids in a column, those of gone images too."""
    (state,) = states(workspace.head, name)
    schema, values = stored_schema(workspace.store, state), pa.array(sorted(ids), ID)
    return find_rows(workspace.store, state.parts, schema, column, values, columns)


def _group(workspace: Workspace, row: Row) -> Row:
    """A row of `duplicates` with the others of its group: the keeper first, then the nearest."""
    members = _found(workspace, "duplicates", "group_id", [row["group_id"]])
    members = members.filter(pc.equal(members["method"], row["method"]))
    order = [("is_keeper", "descending"), ("distance", "ascending"), ("image_id", "ascending")]
    others = [r for r in members.sort_by(order).to_pylist() if r["image_id"] != row["image_id"]]
    for other in others[:SHOWN]:
        # distances are to the keeper: between two copies nobody measured
        if not (other["is_keeper"] or row["is_keeper"]):
            other["distance"] = None
        elif other["is_keeper"]:
            other["distance"] = row["distance"]
    return {**row, "size": len(members), "others": others[:SHOWN]}


def _decided(group: Row, others: Mapping[bytes, Row]) -> Row:
    """The group, each of the others with what was decided of it."""
    keeps = (others.get(r["image_id"], {}).get("keep") for r in group["others"])
    told = [{**r, "keep": keep} for r, keep in zip(group["others"], keeps, strict=True)]
    return {**group, "others": told}


def _leaks(workspace: Workspace, image_id: bytes) -> list[Row]:
    """Pairs of this image with others in other splits, by any method together."""
    if "leaks" not in workspace.tables():
        return []
    out = []
    for mine, other in (("a", "b"), ("b", "a")):
        found = _found(workspace, "leaks", f"id_{mine}", [image_id])
        out += [
            {
                "method": row["method"],
                "split": row[f"split_{mine}"],
                "other": row[f"id_{other}"],
                "other_split": row[f"split_{other}"],
                "distance": row["distance"],
            }
            for row in found.filter(pc.equal(found["method"], "any")).to_pylist()
        ]
    return out


def _augmented(workspace: Workspace, image_id: bytes) -> list[Row]:
    """Copies that were made of it."""
    out: list[Row] = []
    for name in workspace.head.tables:
        if name.partition("/")[0] == "augmented":
            asked = ["variant", "policy", "uri", "error"]
            out += _found(workspace, name, "parent_id", [image_id], asked).to_pylist()
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


def _others(
    workspace: Workspace, groups: list[Row], leaks: list[Row], selection: Row | None
) -> dict[bytes, Row]:
    """`uri` of each other image that is spoken of, and `keep` where it was decided."""
    ids = {other["image_id"] for group in groups for other in group["others"]}
    ids |= {leak["other"] for leak in leaks}
    for reason in selection["reasons"] if selection else ():
        if reason.startswith("duplicate:"):
            ids.add(bytes.fromhex(reason.rpartition(":")[2]))
    records = _found(
        workspace, "records", "image_id", ids, ["image_id", "revision", "uri"]
    ).to_pylist()
    decided = []
    if selection is not None:
        asked = ["image_id", "revision", "keep"]
        decided = _found(workspace, "selection", "image_id", ids, asked).to_pylist()
    keeps = {(row["image_id"], row["revision"]): row["keep"] for row in decided}
    return {
        row["image_id"]: {"uri": row["uri"], "keep": keeps.get((row["image_id"], row["revision"]))}
        for row in records
    }


def _plan(workspace: Workspace, record: Row, split: str | None) -> Row | None:
    """What balancing does to the image's class in its split."""
    if "balance.json" not in workspace.head.artifacts:
        return None
    balanced = json.loads(workspace.artifact("balance.json"))
    if balanced["splits"] is not None and split not in balanced["splits"]:
        return None
    plans = [c for c in balanced["classes"] if c["label"] == record["label"]]
    return plans[0] if plans else None
