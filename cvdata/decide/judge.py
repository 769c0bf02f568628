"""What each image's own rows say: errors, issues, outliers, label issues, the user's lists."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.decide.findings import FINDINGS, findings, joined
from cvdata.decide.rules import Action, Rules, action_of
from cvdata.errors import ErrorCode
from cvdata.issues.file import CORRUPT_CODES, REFUSED_CODES, TRUNCATED_CODES, UNREACHABLE_CODES

PARTIAL = (ErrorCode.MEASURE_FAILED, ErrorCode.MODEL_FAILED)
"""Errors of an image that can be read."""

_ISSUE_OF_CODE = {
    str(code): issue
    for issue, codes in (
        ("corrupt", CORRUPT_CODES),
        ("truncated", TRUNCATED_CODES),
        ("refused", REFUSED_CODES),
        ("unreachable", UNREACHABLE_CODES),
    )
    for code in codes
}
ERROR_ISSUES = tuple(dict.fromkeys(_ISSUE_OF_CODE.values()))


def is_unreadable(error: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where the image itself cannot be had; a failed measure or model is not that."""
    partial = pc.is_in(error, value_set=pa.array([str(code) for code in PARTIAL]))
    return pc.and_(pc.is_valid(error), pc.invert(partial))


def judge(images: pa.Table, tables: Mapping[str, pa.Table], rules: Rules) -> pa.Table:
    """FINDINGS of the images of one range.

    `images`: image_id, error. `tables`: ISSUES, OUTLIERS, LABEL_ISSUES of the same range by name,
    those that there are.
    """
    found = [_errors(images)]
    if "issues" in tables:
        found.append(_issues(tables["issues"], rules.issues))
    if "outliers" in tables:
        found.append(_methods(tables["outliers"], rules.outliers, "outlier:"))
    if "label_issues" in tables:
        found.append(_methods(tables["label_issues"], rules.label_issues, ""))
    return joined(found)


def _errors(images: pa.Table) -> pa.Table:
    """What cannot be read drops, by the name that `issues` has for its code."""
    bad = images.filter(is_unreadable(images["error"]))
    names = [_ISSUE_OF_CODE.get(code, "corrupt") for code in bad["error"].to_pylist()]
    reasons = pa.array([f"issue:{name}" for name in names], pa.string())
    return findings(bad["image_id"], reasons, True, pa.array(np.ones(len(bad)), pa.float32()))


def _issues(rows: pa.Table, rules: dict[str, Action]) -> pa.Table:
    rows = rows.filter(rows["is_flagged"])
    rows = rows.filter(pc.invert(pc.is_in(rows["issue"], value_set=pa.array(ERROR_ISSUES))))
    return _by_name(rows, "issue", rules, "issue:")


def _methods(rows: pa.Table, rules: dict[str, Action], prefix: str) -> pa.Table:
    return _by_name(rows.filter(rows["is_flagged"]), "method", rules, prefix)


def _by_name(rows: pa.Table, column: str, rules: dict[str, Action], prefix: str) -> pa.Table:
    """A finding for each row that its rule does not ignore; `label_issue` has no name in it."""
    out = [FINDINGS.empty_table()]
    for name in sorted(pc.unique(rows[column]).to_pylist()):
        action = action_of(rules, name)
        if action == "ignore":
            continue
        mine = rows.filter(pc.equal(rows[column], name))
        reason = f"{prefix}{name}" if prefix else "label_issue"
        severity = _severity(mine)
        out.append(findings(mine["image_id"], reason, action == "drop", severity))
    return pa.concat_tables(out)


def _severity(rows: pa.Table) -> pa.ChunkedArray | None:
    """Only issues and label issues are on a scale of 0 to 1."""
    if "severity" in rows.column_names:
        return rows["severity"]
    return rows["score"] if "suggested" in rows.column_names else None
