"""What the report shows of doubted labels and of maps: counts of all, some rows."""

import json
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.chance import shares
from cvdata.report.label_facts import LabelFacts, MapFacts
from cvdata.report.labels import METHODS
from cvdata.runs.label_issues_tables import FIGURES, TABLE, is_stale
from cvdata.schema import LABEL_ISSUES, MAP
from cvdata.workspace import Workspace

LISTED = 200
"""Flagged rows kept of each method."""
POINTS = 4_000
"""Points of a map on the page."""


def gather_labels(workspace: Workspace) -> LabelFacts | None:
    """Counts and first rows; None where the labels job has not run."""
    head = workspace.head
    if TABLE not in head.tables or FIGURES not in head.artifacts:
        return None
    figures = json.loads(workspace.artifact(FIGURES))
    leading = next((m for m in METHODS if m in figures["doubted"]), "")
    kept = [LABEL_ISSUES.empty_table()]
    moves: Counter[tuple[str, str]] = Counter()
    for id_range in workspace.ranges():
        rows = workspace.read(TABLE, id_range=id_range)
        rows = rows.filter(rows["is_flagged"])
        kept.append(rows.filter(pc.less_equal(rows["rank"], LISTED)))
        mine = rows.filter(pc.equal(rows["method"], leading)).select(["label", "suggested"])
        moves.update((r["label"] or "", r["suggested"] or "") for r in mine.to_pylist())
    order = [("method", "ascending"), ("rank", "ascending")]
    ordered = sorted(moves.items(), key=lambda kv: (-kv[1], kv[0]))
    return LabelFacts(
        figures["flagged"],
        figures["doubted"],
        figures["sources"],
        pa.concat_tables(kept).sort_by(order),
        tuple((a, b, n) for (a, b), n in ordered),
        not is_stale(head),
    )


def gather_maps(workspace: Workspace) -> tuple[MapFacts, ...]:
    """Every map, on at most `POINTS` images: those that chance takes, the same each time."""
    names = sorted(n for n in workspace.head.tables if n.startswith("map/"))
    return tuple(_map(workspace, name) for name in names)


def _map(workspace: Workspace, table: str) -> MapFacts:
    n_images = workspace.head.tables[table].rows
    share = POINTS / max(n_images, 1)
    points, labels, flags = [MAP.empty_table()], [], []
    for id_range in workspace.ranges():
        rows = workspace.read(table, id_range=id_range)
        rows = rows.filter(pa.array(shares(rows["image_id"], 1) < share))
        records = workspace.read("records", ["image_id", "label"], id_range=id_range)
        at = pc.index_in(rows["image_id"], value_set=records["image_id"].combine_chunks())
        points.append(rows)
        labels += records["label"].take(at).to_pylist()
        flagged = _flagged(workspace, id_range)
        flags += [i in flagged for i in rows["image_id"].to_pylist()]
    model = table.partition("/")[2]
    return MapFacts(model, n_images, pa.concat_tables(points), tuple(labels), tuple(flags))


def _flagged(workspace: Workspace, id_range: tuple[bytes, bytes | None]) -> set[bytes]:
    """Images whose label is doubted by the leading methods, or which all methods call outliers."""
    found: set[bytes] = set()
    for table, methods in ((TABLE, ("consensus", "model")), ("outliers", ("consensus",))):
        if table in workspace.head.tables:
            rows = workspace.read(table, ["image_id", "method", "is_flagged"], id_range=id_range)
            rows = rows.filter(rows["is_flagged"])
            rows = rows.filter(pc.is_in(rows["method"], pa.array(methods)))
            found.update(rows["image_id"].to_pylist())
    return found
