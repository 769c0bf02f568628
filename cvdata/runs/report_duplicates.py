"""What the report shows of the dedup job's tables: all of it counted, some rows of it."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates.thresholds import CALIBRATION
from cvdata.report.inputs import (
    CONFLICT_ROWS,
    GROUP_ROWS,
    DuplicateFacts,
    LookFacts,
    MethodFacts,
)
from cvdata.report.sets import METHODS, TILES
from cvdata.runs.eda import origin
from cvdata.schema import CONFLICTS, DUPLICATES, LEAKS, PAIRS
from cvdata.workspace import Workspace

LISTED = 200
"""Groups, pairs and conflicts of which the rows are kept."""

ANY = "any"


def gather_duplicates(workspace: Workspace) -> DuplicateFacts | None:
    """Counts of everything and the first rows of each kind; None where dedup has not run."""
    head = workspace.head
    if "duplicates" not in head.tables or "dedup.json" not in head.artifacts:
        return None
    figures = json.loads(workspace.artifact("dedup.json"))
    sizes, groups = _groups(workspace)
    leaking, leak_counts, leaks = _leaks(workspace)
    conflict_counts, n_conflicting, conflicts = _conflicts(workspace)
    explained = _explained(workspace, groups, leaks)
    return DuplicateFacts(
        methods=tuple(_method(name, m) for name, m in sorted(figures["methods"].items())),
        n_images=figures["n_images"],
        n_verified=figures["n_verified"],
        n_turned_down=figures["n_turned_down"],
        n_unread=figures["n_unread"],
        sizes=sizes,
        groups=_group_rows(groups, explained),
        splits=_splits(workspace),
        leaking=leaking,
        leak_counts=leak_counts,
        leaks=_leak_rows(leaks, explained),
        conflict_counts=conflict_counts,
        n_conflicting=n_conflicting,
        conflicts=conflicts,
        is_current=head.tables["duplicates"].meta.get("inputs") == origin(head)["inputs"],
        look=_look(workspace),
    )


def _look(workspace: Workspace) -> LookFacts | None:
    """The second look on planted copies, as it was calibrated last."""
    if CALIBRATION not in workspace.head.artifacts:
        return None
    held = json.loads(workspace.artifact(CALIBRATION))
    entry = held["models"][held["latest"]]
    look = entry["verification"]
    return LookFacts(
        look["n_copies"],
        look["n_accepted"],
        look["n_unrelated"],
        look["n_wrong"],
        look["precision"],
        {edit: facts["recall_looked"] for edit, facts in entry["edits"].items()},
    )


def _method(name: str, figures: Mapping[str, Any]) -> MethodFacts:
    return MethodFacts(
        name,
        figures["n_pairs"],
        figures["n_groups"],
        figures["n_copies"],
        figures["n_not_comparable"],
        figures["recall_lower_bound"],
        tuple(figures["components"]),
        figures["n_bridges"],
    )


def _rows(workspace: Workspace, name: str, schema: pa.Schema, columns: list[str]) -> pa.Table:
    """These columns, without a method's name: the rows of `any` only."""
    if name not in workspace.head.tables or not workspace.head.tables[name].parts:
        return pa.schema([schema.field(c) for c in columns]).empty_table()
    rows = workspace.read(name, [*columns, "method"])
    return rows.filter(pc.equal(rows["method"], ANY)).select(columns)


def _largest(rows: pa.Table, keys: list[str]) -> pa.Table:
    """The rows of the `LISTED` largest sets of equal `keys`, largest first, with their `size`."""
    sizes = rows.group_by(keys).aggregate([([], "count_all")]).rename_columns([*keys, "size"])
    order = [("size", "descending"), *((key, "ascending") for key in keys)]
    largest = sizes.sort_by(order).slice(0, LISTED)
    largest = largest.append_column("rank", pa.array(np.arange(len(largest))))
    return rows.join(largest, keys, join_type="inner")


def _groups(workspace: Workspace) -> tuple[dict[int, int], pa.Table]:
    """Groups by size, and the first rows of the largest: the keeper, then the nearest copies."""
    columns = ["group_id", "image_id", "is_keeper", "distance"]
    rows = _rows(workspace, "duplicates", DUPLICATES, columns)
    counted = pc.value_counts(pc.value_counts(rows["group_id"]).field("counts"))
    sizes = {row["values"]: row["counts"] for row in counted.to_pylist() if row["values"] > 1}
    largest = _largest(rows, ["group_id"])
    order = [("rank", "ascending"), ("is_keeper", "descending")]
    largest = largest.sort_by([*order, ("distance", "ascending"), ("image_id", "ascending")])
    return sizes, _first_of_each(largest)


def _first_of_each(rows: pa.Table) -> pa.Table:
    """At most `TILES` rows of each `rank`; `rows` is sorted by it."""
    rank = np.asarray(rows["rank"], np.int64)
    place = np.arange(len(rank)) - np.searchsorted(rank, rank)
    return rows.filter(pa.array(place < TILES))


def _leaks(
    workspace: Workspace,
) -> tuple[dict[str, int], dict[tuple[str, str], int], pa.Table]:
    """Images that leak by split, pairs by splits, and the nearest pairs: some of each splits."""
    columns = [name for name in LEAKS.names if name != "method"]
    rows = _rows(workspace, "leaks", LEAKS, columns)
    ends = pa.concat_tables(
        rows.select([f"id_{end}", f"split_{end}"]).rename_columns(["image_id", "split"])
        for end in "ab"
    )
    images = ends.group_by(["image_id", "split"]).aggregate([])
    leaking = {r["values"]: r["counts"] for r in pc.value_counts(images["split"]).to_pylist()}
    pairs: Counter[tuple[str, str]] = Counter()
    splits = rows.group_by(["split_a", "split_b"]).aggregate([([], "count_all")])
    for row in splits.to_pylist():
        a, b = sorted((row["split_a"], row["split_b"]))
        pairs[a, b] += row["count_all"]
    kinds = sorted(pairs)
    kept = rows.sort_by([(c, "ascending") for c in ("distance", "id_a", "id_b")])
    low = pc.min_element_wise(kept["split_a"], kept["split_b"])
    high = pc.max_element_wise(kept["split_a"], kept["split_b"])
    chosen: list[tuple[int, int, int]] = []
    for n, (a, b) in enumerate(kinds[:LISTED]):
        found = np.flatnonzero(pc.and_(pc.equal(low, a), pc.equal(high, b)))[:LISTED]
        chosen += [(rank, n, int(at)) for rank, at in enumerate(found)]
    at = [row for _, _, row in sorted(chosen)[:LISTED]]
    return (
        dict(sorted(leaking.items())),
        dict(sorted(pairs.items())),
        kept.take(pa.array(at, pa.int64())),
    )


def _conflicts(workspace: Workspace) -> tuple[dict[str, int], int, pa.Table]:
    """Groups by kind of conflict, images in any, and the rows of the largest."""
    columns = [n for n in CONFLICTS.names if n not in ("revision", "method")]
    rows = _rows(workspace, "conflicts", CONFLICTS, columns)
    keys = ["group_id", "kind"]
    kinds = rows.group_by(keys).aggregate([])["kind"]
    counts = {row["values"]: row["counts"] for row in pc.value_counts(kinds).to_pylist()}
    n_images = pc.count_distinct(rows["image_id"]).as_py()
    largest = _largest(rows, keys).sort_by(
        [("rank", "ascending"), ("is_majority", "descending"), ("image_id", "ascending")]
    )
    shown = _first_of_each(largest)
    return (
        dict(sorted(counts.items())),
        n_images,
        shown.select(CONFLICT_ROWS.names).cast(CONFLICT_ROWS),
    )


def _splits(workspace: Workspace) -> dict[str, int]:
    """Records by split, those of none left out."""
    total: Counter[str] = Counter()
    for id_range in workspace.ranges():
        split = workspace.read("records", ["split"], id_range=id_range)["split"].drop_null()
        for row in pc.value_counts(split).to_pylist():
            total[row["values"]] += row["counts"]
    return dict(sorted(total.items()))


Pair = tuple[bytes, bytes]


def _explained(
    workspace: Workspace, groups: pa.Table, leaks: pa.Table
) -> dict[Pair, tuple[str, float]]:
    """Method and distance of the plainest way in which each pair that is shown is alike."""
    keepers = groups.filter(groups["is_keeper"])
    keeper_of = dict(
        zip(keepers["group_id"].to_pylist(), keepers["image_id"].to_pylist(), strict=True)
    )
    wanted = {
        _pair(keeper_of.get(row["group_id"], row["image_id"]), row["image_id"])
        for row in groups.select(["group_id", "image_id"]).to_pylist()
    }
    wanted |= {
        _pair(row["id_a"], row["id_b"]) for row in leaks.select(["id_a", "id_b"]).to_pylist()
    }
    if not wanted or "pairs" not in workspace.head.tables:
        return {}
    ids = pa.array(sorted({one for pair in wanted for one in pair}), PAIRS.field("id_a").type)
    rows = workspace.read("pairs", ["id_a", "id_b", "method", "distance"])
    rows = rows.filter(pc.and_(pc.is_in(rows["id_a"], ids), pc.is_in(rows["id_b"], ids)))
    rank = {name: n for n, name in enumerate(METHODS)}
    found: dict[Pair, tuple[str, float]] = {}
    for row in rows.to_pylist():
        pair = _pair(row["id_a"], row["id_b"])
        new, old = rank.get(row["method"], len(rank)), found.get(pair)
        if pair in wanted and (old is None or new < rank.get(old[0], len(rank))):
            found[pair] = row["method"], row["distance"]
    return found


def _pair(a: bytes, b: bytes) -> Pair:
    return (a, b) if a < b else (b, a)


def _group_rows(groups: pa.Table, explained: Mapping[Pair, tuple[str, float]]) -> pa.Table:
    rows, keeper = [], b""
    for row in groups.to_pylist():
        keeper = row["image_id"] if row["is_keeper"] else keeper
        method, distance = explained.get(_pair(keeper, row["image_id"]), (ANY, row["distance"]))
        rows.append(row | {"method": method, "distance": distance})
    return pa.Table.from_pylist(rows, schema=GROUP_ROWS)


def _leak_rows(leaks: pa.Table, explained: Mapping[Pair, tuple[str, float]]) -> pa.Table:
    rows = []
    for row in leaks.to_pylist():
        how = explained.get(_pair(row["id_a"], row["id_b"]), (ANY, row["distance"]))
        rows.append(row | {"method": how[0], "distance": how[1]})
    return pa.Table.from_pylist(rows, schema=LEAKS)
