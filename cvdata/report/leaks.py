"""Copies on both sides of a split: how many between which, and the nearest pairs to see."""

from collections.abc import Mapping
from typing import Any

from cvdata.report.display import Cell, DataTable, count, csv_text, name, plural, share
from cvdata.report.inputs import DuplicateFacts, ReportInput
from cvdata.report.section import Section, fill
from cvdata.report.sets import (
    CHAPTER,
    SHOWN,
    ImageSet,
    Shown,
    alike,
    names_of,
    without_picture,
)
from cvdata.report.thumbnail import Album

BUDGET = 600_000
"""Bytes of the pictures of this section."""

FILE = "leaks.csv"

MOST_SPLITS = 8
"""Splits of the table: those that leak most."""


def leaks(data: ReportInput) -> list[Section]:
    """One section, where copies were looked for."""
    facts = data.duplicates
    if facts is None:
        return []
    rows = facts.leaks.to_pylist()
    order = _ordered(facts)
    album, names = Album(data.thumbs, BUDGET), names_of(data)
    shown = [_pair(row, order, album, names) for row in rows[:SHOWN]]
    n_pairs = sum(facts.leak_counts.values())
    html = fill(
        "leaks.html",
        answer=_answer(facts, n_pairs),
        table=_table(facts, order),
        n_pairs=n_pairs,
        sets=shown,
        without=without_picture(shown),
        file=FILE,
        listed=len(rows),
    )
    head = ("split_a", "key_a", "split_b", "key_b", "method", "distance")
    listing = csv_text(head, (_line(row, names) for row in rows))
    downloads = {FILE: listing} if rows else {}
    return [Section("Leaks across splits", "leaks", html, CHAPTER, downloads=downloads)]


def shown_leaks(facts: DuplicateFacts) -> list[bytes]:
    """The images that the section shows, in its order."""
    return [row[end] for row in facts.leaks.slice(0, SHOWN).to_pylist() for end in ("id_a", "id_b")]


def _answer(facts: DuplicateFacts, n_pairs: int) -> str:
    if n_pairs:
        n = sum(facts.leaking.values())
        verb = "has a copy" if n == 1 else "have a copy"
        return f"{plural(n, 'image')} {verb} in another split: {plural(n_pairs, 'pair')} in all."
    if len(facts.splits) < 2:
        return "There are no two splits between which an image could leak."
    return f"No image of {plural(len(facts.splits), 'split')} has a copy in another."


def _ordered(facts: DuplicateFacts) -> list[str]:
    """Splits, the largest first: the one that is trained on leads."""
    named = dict.fromkeys([*facts.splits, *(split for pair in facts.leak_counts for split in pair)])
    return sorted(named, key=lambda split: (-facts.splits.get(split, 0), split))


def _table(facts: DuplicateFacts, order: list[str]) -> DataTable | None:
    """A line per split: its images, how many leak, and pairs with each other split."""
    if not facts.leak_counts:
        return None
    pairs: dict[tuple[str, str], int] = {}
    for (a, b), n in facts.leak_counts.items():
        for key in ((a, b), (b, a)):
            pairs[key] = pairs.get(key, 0) + n
    leaking = sorted(order, key=lambda split: -facts.leaking.get(split, 0))[:MOST_SPLITS]
    kept = [split for split in order if split in leaking]
    rows = tuple(
        (
            name(a, 24),
            facts.splits.get(a, 0),
            facts.leaking.get(a, 0),
            share(facts.leaking.get(a, 0), facts.splits.get(a, 0)),
            *(None if a == b else pairs.get((a, b), 0) for b in kept),
        )
        for a in kept
    )
    head = ("split", "images", "leaking", "share", *(f"pairs with {name(b, 24)}" for b in kept))
    rest = len(order) - len(kept)
    note = f"{count(rest)} more splits leak less and are left out." if rest else ""
    return DataTable(head, rows, note)


def _pair(
    row: dict[str, Any], order: list[str], album: Album, names: Mapping[bytes, str]
) -> ImageSet:
    ends = [(row["split_a"], row["id_a"]), (row["split_b"], row["id_b"])]
    ends.sort(key=lambda end: order.index(end[0]))
    images = tuple(
        Shown(names.get(i, i.hex()), album.picture(i), name(split, 40), is_marked=i == ends[1][1])
        for split, i in ends
    )
    return ImageSet(alike(row["method"], row["distance"]), images)


def _line(row: dict[str, Any], names: Mapping[bytes, str]) -> tuple[Cell, ...]:
    a, b = (names.get(row[end], row[end].hex()) for end in ("id_a", "id_b"))
    return (
        name(row["split_a"], 1000),
        a,
        name(row["split_b"], 1000),
        b,
        row["method"],
        row["distance"],
    )
