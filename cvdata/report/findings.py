"""What is wrong and how much of it: errors by code, then issues, with the rows behind each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.report.display import heading
from cvdata.report.inputs import DuplicateFacts, IssueNote, ReportInput
from cvdata.report.outlier_facts import OutlierFacts

PARTIAL = frozenset({"measure_failed", "model_failed"})
"""Error codes of images that were read all the same."""


@dataclass(frozen=True)
class Finding:
    """One line of what is wrong: `n` images, told in full at `anchor`; `worst` are image_ids."""

    title: str
    n: int
    anchor: str
    worst: tuple[bytes, ...] = field(default=())


def findings(data: ReportInput) -> list[Finding]:
    """What could not be read, what was read in part, then issues; the most frequent first."""
    failed = unread(data)
    bad = [Finding("Not read", failed, "errors")] if failed else []
    bad += [
        Finding(heading(code), n, f"error-{code}")
        for code, n in ranked(data.errors)
        if code in PARTIAL
    ]
    rows = flagged_rows(data)
    seen = [
        Finding(heading(issue), n, f"issue-{issue}", tuple(r["image_id"] for r in rows[issue]))
        for issue, n in ranked(issue_counts(data))
    ]
    seen += strangers(data.outliers)
    return bad + sorted(seen + copies(data.duplicates), key=lambda f: (-f.n, f.title))


def copies(facts: DuplicateFacts | None) -> list[Finding]:
    """Copies that a keeper stands for, images that leak, images that contradict their copies."""
    if facts is None:
        return []
    copied = facts.groups.filter(pc.invert(facts.groups["is_keeper"]))
    found = [
        Finding(
            "Copies of another image",
            next((m.n_copies for m in facts.methods if m.name == "any"), 0),
            "duplicates",
            _one_each(copied, "group_id", "image_id"),
        ),
        Finding(
            "Leaks across splits",
            sum(facts.leaking.values()),
            "leaks",
            _one_each(facts.leaks, "id_a", "id_b"),
        ),
        Finding(
            "Conflicting labels",
            facts.n_conflicting,
            "conflicts",
            _one_each(facts.conflicts, "group_id", "image_id"),
        ),
    ]
    return [finding for finding in found if finding.n]


def strangers(facts: OutlierFacts | None) -> list[Finding]:
    """Images that several methods call outliers."""
    n = facts.method("consensus").n_flagged if facts is not None else 0
    if facts is None or not n:
        return []
    rows = facts.rows.filter(pc.equal(facts.rows["method"], "consensus"))
    return [Finding("Outliers", n, "outliers", tuple(rows["image_id"].to_pylist()))]


def _one_each(rows: pa.Table, group: str, image: str) -> tuple[bytes, ...]:
    """The first image of each group, in order: five pictures of one would tell of one only."""
    first: dict[bytes, bytes] = {}
    for row in rows.select([group, image]).to_pylist():
        first.setdefault(row[group], row[image])
    return tuple(dict.fromkeys(first.values()))


def unread(data: ReportInput) -> int:
    """Images without facts."""
    return sum(n for code, n in data.errors.items() if code not in PARTIAL)


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was counted at least once, most frequent first, ties by name."""
    return sorted(((k, n) for k, n in counts.items() if n), key=lambda pair: (-pair[1], pair[0]))


def picture_notes(data: ReportInput) -> list[IssueNote]:
    """The issues that show in a picture: those that repeat an error code are left out."""
    return [note for note in data.issue_notes if not note.is_error]


def issue_counts(data: ReportInput) -> dict[str, int]:
    """Flagged images by issue, zeros too."""
    return {note.name: data.issue_counts.get(note.name, 0) for note in picture_notes(data)}


def flagged_rows(data: ReportInput) -> dict[str, list[dict[str, Any]]]:
    """Flagged rows of each issue, worst first, ties in the order of the ids."""
    groups: dict[str, list[dict[str, Any]]] = {note.name: [] for note in picture_notes(data)}
    for row in data.issues.filter(data.issues["is_flagged"]).to_pylist():
        if row["issue"] in groups:
            groups[row["issue"]].append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: (-(row["severity"] or 0.0), row["image_id"]))
    return groups


def flagged_images(data: ReportInput) -> int | None:
    """Images with at least one issue; None where nobody counted and not every row is at hand."""
    if data.n_flagged is not None:
        return data.n_flagged
    counts = issue_counts(data)
    named = pc.is_in(data.issues["issue"], value_set=pa.array(list(counts), pa.string()))
    rows = data.issues.filter(pc.and_(data.issues["is_flagged"], named))
    return len(pc.unique(rows["image_id"])) if rows.num_rows == sum(counts.values()) else None
