"""Second pass: what rests on two images; memory grows with copies and leaks, not with images."""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.decide.findings import FINDINGS, findings, merge_findings
from cvdata.decide.links import Links, Verdicts, resolve
from cvdata.decide.rules import Rules
from cvdata.duplicates.keep import KeepPolicy
from cvdata.parts import open_part
from cvdata.runs.decide_cut import Cut
from cvdata.runs.decide_judge import FOUND, IMAGES
from cvdata.runs.decide_spill import Spill
from cvdata.schema import ID
from cvdata.workspace import Workspace

LINKED, WEIGHTS = "linked", "weights"
GROUPS_ASKED = ("image_id", "group_id", "is_keeper", "method")
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Linked:
    """The linked images of a run: their rows, the number of the range of each, what was decided."""

    rows: pa.Table
    numbers: I64
    links: Links
    verdicts: Verdicts

    @property
    def n_led_anew(self) -> int:
        """Groups whose keeper drops and of which another image is kept."""
        old = self.links.keeper
        alive = ~self.links.is_dropped | self.links.is_forced
        for leak in self.verdicts.leaks:
            if leak.is_drop and not self.links.is_forced[leak.row]:
                alive[leak.row] = False
        led = (old >= 0) & ~alive[np.maximum(old, 0)] & alive & ~self.verdicts.is_copy
        return len(np.unique(old[led]))


def keep_policy(workspace: Workspace) -> KeepPolicy:
    """The order in which dedup chose its keepers."""
    state = workspace.head.tables.get("duplicates")
    settings = json.loads(state.meta.get("settings", "{}")) if state is not None else {}
    return KeepPolicy(tuple(settings["keep"])) if "keep" in settings else KeepPolicy()


def link(workspace: Workspace, cut: Cut, rules: Rules, used: tuple[str, ...]) -> Linked | None:
    """Resolve leaks and copies; what they come to goes to the spill, range by range."""
    spill = cut.spill
    groups = _groups(cut, rules, used)
    leaks = _leaks(workspace, rules, used)
    ids = pc.unique(pa.chunked_array([*_chunks(groups, "image_id"), *_ends(leaks)], ID))
    if not len(ids):
        return None
    rows, numbers, dropped = _linked_rows(spill, len(cut.ranges), ids)
    ids = rows["image_id"].combine_chunks()
    policy = keep_policy(workspace)
    known = [c for c in policy.columns if c.lstrip("-") in rows.column_names]
    order = np.empty(len(rows), np.int64)
    order[KeepPolicy(tuple(known)).order(rows)] = np.arange(len(rows))
    external = _external(workspace)
    a, b, foreign = _leak_rows(leaks, ids, external)
    links = Links(
        is_dropped=dropped,
        is_forced=np.asarray(rows["is_forced"], bool) & ~np.asarray(rows["is_unreadable"], bool),
        order=order,
        keeper=_keepers(groups, ids),
        split=rows["split"].to_pylist(),
        leak_a=a,
        leak_b=b,
        foreign=foreign,
    )
    pairs = _standing_pairs(workspace, ids, rules) if "pairs" in used else (a[:0], a[:0])
    verdicts = resolve(links, pairs, rules.leaks)
    linked = Linked(rows, numbers, links, verdicts)
    _write(spill, linked, rules)
    return linked


def _chunks(table: pa.Table, column: str) -> list[pa.Array]:
    return list(table[column].chunks)


def _ends(leaks: pa.Table) -> list[pa.Array]:
    return [*leaks["id_a"].chunks, *leaks["id_b"].chunks]


def _groups(cut: Cut, rules: Rules, used: tuple[str, ...]) -> pa.Table:
    """image_id, group_id, is_keeper of the chosen method."""
    empty = pa.schema([("image_id", ID), ("group_id", ID), ("is_keeper", pa.bool_())])
    if "duplicates" not in used or rules.duplicates.action == "ignore":
        return empty.empty_table()
    found = [empty.empty_table()]
    for id_range in cut.ranges:
        rows = cut.read("duplicates", list(GROUPS_ASKED), id_range=id_range)
        mine = rows.filter(pc.equal(rows["method"], rules.duplicates.method))
        found.append(mine.select(empty.names).cast(empty))
    return pa.concat_tables(found)


def _leaks(workspace: Workspace, rules: Rules, used: tuple[str, ...]) -> pa.Table:
    names = ["id_a", "id_b", "split_b"]
    if "leaks" not in used or rules.leaks.action == "ignore":
        return pa.schema([("id_a", ID), ("id_b", ID), ("split_b", pa.string())]).empty_table()
    rows = workspace.read("leaks", [*names, "method"])
    return rows.filter(pc.equal(rows["method"], rules.leaks.method)).select(names)


def _external(workspace: Workspace) -> frozenset[str]:
    """Names under which other workspaces' images stand in `leaks`."""
    state = workspace.head.tables.get("leaks")
    settings = json.loads(state.meta.get("settings", "{}")) if state is not None else {}
    return frozenset(settings.get("against") or {})


def _linked_rows(
    spill: Spill, n_ranges: int, ids: pa.Array
) -> tuple[pa.Table, I64, npt.NDArray[np.bool_]]:
    """The live rows of the linked ids, their ranges, and which their own findings drop."""
    rows, numbers, dropped = [], [], []
    for number in range(n_ranges):
        images = spill.rows(IMAGES, number)
        mine = images.filter(pc.is_in(images["image_id"], value_set=ids))
        reasons = merge_findings(mine["image_id"], spill.rows(FOUND, number))
        rows.append(mine)
        numbers.append(np.full(len(mine), number, np.int64))
        dropped.append(reasons.n_drops > 0)
    whole = pa.concat_tables(rows).combine_chunks()
    return whole, np.concatenate(numbers), np.concatenate(dropped)


def _place(values: pa.ChunkedArray | pa.Array, ids: pa.Array) -> I64:
    return np.asarray(pc.fill_null(pc.index_in(values, value_set=ids), -1), np.int64)


def _keepers(groups: pa.Table, ids: pa.Array) -> I64:
    """(N,) row of each image's keeper, -1 in no group (or where the keeper is gone)."""
    keeper = np.full(len(ids), -1, np.int64)
    heads = groups.filter(groups["is_keeper"])
    head = _place(heads["image_id"], ids)
    led = pc.index_in(groups["group_id"], value_set=heads["group_id"].combine_chunks())
    leader = np.append(head, -1)[np.asarray(pc.fill_null(led, -1), np.int64)]
    row = _place(groups["image_id"], ids)
    keeper[row[row >= 0]] = leader[row >= 0]
    return keeper


def _leak_rows(
    leaks: pa.Table, ids: pa.Array, external: frozenset[str]
) -> tuple[I64, I64, list[str]]:
    a, b = _place(leaks["id_a"], ids), _place(leaks["id_b"], ids)
    names = [s if s in external else "" for s in leaks["split_b"].to_pylist()]
    is_foreign = np.array([bool(name) for name in names], bool)
    b = np.where(is_foreign, -1, b)
    kept = (a >= 0) & (is_foreign | (b >= 0))
    return a[kept], b[kept], [name for name, k in zip(names, kept, strict=True) if k]


def _standing_pairs(workspace: Workspace, ids: pa.Array, rules: Rules) -> tuple[I64, I64]:
    """Pairs of linked rows that nobody turned down, by the chosen method, part by part."""
    method = rules.duplicates.method
    found: list[tuple[I64, I64]] = []
    for part in workspace.head.tables["pairs"].parts:
        with open_part(workspace.store, part.path) as file:
            columns = ["method", "id_a", "id_b", "is_verified"]
            for batch in file.iter_batches(columns=columns):
                rows = pa.table(batch)
                rows = rows.filter(pc.fill_null(rows["is_verified"], True))
                if method != "any":
                    rows = rows.filter(pc.equal(rows["method"], method))
                a, b = _place(rows["id_a"], ids), _place(rows["id_b"], ids)
                both = (a >= 0) & (b >= 0)
                found.append((a[both], b[both]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def _write(spill: Spill, linked: Linked, rules: Rules) -> None:
    """Findings and weights of the linked images, to the ranges that they are in."""
    ids = linked.rows["image_id"].combine_chunks()
    row, found = _all_findings(linked, ids, rules)
    _scatter(spill, LINKED, linked.numbers[row], found)
    if rules.duplicates.action == "reweight":
        shared = np.flatnonzero(linked.verdicts.group_size > 1)
        factor = (1.0 / linked.verdicts.group_size[shared]).astype(np.float32)
        rows = {"image_id": ids.take(pa.array(shared)), "factor": pa.array(factor)}
        _scatter(spill, WEIGHTS, linked.numbers[shared], pa.table(rows))


def _scatter(spill: Spill, kind: str, numbers: I64, rows: pa.Table) -> None:
    """Each row to the range of its number."""
    for number in np.unique(numbers).tolist():
        spill.put(kind, number, rows.filter(pa.array(numbers == number)))


def _all_findings(linked: Linked, ids: pa.Array, rules: Rules) -> tuple[I64, pa.Table]:
    """(rows, FINDINGS) of leaks and copies."""
    rows: list[I64] = []
    tables = [FINDINGS.empty_table()]
    for is_drop in (True, False):
        mine = [leak for leak in linked.verdicts.leaks if leak.is_drop == is_drop]
        rows.append(np.array([leak.row for leak in mine], np.int64))
        reasons = pa.array([f"leak:{leak.split}" for leak in mine], pa.string())
        tables.append(findings(ids.take(pa.array(rows[-1])), reasons, is_drop))
    copies = np.flatnonzero(linked.verdicts.is_copy)
    keepers = ids.take(pa.array(linked.verdicts.keeper[copies])).to_pylist()
    method = rules.duplicates.method
    named = pa.array([f"duplicate:{method}:{keeper.hex()}" for keeper in keepers], pa.string())
    is_drop = rules.duplicates.action in ("remove", "merge")
    tables.append(findings(ids.take(pa.array(copies)), named, is_drop))
    return np.concatenate([*rows, copies]), pa.concat_tables(tables)
