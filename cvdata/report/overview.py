"""The first page: what was looked at, whether it adds up, what is wrong and how much of it."""

from cvdata.report.display import NONE, count, heading, name, number, plural, share, size
from cvdata.report.facts import POOLED, Facts
from cvdata.report.findings import findings, flagged_images, issue_counts, ranked, unread
from cvdata.report.inputs import ReportInput
from cvdata.report.section import Section, fill
from cvdata.report.thumbnail import Album

OUTDATED = (
    "Issues and answers are of an earlier state: something was ingested or scanned since; "
    "run cvdata eda."
)

NAMED = 6
"""Splits named one by one; with more of them only their number is told."""

WORST = 5
"""Pictures beside a finding."""

BUDGET = 1_000_000
"""Bytes of the pictures beside the findings."""


def overview(data: ReportInput) -> list[Section]:
    """One section, without a heading of its own: the page's title is its heading."""
    album = Album(data.thumbs, BUDGET)
    rows = [
        {
            "title": finding.title,
            "anchor": finding.anchor,
            "n": finding.n,
            "share": share(finding.n, data.n_records),
            "worst": [p for p in map(album.picture, finding.worst[:WORST]) if p is not None],
        }
        for finding in findings(data)
    ]
    html = fill(
        "overview.html",
        lede=_lede(data),
        terms=[("", "ok", data.n_ok), *((f"error-{c}", c, n) for c, n in ranked(data.errors))],
        n_records=data.n_records,
        missing=data.n_records - data.n_ok - sum(data.errors.values()),
        findings=rows,
        clean=[heading(issue).lower() for issue, n in issue_counts(data).items() if not n],
        facts=_facts(data),
    )
    return [Section("Overview", "overview", html)]


def _lede(data: ReportInput) -> str:
    """The report in two sentences."""
    if not data.n_records:
        return "No images were found: there is nothing to report yet."
    images = plural(data.n_records, "image")
    failed = unread(data)
    if failed:
        part = share(failed, data.n_records)
        read = f"{images}, of which {count(failed)} ({part}) could not be read."
    else:
        read = f"{images}, every one of them read."
    if not data.issue_notes:
        return f"{read} Issues have not been looked for yet."
    return " ".join([read, _flagged(data), *([] if data.is_eda_current else [OUTDATED])])


def _flagged(data: ReportInput) -> str:
    """How many images show an issue where every flagged row is at hand, else how many flags."""
    counts = issue_counts(data)
    if not any(counts.values()):
        return "No issue was found."
    kinds = plural(sum(n > 0 for n in counts.values()), "kind of issue", "kinds of issue")
    images = flagged_images(data)
    if images is None:
        return f"{plural(sum(counts.values()), 'flag')} were raised, of {kinds}."
    verb = "shows" if images == 1 else "show"
    return f"{count(images)} ({share(images, data.n_records)}) {verb} at least one of {kinds}."


def _facts(data: ReportInput) -> list[tuple[str, str]]:
    """What a reader wants to know before reading on, as (term, value)."""
    facts = Facts(data.tables)
    labels = [label for label, _ in facts.named("label")]
    classes = count(len(labels) - 1) + " and more" if POOLED in labels else count(len(labels))
    mean, n = facts.statistic("size_bytes", "mean"), facts.statistic("size_bytes", "count")
    made = data.commit.created.replace("T", " ")[:16]
    return [
        ("Classes", classes if labels else NONE),
        ("Splits", _splits(facts.sizes("split"))),
        ("Bytes", NONE if mean is None or n is None else size(mean * n)),
        ("Made", made or NONE),
        ("Commit", f"{data.commit.seq} · {data.commit.job}"),
        ("Configuration", data.commit.config_digest[:12] or NONE),
        *(
            (heading(key.removeprefix("n_")), _told(value))
            for key, value in data.statistics.items()
        ),
    ]


def _told(value: str | float) -> str:
    return name(value) if isinstance(value, str) else number(value)


def _splits(splits: list[tuple[str, int]]) -> str:
    if not splits:
        return NONE
    if len(splits) > NAMED:
        return count(len(splits))
    return ", ".join(f"{name(label, 24)} {count(n)}" for label, n in splits)
