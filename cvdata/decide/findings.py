"""Findings: one line for each reason about each image, and how they become a decision."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.schema import ID

FINDINGS = pa.schema(
    [
        pa.field("image_id", ID, nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("is_drop", pa.bool_(), nullable=False),
        pa.field("severity", pa.float32()),
    ]
)
"""One reason for one image: it drops, or only warns. `severity` in [0, 1] where the finding has
one."""

KINDS = ("issue", "duplicate", "outlier", "leak", "label_issue", "user", "balance")
"""The closed list: what stands before the first colon of a reason."""

Bools = npt.NDArray[np.bool_]


def kind_of(reason: str) -> str:
    """`issue:dark` -> `issue`."""
    return reason.partition(":")[0]


def findings(
    ids: pa.Array | pa.ChunkedArray,
    reasons: pa.Array | str,
    is_drop: bool,
    severity: pa.Array | None = None,
) -> pa.Table:
    """FINDINGS of these images; one reason for all, or one each."""
    n = len(ids)
    column = pa.array([reasons] * n, pa.string()) if isinstance(reasons, str) else reasons
    columns = {
        "image_id": ids,
        "reason": column,
        "is_drop": pa.array(np.full(n, is_drop)),
        "severity": pa.nulls(n, pa.float32()) if severity is None else severity,
    }
    return pa.table(columns).cast(FINDINGS)


def joined(tables: Iterable[pa.Table]) -> pa.Table:
    """All findings together, each (image, reason) once: it drops if any of its lines does."""
    rows = pa.concat_tables([FINDINGS.empty_table(), *tables]).combine_chunks()
    keys = ["image_id", "reason"]
    grouped = rows.group_by(keys).aggregate([("is_drop", "max"), ("severity", "max")])
    named = grouped.select([*keys, "is_drop_max", "severity_max"]).rename_columns(FINDINGS.names)
    order = [("image_id", "ascending"), ("is_drop", "descending"), ("reason", "ascending")]
    ranked = named.set_column(2, "is_drop", named["is_drop"].cast(pa.int8()))
    return named.take(pc.sort_indices(ranked, sort_keys=order)).cast(FINDINGS)


@dataclass(frozen=True)
class MergedReasons:
    """What was found about N images.

    `reasons` list<string>, those that drop first; `n_drops` (N,) of them; `severity` (N,) float64,
    the worst among those that drop, 0 for none.
    """

    reasons: pa.Array
    n_drops: npt.NDArray[np.int64]
    severity: npt.NDArray[np.float64]

    def drops_by(self, kinds: Sequence[str]) -> Bools:
        """(N,) whether a dropping reason is of one of these kinds."""
        values, n = self.reasons.flatten(), len(self.reasons)
        is_kind = np.zeros(len(values), bool)
        for kind in kinds:
            is_kind |= np.asarray(pc.equal(values, kind))
            is_kind |= np.asarray(pc.starts_with(values, kind + ":"))
        offsets = np.asarray(self.reasons.offsets, np.int64)
        place = np.arange(len(values)) - np.repeat(offsets[:-1], np.diff(offsets))
        row = np.repeat(np.arange(n), np.diff(offsets))
        found = np.zeros(n, bool)
        found[row[is_kind & (place < self.n_drops[row])]] = True
        return found


def merge_findings(ids: pa.Array | pa.ChunkedArray, rows: pa.Table) -> MergedReasons:
    """The findings of `ids` (N,), which are sorted; findings of other images are left out."""
    whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    sorted_rows = joined([rows])
    at = pc.index_in(sorted_rows["image_id"], value_set=whole)
    held = sorted_rows.filter(pc.is_valid(at))
    row = np.asarray(pc.drop_null(at), np.int64)
    order = np.argsort(row, kind="stable")
    held, row = held.take(pa.array(order)), row[order]
    n = len(whole)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    reason = held["reason"].combine_chunks()
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), reason)
    is_drop = np.asarray(held["is_drop"], bool)
    severity = np.zeros(n)
    known = np.nan_to_num(np.asarray(held["severity"].cast(pa.float64()), np.float64))
    np.maximum.at(severity, row[is_drop], known[is_drop])
    return MergedReasons(lists, np.bincount(row[is_drop], minlength=n).astype(np.int64), severity)
