"""Copies of images: how many by which method, how large the groups, the largest of them to see."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from cvdata.report.charts import bars, spans
from cvdata.report.display import Cell, DataTable, count, csv_text, heading, plural, share
from cvdata.report.inputs import DuplicateFacts, LookFacts, MethodFacts, ReportInput
from cvdata.report.plot import Plot
from cvdata.report.section import Section, fill
from cvdata.report.sets import (
    CHAPTER,
    METHODS,
    SHOWN,
    ImageSet,
    Shown,
    alike,
    fitting,
    names_of,
    sets_of,
    without_picture,
)
from cvdata.report.thumbnail import Album

BUDGET = 1_800_000
"""Bytes of the pictures of this section."""

FILE = "duplicates.csv"

_SIZES = ((5, 5), (6, 9), (10, 19), (20, 49), (50, 99), (100, 999))
"""Sizes of groups that are counted together, beyond 2, 3 and 4."""


def duplicates(data: ReportInput) -> list[Section]:
    """One section; where nobody has looked for copies it says how to."""
    facts = data.duplicates
    if facts is None:
        html = fill("empty.html", what="Copies have not been looked for.", add="cvdata dedup")
        return [Section("Duplicates", "duplicates", html, CHAPTER)]
    groups = sets_of(facts.groups, "group_id")
    album, names = Album(data.thumbs, BUDGET), names_of(data)
    shown = [_set(rows, album, names) for rows in groups[:SHOWN]]
    total = _method(facts, "any")
    html = fill(
        "duplicates.html",
        facts=facts,
        total=total,
        answer=_answer(facts, total),
        looked=_looked(facts),
        chaining=_chaining(facts, total),
        table=_table(facts),
        trust=_trust(facts.look),
        edits=_edits(facts.look),
        plots=_plots(facts, total),
        sets=shown,
        without=without_picture(shown),
        file=FILE,
        listed=len(groups),
    )
    head = ("group", "is_keeper", "key", "method", "distance")
    downloads = {FILE: csv_text(head, _listing(facts, names))} if groups else {}
    return [Section("Duplicates", "duplicates", html, CHAPTER, downloads=downloads)]


def shown_groups(facts: DuplicateFacts) -> list[bytes]:
    """The images that the section shows, in its order."""
    found: list[bytes] = []
    for rows in sets_of(facts.groups, "group_id")[:SHOWN]:
        shown, _ = fitting(rows[0]["size"], len(rows))
        found += [row["image_id"] for row in rows[:shown]]
    return found


def _method(facts: DuplicateFacts, name: str) -> MethodFacts:
    return next((m for m in facts.methods if m.name == name), MethodFacts(name, 0, 0, 0))


def _answer(facts: DuplicateFacts, total: MethodFacts) -> str:
    if not total.n_copies:
        return f"No two of {plural(facts.n_images, 'image')} were found to be copies."
    verb = "is a copy" if total.n_copies == 1 else "are copies"
    left = facts.n_images - total.n_copies
    return (
        f"{plural(total.n_copies, 'image')} ({share(total.n_copies, facts.n_images)}) {verb} of "
        f"{plural(total.n_groups, 'other')}: without copies {count(left)} of "
        f"{count(facts.n_images)} would be left."
    )


def _looked(facts: DuplicateFacts) -> str:
    """What the second look did; nothing where there was none."""
    if not facts.n_verified:
        return ""
    text = (
        f"A second look, at the pixels, compared {plural(facts.n_verified, 'candidate pair')} and "
        f"turned {count(facts.n_turned_down)} down."
    )
    if facts.n_unread:
        text += f" {plural(facts.n_unread, 'image')} could not be read for it and stand alone."
    return text


def _chaining(facts: DuplicateFacts, total: MethodFacts) -> str:
    """What chaining from pair to pair would have merged besides."""
    if not total.n_copies:
        return ""
    if not total.n_bridges:
        return "Following the pairs from image to image would have tied nothing more together."
    largest, chained = max(facts.sizes, default=0), max(total.components, default=0)
    reach = (
        f"the largest set would hold {plural(chained, 'image')} instead of {count(largest)}, and "
        if chained > largest
        else ""
    )
    return (
        "No group chains: every copy was compared with its keeper itself. Had all candidate pairs "
        f"been followed from image to image, {reach}{plural(total.n_bridges, 'pair')} would have "
        "tied together what is kept apart here."
    )


def _trust(look: LookFacts | None) -> str:
    """How far the second look can be trusted, in a sentence."""
    if look is None:
        return ""
    text = (
        f"How far to trust it: of {plural(look.n_copies, 'planted copy', 'planted copies')}, "
        f"images of this dataset edited on purpose, the second look accepted "
        f"{share(look.n_accepted, look.n_copies)}; of "
        f"{plural(look.n_unrelated, 'candidate pair')} of different images it took "
        f"{count(look.n_wrong)} for copies"
    )
    return text + ("." if look.precision is None else f": precision {share(look.precision, 1)}.")


def _edits(look: LookFacts | None) -> DataTable | None:
    """The recall of the second look by edit, the worst first."""
    if look is None:
        return None
    ranked = sorted(look.edits.items(), key=lambda item: (item[1], item[0]))
    rows = tuple((heading(edit), share(recall, 1)) for edit, recall in ranked)
    return DataTable(("planted edit", "accepted"), rows)


def _table(facts: DuplicateFacts) -> DataTable:
    """The methods, the plainest first; columns without a single entry are left out."""
    order = list(METHODS)
    ranked = sorted(
        facts.methods,
        key=lambda m: (m.name == "any", order.index(m.name) if m.name in order else 9),
    )
    head = ("method", "pairs", "groups", "copies", "not comparable", "recall at least")
    rows: list[tuple[Cell, ...]] = [
        (
            METHODS[m.name].title if m.name in METHODS else heading(m.name),
            m.n_pairs,
            m.n_groups,
            m.n_copies,
            m.n_not_comparable or None,
            None if m.recall is None else share(m.recall, 1),
        )
        for m in ranked
    ]
    kept = [i for i in range(len(head)) if i < 4 or any(row[i] is not None for row in rows)]
    return DataTable(
        tuple(head[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in rows)
    )


def _plots(facts: DuplicateFacts, total: MethodFacts) -> list[Plot]:
    if not facts.sizes:
        return []
    plots = [bars("plot-group-sizes", "Groups by size.", _sizes(facts.sizes), unit="groups")]
    ordered = sorted(facts.sizes.items(), reverse=True)
    sizes = islice((size for size, n in ordered for _ in range(n)), len(total.components))
    pairs = [
        (f"No. {rank}", float(size), float(chained))
        for rank, (size, chained) in enumerate(zip(sizes, total.components, strict=False), start=1)
    ]
    if any(chained > size for _, size, chained in pairs[:10]):
        caption = "The largest groups by rank, and the largest sets that chaining would have made."
        ends = ("images in the group", "images if chained")
        plots.append(spans("plot-chaining", "Groups and chains.", pairs[:10], ends, caption))
    return plots


def _sizes(sizes: Mapping[int, int]) -> list[tuple[str, int]]:
    """(size in words, groups), small sizes one by one and large ones together."""
    counted: dict[str, int] = {}
    for size, n in sorted(sizes.items()):
        low, high = next((s for s in _SIZES if s[0] <= size <= s[1]), (size, size))
        label = (
            f"{low} to {high} images"
            if high > low
            else f"{size} images"
            if size < 1000
            else "1,000 images or more"
        )
        counted[label] = counted.get(label, 0) + n
    return list(counted.items())


def _set(rows: list[dict[str, Any]], album: Album, names: Mapping[bytes, str]) -> ImageSet:
    size = rows[0]["size"]
    shown, more = fitting(size, len(rows))
    images = tuple(
        Shown(
            names.get(row["image_id"], row["image_id"].hex()),
            album.picture(row["image_id"]),
            "keeper" if row["is_keeper"] else alike(row["method"], row["distance"]),
            is_marked=row["is_keeper"],
        )
        for row in rows[:shown]
    )
    return ImageSet(plural(size, "image"), images, more)


def _listing(facts: DuplicateFacts, names: Mapping[bytes, str]) -> list[tuple[Cell, ...]]:
    return [
        (
            row["group_id"].hex(),
            str(row["is_keeper"]).lower(),
            names.get(row["image_id"], row["image_id"].hex()),
            row["method"],
            row["distance"],
        )
        for row in facts.groups.to_pylist()
    ]
