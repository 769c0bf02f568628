"""Facts -> rows of the `issues` table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.issues.base import Columns, Context, Issue
from cvdata.issues.catalogue import IssueSettings
from cvdata.schema import ISSUES as SCHEMA


def find_issues(
    measures: pa.Table,
    records: pa.Table | None,
    context: Context,
    settings: IssueSettings = IssueSettings(),
) -> pa.Table:
    """The rows of `issues` for the images of `measures`, sorted by image_id, then issue.

    `records` (columns `image_id`, `boxes`; any order, more rows do no harm) gives the boxes; None
    where there are none. `context` is that of the whole dataset, not of this batch.

    A row is kept where the image is flagged, or its severity is above `settings.keep` × the
    threshold: what was nearly flagged stays, so that the worst can be looked at in order; what is
    fine takes no room. `measures` has the number itself for every image. An issue whose columns
    are missing, and an image whose severity is undefined, has no row.
    """
    columns = Columns(measures, _aligned_boxes(measures, records))
    parts = [_rows(columns, issue, context, settings.keep) for issue in settings.issues()]
    table = pa.concat_tables([SCHEMA.empty_table(), *parts]).combine_chunks()
    return table.sort_by([("image_id", "ascending"), ("issue", "ascending")])


def flags(severity: np.ndarray, threshold: float) -> np.ndarray:
    """(N,) bool: severity above the threshold, compared as the stored float32."""
    return np.asarray(severity.astype(np.float32) > np.float32(threshold))


def _rows(columns: Columns, issue: Issue, context: Context, keep: float) -> pa.Table:
    """The rows of one issue."""
    severity = np.clip(issue(columns, context), 0.0, 1.0).astype(np.float32)
    flagged = flags(severity, issue.threshold)
    rows = np.flatnonzero(flagged | (severity > np.float32(keep * issue.threshold)))
    keys = columns.measures.select(["image_id", "revision"]).take(rows)
    return pa.table(
        [
            *keys.columns,
            pa.array([issue.name]).take(pa.array(np.zeros(len(rows), dtype=np.int64))),
            pa.array(severity[rows]),
            pa.array(flagged[rows]),
        ],
        schema=SCHEMA,
    )


def _aligned_boxes(measures: pa.Table, records: pa.Table | None) -> pa.Array | None:
    """The boxes of each row of `measures`; null where `records` has none."""
    if records is None or "boxes" not in records.column_names:
        return None
    row = pc.index_in(measures.column("image_id"), value_set=records.column("image_id"))
    boxes = records.column("boxes").take(row)
    return boxes.combine_chunks() if isinstance(boxes, pa.ChunkedArray) else boxes
