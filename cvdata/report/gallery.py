"""Issue galleries: what each issue means, how many images show it, and the worst of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cvdata.report.display import csv_text, heading, name
from cvdata.report.findings import flagged_rows, issue_counts, ranked
from cvdata.report.inputs import IssueNote, ReportInput
from cvdata.report.section import Section, fill
from cvdata.report.thumbnail import Album, Picture

SHOWN = 24
"""Images in one gallery."""

BUDGET = 4_200_000
"""Bytes of the pictures of all galleries."""

NAME_LIMIT = 1000
"""Characters of a key in the CSV."""

CHAPTER = "Issues"


@dataclass(frozen=True)
class Hung:
    """One image in a gallery; `picture` is None where there is no thumbnail."""

    key: str
    severity: float | None
    picture: Picture | None


def galleries(data: ReportInput) -> list[Section]:
    """One section per issue that was found, the most frequent first."""
    if not data.issue_notes:
        html = fill("empty.html", what="Issues have not been looked for.", add="cvdata eda")
        return [Section("Issues", "issues", html, CHAPTER)]
    rows = flagged_rows(data)
    found = ranked(issue_counts(data))
    ids, keys = (data.records[column].to_pylist() for column in ("image_id", "key"))
    names = {i: name(key, NAME_LIMIT) for i, key in zip(ids, keys, strict=True)}
    hung = _hang([issue for issue, _ in found], rows, names, Album(data.thumbs, BUDGET))
    notes = {note.name: note for note in data.issue_notes}
    return [
        _section(
            notes[issue],
            data,
            hung[issue],
            [(names.get(r["image_id"], ""), r) for r in rows[issue]],
        )
        for issue, _ in found
    ]


def _section(
    note: IssueNote, data: ReportInput, hung: list[Hung], rows: list[tuple[str, dict[str, Any]]]
) -> Section:
    file = f"issue-{note.name}.csv"
    html = fill(
        "gallery.html",
        note=note,
        n=data.issue_counts[note.name],
        of=data.n_records,
        hung=hung,
        listed=len(rows),
        without=sum(one.picture is None for one in hung),
        file=file,
    )
    listing = csv_text(("key", "severity"), ((key, row["severity"]) for key, row in rows))
    downloads = {file: listing} if rows else {}
    return Section(heading(note.name), f"issue-{note.name}", html, CHAPTER, downloads=downloads)


def _hang(
    issues: list[str],
    rows: Mapping[str, list[dict[str, Any]]],
    names: Mapping[bytes, str],
    album: Album,
) -> dict[str, list[Hung]]:
    """The worst of every issue before the second worst of any: the budget is shared fairly."""
    hung: dict[str, list[Hung]] = {issue: [] for issue in issues}
    for rank in range(SHOWN):
        for issue in issues:
            if rank < len(rows[issue]):
                row = rows[issue][rank]
                picture = album.picture(row["image_id"])
                key = names.get(row["image_id"], row["image_id"].hex())
                hung[issue].append(Hung(key, row["severity"], picture))
    return hung
