"""Copies that disagree: one picture, two labels."""

from collections.abc import Mapping
from typing import Any

from cvdata.report.display import csv_text, name, plural
from cvdata.report.inputs import DuplicateFacts, ReportInput
from cvdata.report.section import Section, fill
from cvdata.report.sets import (
    CHAPTER,
    SHOWN,
    ImageSet,
    Shown,
    fitting,
    names_of,
    sets_of,
    without_picture,
)
from cvdata.report.thumbnail import Album

BUDGET = 600_000
"""Bytes of the pictures of this section."""

FILE = "label-conflicts.csv"

_KEY = "group_id", "kind"


def conflicts(data: ReportInput) -> list[Section]:
    """One section, where copies were looked for."""
    facts = data.duplicates
    if facts is None:
        return []
    groups = sets_of(facts.conflicts, *_KEY)
    album, names = Album(data.thumbs, BUDGET), names_of(data)
    shown = [_set(rows, album, names) for rows in groups[:SHOWN]]
    html = fill(
        "conflicts.html",
        answer=_answer(facts),
        n=sum(facts.conflict_counts.values()),
        sets=shown,
        without=without_picture(shown),
        file=FILE,
        listed=len(groups),
    )
    head = ("group", "kind", "key", "value", "majority")
    lines = (
        (
            row["group_id"].hex(),
            row["kind"],
            names.get(row["image_id"], row["image_id"].hex()),
            name(row["value"] or "", 1000),
            name(row["majority"] or "", 1000),
        )
        for row in facts.conflicts.to_pylist()
    )
    downloads = {FILE: csv_text(head, lines)} if groups else {}
    return [Section("Label conflicts", "conflicts", html, CHAPTER, downloads=downloads)]


def shown_conflicts(facts: DuplicateFacts) -> list[bytes]:
    """The images that the section shows, in its order."""
    found: list[bytes] = []
    for rows in sets_of(facts.conflicts, *_KEY)[:SHOWN]:
        shown, _ = fitting(rows[0]["size"], len(rows))
        found += [row["image_id"] for row in rows[:shown]]
    return found


def _answer(facts: DuplicateFacts) -> str:
    if not any(facts.conflict_counts.values()):
        return "No two copies contradict each other in their labels or boxes."
    told = []
    for kind, what in (("label", "labels"), ("boxes", "boxes")):
        n = facts.conflict_counts.get(kind, 0)
        if n:
            told.append(
                f"{plural(n, 'group')} of copies {'bears' if n == 1 else 'bear'} different {what}"
            )
    return f"{' and '.join(told)}: {plural(facts.n_conflicting, 'image')} to look at."


def _set(rows: list[dict[str, Any]], album: Album, names: Mapping[bytes, str]) -> ImageSet:
    first = rows[0]
    shown, more = fitting(first["size"], len(rows))
    images = tuple(
        Shown(
            names.get(row["image_id"], row["image_id"].hex()),
            album.picture(row["image_id"]),
            "none" if row["value"] is None else name(row["value"], 60),
            is_marked=row["value"] is not None and not row["is_majority"],
        )
        for row in rows[:shown]
    )
    most = "no majority" if first["majority"] is None else f"most say {name(first['majority'], 40)}"
    kind = "labels" if first["kind"] == "label" else name(first["kind"], 20)
    return ImageSet(f"{kind}, {most}", images, more)
