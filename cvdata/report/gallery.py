"""Issue galleries: what each issue means, how many images show it, and the worst of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cvdata.report.display import csv_text, name
from cvdata.report.inputs import IssueNote, ReportInput
from cvdata.report.overview import title
from cvdata.report.section import Section, fill
from cvdata.report.thumbnail import Album, Picture

SHOWN = 24
"""Images in one gallery."""

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
    keys = _keys(data)
    rows = _by_issue(data)
    shown = [note for note in data.issue_notes if not note.is_error]
    notes = sorted(shown, key=lambda n: (-data.issue_counts.get(n.name, 0), n.name))
    found = [note for note in notes if data.issue_counts.get(note.name)]
    hung = _hang(found, rows, keys, Album(data.thumbs))
    return [_section(note, data, hung[note.name], rows[note.name], keys) for note in found]


def _section(
    note: IssueNote,
    data: ReportInput,
    hung: list[Hung],
    rows: list[dict[str, Any]],
    keys: Mapping[bytes, bytes],
) -> Section:
    n = data.issue_counts[note.name]
    file = f"issue-{note.name}.csv"
    html = fill(
        "gallery.html",
        note=note,
        n=n,
        of=data.n_records,
        hung=hung,
        without=sum(one.picture is None for one in hung),
        file=file,
    )
    listing = csv_text(
        ("key", "severity"),
        ((name(keys.get(r["image_id"], b""), 1000), r["severity"]) for r in rows),
    )
    downloads = {file: listing} if rows else {}
    return Section(title(note.name), f"issue-{note.name}", html, CHAPTER, downloads=downloads)


def _keys(data: ReportInput) -> dict[bytes, bytes]:
    ids, keys = (data.records[column].to_pylist() for column in ("image_id", "key"))
    return dict(zip(ids, keys, strict=True))


def _by_issue(data: ReportInput) -> dict[str, list[dict[str, Any]]]:
    """Flagged rows of each issue, worst first, ties in the order of the ids."""
    groups: dict[str, list[dict[str, Any]]] = {note.name: [] for note in data.issue_notes}
    for row in data.issues.to_pylist():
        if row["is_flagged"] and row["issue"] in groups:
            groups[row["issue"]].append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: (-(row["severity"] or 0.0), row["image_id"]))
    return groups


def _hang(
    notes: list[IssueNote],
    rows: Mapping[str, list[dict[str, Any]]],
    keys: Mapping[bytes, bytes],
    album: Album,
) -> dict[str, list[Hung]]:
    """The worst of every issue before the second worst of any: the budget is shared fairly."""
    hung: dict[str, list[Hung]] = {note.name: [] for note in notes}
    for issue, row in _in_turn(notes, rows):
        image_id = row["image_id"]
        picture = album.picture(image_id)
        hung[issue].append(Hung(name(keys.get(image_id, b"")), row["severity"], picture))
    return hung


def _in_turn(
    notes: list[IssueNote], rows: Mapping[str, list[dict[str, Any]]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for rank in range(SHOWN):
        for note in notes:
            if rank < len(rows[note.name]):
                yield note.name, rows[note.name][rank]
