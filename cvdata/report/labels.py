"""Labels that are probably wrong: how many by which method, what they should be, the worst seen."""

from collections.abc import Mapping
from typing import Any

from cvdata.report.display import Cell, DataTable, count, csv_text, name, plural, share
from cvdata.report.inputs import ReportInput
from cvdata.report.label_facts import LabelFacts
from cvdata.report.section import Section, fill
from cvdata.report.sets import ImageSet, Shown, names_of, without_picture
from cvdata.report.thumbnail import Album

CHAPTER = "Labels"
BUDGET = 600_000
"""Bytes of the pictures of this section."""
FILE = "label-issues.csv"
PER_METHOD = 12
"""Images shown of a method."""
MOVES = 15

METHODS: Mapping[str, tuple[str, str]] = {
    "consensus": ("Neighbours and probes agree", "both together find another class likelier"),
    "model": ("By the model's scores", "the label is more probably wrong than right"),
    "confident_learning": ("Confident learning", "confidently of another class, out of sample"),
    "knn": ("Neighbours disagree", "the nearest images bear another label"),
    "overlooked": ("Objects without a box", "the detector sees one where no box is"),
    "badly_placed": ("Boxes badly placed", "the detector's box of that class lies elsewhere"),
    "swapped": ("Boxes of another class", "the detector sees another class in that place"),
}
"""Title and meaning of each method, the one to look at first leading."""


def labels(data: ReportInput) -> list[Section]:
    """One section, where labels were looked at."""
    facts = data.labels
    if facts is None:
        return []
    album, names = Album(data.thumbs, BUDGET), names_of(data)
    sets = [_set(m, rows, facts, (album, names)) for m, rows in _first(facts).items()]
    sets = [one for one in sets if one.images]
    html = fill(
        "labels.html",
        facts=facts,
        answer=_answer(facts),
        notes=_notes(facts),
        table=_table(facts),
        moves=_moves(facts),
        sets=sets,
        without=without_picture(sets),
        file=FILE,
        listed=len(facts.rows),
        total=sum(facts.flagged.values()),
    )
    head = ("method", "rank", "key", "label", "suggested", "score")
    listing = csv_text(head, (_line(row, names) for row in facts.rows.to_pylist()))
    downloads = {FILE: listing} if len(facts.rows) else {}
    return [Section("Labels that look wrong", "labels", html, CHAPTER, downloads=downloads)]


def methods(facts: LabelFacts) -> list[str]:
    """The methods that ran, in the order of the page."""
    return [method for method in METHODS if method in facts.doubted]


def shown_labels(facts: LabelFacts | None) -> list[bytes]:
    """The images that the section shows."""
    if facts is None:
        return []
    return [row["image_id"] for rows in _first(facts).values() for row in rows]


def _first(facts: LabelFacts) -> dict[str, list[dict[str, Any]]]:
    """The first rows of each method, an image once: where the leading method has it."""
    seen: set[bytes] = set()
    found: dict[str, list[dict[str, Any]]] = {}
    for method in methods(facts):
        rows = [r for r in facts.rows.to_pylist() if r["method"] == method]
        fresh = [r for r in sorted(rows, key=_rank) if r["image_id"] not in seen]
        found[method] = fresh[: PER_METHOD if not found else PER_METHOD // 2]
        seen.update(r["image_id"] for r in found[method])
    return found


def _rank(row: dict[str, Any]) -> int:
    return int(row["rank"])


def _answer(facts: LabelFacts) -> str:
    leading = methods(facts)[:1]
    n = facts.flagged.get(leading[0], 0) if leading else 0
    if not n:
        return "No label looks wrong."
    learnt = facts.sources.get("embeddings")
    part = f" ({share(n, learnt['n_learnt'])})" if learnt and "n_learnt" in learnt else ""
    verb = "bears a label" if n == 1 else "bear labels"
    return f"{plural(n, 'image')}{part} probably {verb} of another class."


def _notes(facts: LabelFacts) -> list[str]:
    notes = []
    if learnt := facts.sources.get("embeddings"):
        notes.append(
            f"Probes met {share(learnt['accuracy'], 1)} of {plural(learnt['n_learnt'], 'label')} "
            f"in {plural(learnt['n_classes'], 'class', 'classes')} out of sample."
        )
        if learnt["n_rare_images"]:
            notes.append(
                f"{plural(learnt['n_rare_images'], 'image')} of rare classes were not judged."
            )
    if model := facts.sources.get("predictions"):
        rate = share(model["estimated_rate"], 1)
        notes.append(f"By the model's scores about {rate} of the labels are wrong.")
    return notes


def _table(facts: LabelFacts) -> DataTable:
    rows = tuple(
        (METHODS[m][0], METHODS[m][1], facts.flagged.get(m, 0), facts.doubted[m])
        for m in methods(facts)
    )
    return DataTable(("method", "flags where", "flagged", "doubted"), rows)


def _moves(facts: LabelFacts) -> DataTable | None:
    """From which label to which, of the leading method."""
    if not facts.moves:
        return None
    rows = tuple((name(a, 40), name(b, 40), n) for a, b, n in facts.moves[:MOVES])
    return DataTable(("label", "suggested", "images"), rows)


def _set(
    method: str,
    rows: list[dict[str, Any]],
    facts: LabelFacts,
    known: tuple[Album, Mapping[bytes, str]],
) -> ImageSet:
    album, names = known
    images = []
    for row in rows:
        image_id = row["image_id"]
        given, other = (str(row[c]) if row[c] is not None else "–" for c in ("label", "suggested"))
        fact = f"{name(given, 24)} → {name(other, 24)}"
        images.append(Shown(names.get(image_id, image_id.hex()), album.picture(image_id), fact))
    return ImageSet(f"{METHODS[method][0]}: {count(facts.flagged.get(method, 0))}", tuple(images))


def _line(row: dict[str, Any], names: Mapping[bytes, str]) -> tuple[Cell, ...]:
    image_id = row["image_id"]
    known = names.get(image_id, image_id.hex())
    return row["method"], row["rank"], known, row["label"], row["suggested"], row["score"]
