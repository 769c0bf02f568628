"""The first page: what was looked at, whether it adds up, what is wrong and how much of it."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.report.display import NONE, count, name, number, plural, share, size
from cvdata.report.facts import Facts
from cvdata.report.inputs import ReportInput
from cvdata.report.section import Section, fill

NAMED = 6
"""Splits named one by one; with more of them only their number is told."""


@dataclass(frozen=True)
class Finding:
    """One line of what is wrong: `n` of `of` images, told in full at `anchor`."""

    title: str
    n: int
    of: int
    anchor: str


def overview(data: ReportInput) -> list[Section]:
    """One section, without a heading of its own: the page's title is its heading."""
    html = fill(
        "overview.html",
        lede=_lede(data),
        terms=[("read", data.n_ok), *sorted(data.errors.items(), key=lambda e: (-e[1], e[0]))],
        n_records=data.n_records,
        missing=data.n_records - data.n_ok - sum(data.errors.values()),
        findings=findings(data),
        clean=[title(issue) for issue, n in picture_issues(data).items() if not n],
        facts=_facts(data),
    )
    return [Section("Overview", "overview", html)]


def findings(data: ReportInput) -> list[Finding]:
    """Unreadable images first, then issues, each the most frequent first."""
    bad = [
        Finding(f"Not read: {title(code)}", n, data.n_records, f"error-{code}")
        for code, n in sorted(data.errors.items(), key=lambda e: (-e[1], e[0]))
        if n
    ]
    ordered = sorted(picture_issues(data).items(), key=lambda e: (-e[1], e[0]))
    return bad + [Finding(title(i), n, data.n_records, f"issue-{i}") for i, n in ordered if n]


def picture_issues(data: ReportInput) -> dict[str, int]:
    """Flagged images by issue, without the issues that repeat an error code."""
    names = [note.name for note in data.issue_notes if not note.is_error]
    return {name: data.issue_counts.get(name, 0) for name in names}


def title(identifier: str) -> str:
    """`odd_aspect_ratio` -> `Odd aspect ratio`."""
    words = name(identifier).replace("_", " ")
    return words[:1].upper() + words[1:]


def _lede(data: ReportInput) -> str:
    """The report in two sentences."""
    if not data.n_records:
        return "No images were found: there is nothing to report yet."
    failed = sum(data.errors.values())
    if failed:
        read = (
            f"{plural(data.n_records, 'image')}, of which {count(failed)} "
            f"({share(failed, data.n_records)}) could not be read."
        )
    else:
        read = f"{plural(data.n_records, 'image')}, every one of them read."
    if not data.issue_notes:
        return f"{read} Issues have not been looked for yet."
    return f"{read} {_flagged(data)}"


def _flagged(data: ReportInput) -> str:
    """How many images show an issue where every flagged row is at hand, else how many flags."""
    issues = picture_issues(data)
    flags = sum(issues.values())
    if not flags:
        return "No issue was found."
    kinds = plural(sum(n > 0 for n in issues.values()), "kind of issue", "kinds of issue")
    rows = data.issues.filter(pc.is_in(data.issues["issue"], value_set=pa.array(list(issues))))
    if rows.num_rows != flags:
        return f"{plural(flags, 'flag')} were raised, of {kinds}."
    images = len(pc.unique(rows["image_id"]))
    return f"{count(images)} ({share(images, data.n_records)}) show at least one of {kinds}."


def _facts(data: ReportInput) -> list[tuple[str, str]]:
    facts = Facts(data.tables)
    splits = facts.counts("split")
    labels = facts.counts("label")
    n_bytes = _bytes(facts)
    shown = [
        ("Commit", f"{data.commit.seq} · {data.commit.job}"),
        (
            "Made",
            data.commit.created.replace("T", " ")[:16] + " UTC" if data.commit.created else NONE,
        ),
        ("Classes", count(len(labels)) if labels else NONE),
        ("Splits", _splits(splits)),
        ("Bytes", size(n_bytes) if n_bytes is not None else NONE),
        ("Configuration", data.commit.config_digest[:12] or NONE),
    ]
    return [*shown, *((title(key), number(value)) for key, value in data.statistics.items())]


def _bytes(facts: Facts) -> float | None:
    mean, n = facts.statistic("size_bytes", "mean"), facts.statistic("size_bytes", "count")
    return None if mean is None or n is None else mean * n


def _splits(splits: list[tuple[str, int]]) -> str:
    if not splits:
        return NONE
    if len(splits) > NAMED:
        return count(len(splits))
    return ", ".join(f"{name(label, 24)} {count(n)}" for label, n in splits)
