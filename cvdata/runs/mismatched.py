"""Doubted labels as the issue `mismatched_label`: eda adds it, and labels, which runs after eda."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import TableState
from cvdata.engine.session import Session
from cvdata.issues import Context, IssueSettings, find_issues
from cvdata.issues.labels import MismatchedLabel
from cvdata.parts import Part, PartSpec, write_content
from cvdata.reading import IdRange
from cvdata.schema import ID, ISSUES
from cvdata.storage import digest
from cvdata.workspace import Change, Workspace

LABEL_ISSUES_TABLE, ISSUES_TABLE = "label_issues", "issues"
COLUMN = "label_doubt"
JUDGES = ("consensus", "model")
"""Of methods on labels these are believed; those on boxes say nothing of the label."""
READ = ["image_id", "method", "score", "is_flagged"]


def doubts_of(rows: pa.Table) -> pa.Table:
    """LABEL_ISSUES -> image_id, `label_doubt`: above 0.5 where a judge flags it.

    At most 0.5 where none does, however doubtful.
    """
    rows = rows.filter(pc.is_in(rows["method"], value_set=pa.array(JUDGES)))
    score = rows["score"].cast(pa.float64())
    least = float(np.nextafter(np.float32(0.5), np.float32(1)))
    doubt = pc.if_else(
        rows["is_flagged"], pc.max_element_wise(score, least), pc.min_element_wise(score, 0.5)
    )
    found = pa.table({"image_id": rows["image_id"], COLUMN: doubt})
    found = (
        found.group_by("image_id").aggregate([(COLUMN, "max")]).rename_columns(["image_id", COLUMN])
    )
    return found.cast(pa.schema([pa.field("image_id", ID), pa.field(COLUMN, pa.float64())]))


def with_doubts(wide: pa.Table, doubts: pa.Table) -> pa.Table:
    """`wide` with the column `label_doubt`, null where nobody doubts."""
    at = pc.index_in(wide["image_id"], value_set=doubts["image_id"].combine_chunks())
    return wide.append_column(COLUMN, doubts[COLUMN].take(at))


def doubts_in(workspace: Workspace, id_range: IdRange) -> pa.Table:
    """Those of the committed table; none where the labels job has not run."""
    if LABEL_ISSUES_TABLE not in workspace.head.tables:
        return pa.table({"image_id": pa.array([], ID), COLUMN: pa.array([], pa.float64())})
    return doubts_of(workspace.read(LABEL_ISSUES_TABLE, READ, id_range=id_range))


@dataclass(frozen=True)
class MarkRange:
    """One range of `issues` with its rows of `mismatched_label` made anew."""

    url: str
    seq: int
    spec: PartSpec
    doubts: pa.Table
    settings: IssueSettings

    def __call__(self, id_range: IdRange) -> Part:
        """Read, replace, write."""
        workspace = Workspace(self.url).pin(self.seq)
        rows = workspace.read(ISSUES_TABLE, id_range=id_range)
        kept = rows.filter(pc.not_equal(rows["issue"], MismatchedLabel.name))
        images = workspace.read("records", ["image_id", "revision"], id_range=id_range)
        images = with_doubts(images, self.doubts)
        images = images.filter(pc.is_valid(images[COLUMN]))
        found = find_issues(images, None, Context(), self.settings)
        found = found.filter(pc.equal(found["issue"], MismatchedLabel.name))
        rows = pa.concat_tables([kept.cast(ISSUES), found])
        rows = rows.sort_by([("image_id", "ascending"), ("issue", "ascending")])
        return write_content(workspace.store, self.spec, rows)


def mark_mismatched(session: Session, change: Change, rows: pa.Table) -> None:
    """Put the doubts of LABEL_ISSUES `rows` into `issues`, where eda has made it."""
    state = change.base.tables.get(ISSUES_TABLE)
    if state is None:
        return
    workspace = Workspace(change.store.url, store=change.store).pin(change.base.seq)
    chosen = {k: v for k, v in state.meta["settings"].items() if k in IssueSettings.model_fields}
    spec = PartSpec(ISSUES_TABLE, digest(ISSUES.serialize()), ISSUES)
    work = MarkRange(
        change.store.url, change.base.seq, spec, doubts_of(rows), IssueSettings(**chosen)
    )
    parts = {part.path: part for part in session.run(work, workspace.ranges())}
    put = TableState(spec.fingerprint, tuple(parts[p] for p in sorted(parts)), state.meta)
    change.put_state(ISSUES_TABLE, put)
