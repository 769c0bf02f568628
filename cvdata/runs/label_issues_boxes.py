"""Boxes against a detector's predictions, range by range."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.label_issues.boxes import BOX_METHODS, BoxDoubt, Boxed, box_doubts
from cvdata.label_issues.judge import DOUBTED
from cvdata.label_issues.model import plain
from cvdata.reading import IdRange, positions
from cvdata.runs.label_issues import Found, LabelOptions
from cvdata.workspace import Workspace

COLUMNS = ["image_id", "revision", "error", "labels", "scores", "xyxy"]


@dataclass(frozen=True)
class BoxClasses:
    """The classes of a range's boxes."""

    url: str
    seq: int

    def __call__(self, id_range: IdRange) -> set[str]:
        """Names."""
        boxes = Workspace(self.url).pin(self.seq).read("records", ["boxes"], id_range=id_range)
        labels = pc.struct_field(pc.list_flatten(boxes["boxes"]), "label")
        return {name for name in pc.unique(labels).to_pylist() if name is not None}


@dataclass(frozen=True)
class BoxRange:
    """The doubts about one range's boxes; images without an annotation are not looked at."""

    url: str
    seq: int
    table: str
    known: tuple[str, ...]
    least: float

    def __call__(self, id_range: IdRange) -> pa.Table:
        """Rows of DOUBTED."""
        workspace = Workspace(self.url).pin(self.seq)
        rows = workspace.read(self.table, COLUMNS, id_range=id_range)
        rows = rows.filter(pc.is_null(rows["error"]))
        records = workspace.read("records", ["image_id", "revision", "boxes"], id_range=id_range)
        at = positions(rows, records)
        boxes = records["boxes"].take(pa.array(at, mask=at < 0))
        is_annotated = pc.is_valid(boxes)
        rows, boxes = rows.filter(is_annotated), boxes.filter(is_annotated)
        found: list[dict[str, Any]] = []
        for row, given in zip(rows.to_pylist(), boxes.to_pylist(), strict=True):
            doubts = box_doubts(_given(given), _predicted(row), self.known)
            found += [_line(row, doubt, self.least) for doubt in doubts]
        return pa.Table.from_pylist(found, schema=DOUBTED)


def _given(boxes: list[dict[str, Any]]) -> Boxed:
    placed = [b for b in boxes if b["xyxy"] is not None and b["label"] is not None]
    xyxy = np.array([b["xyxy"] for b in placed], np.float64).reshape(-1, 4)
    return Boxed(tuple(b["label"] for b in placed), xyxy, np.ones(len(placed)))


def _predicted(row: dict[str, Any]) -> Boxed:
    xyxy = np.array(row["xyxy"] or [], np.float64).reshape(-1, 4)
    return Boxed(tuple(row["labels"] or []), xyxy, np.array(row["scores"] or [], np.float64))


def _line(row: dict[str, Any], doubt: BoxDoubt, least: float) -> dict[str, Any]:
    score = round(doubt.score, 6)
    return {
        "image_id": row["image_id"],
        "revision": row["revision"],
        "method": doubt.method,
        "label": doubt.label,
        "suggested": doubt.suggested,
        "score": score,
        "is_flagged": score >= least,
        "explanation": json.dumps(doubt.facts) if score >= least else None,
        "order": score,
    }


def by_detector(session: Session, workspace: Workspace, options: LabelOptions) -> Found:
    """Objects overlooked, boxes badly placed, labels swapped."""
    table = f"predictions/{options.boxes}"
    if table not in workspace.head.tables or "xyxy" not in workspace.columns(table):
        there = ", ".join(n for n in workspace.tables() if n.startswith("predictions/"))
        raise ConfigError(
            f"{table} is no detector's table; there are: {there or 'none yet'}. Run `cvdata infer "
            "--task detect` first, or name another"
        )
    url, seq, ranges = workspace.store.url, workspace.head.seq, workspace.ranges()
    known: set[str] = set()
    for names in session.run(BoxClasses(url, seq), ranges):
        known |= names
    if not known:
        raise ConfigError("no image has a labelled box: ingest with --format coco, yolo or voc")
    work = BoxRange(url, seq, table, tuple(sorted(known)), options.box_score)
    rows = pa.concat_tables([DOUBTED.empty_table(), *session.run(work, ranges)])
    n_classes = len({plain(name) for name in known})
    return Found(rows, {"methods": list(BOX_METHODS), "n_box_classes": n_classes})
