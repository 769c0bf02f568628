"""What the report shows of the outliers job's table: all of it counted, some rows of it."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.outliers.settings import Options
from cvdata.report.outlier_facts import OUTLIER_ROWS, OutlierFacts, OutlierMethod
from cvdata.runs.outliers import find_inputs
from cvdata.workspace import Workspace

LISTED = 48
"""Rows of each method that are kept."""


def gather_outliers(workspace: Workspace) -> OutlierFacts | None:
    """Counts of everything and the strangest flagged rows; None where the job has not run."""
    head = workspace.head
    if "outliers" not in head.tables or "outliers.json" not in head.artifacts:
        return None
    figures = json.loads(workspace.artifact("outliers.json"))
    methods = [_method(name, m) for name, m in sorted(figures["methods"].items())]
    methods += [
        OutlierMethod(name, left_out=f"left out: {why}")
        for name, why in sorted(figures["skipped"].items())
        if name not in figures["methods"]
    ]
    return OutlierFacts(
        methods=tuple(methods),
        n_images=figures["n_images"],
        n_sample=figures["n_sample"],
        n_classes=figures["n_classes"],
        embeddings=figures["embeddings"],
        dimension=figures["dimension"],
        variance=figures["variance"],
        recall=figures["recall"],
        clusters=tuple(
            (f"{c['number']}: {c['label'] or 'no label'}", c["size"]) for c in figures["clusters"]
        ),
        rows=_rows(workspace),
        is_current=_is_current(workspace),
    )


def _method(name: str, figures: dict[str, Any]) -> OutlierMethod:
    usual = figures.get("usual") or {}
    return OutlierMethod(
        name,
        figures.get("n_dataset", 0),
        figures.get("flagged_dataset", 0),
        figures.get("flagged_class", 0),
        usual.get("median"),
        usual.get("threshold"),
    )


def _rows(workspace: Workspace) -> pa.Table:
    """The `LISTED` strangest flagged rows of each method, over the whole dataset."""
    found: dict[str, pa.Table] = {}
    order = [("rank", "ascending"), ("image_id", "ascending")]
    for id_range in workspace.ranges():
        rows = workspace.read("outliers", id_range=id_range)
        rows = rows.filter(pc.and_(rows["is_flagged"], pc.is_null(rows["class"])))
        for method in pc.unique(rows["method"]).to_pylist():
            mine = rows.filter(pc.equal(rows["method"], method)).select(OUTLIER_ROWS.names)
            both = pa.concat_tables([mine, found[method]]) if method in found else mine
            found[method] = both.sort_by(order).slice(0, LISTED)
    kept = [found[method].cast(OUTLIER_ROWS) for method in sorted(found)]
    return pa.concat_tables([OUTLIER_ROWS.empty_table(), *kept])


def _is_current(workspace: Workspace) -> bool:
    """Whether the tables that the scores were computed from are those of now."""
    meta = workspace.head.tables["outliers"].meta
    settings = json.loads(str(meta["settings"]))
    names = {kind: settings[kind] for kind in ("embeddings", "predictions")}
    if any(name and name not in workspace.head.tables for name in names.values()):
        return False
    embeddings, predictions = (name.partition("/")[2] for name in names.values())
    options = Options(methods=tuple(settings["methods"]))
    inputs = find_inputs(workspace, options, embeddings, predictions)
    return bool(inputs.digest == meta["inputs"])
