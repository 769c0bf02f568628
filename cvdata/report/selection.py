"""What stays and what goes: how many for which reason, and what becomes of classes and splits."""

from collections.abc import Sequence

from cvdata.report.charts import bars, spans
from cvdata.report.display import Cell, DataTable, count, csv_text, name, plural, share
from cvdata.report.inputs import ReportInput
from cvdata.report.plot import MAX_BARS, MAX_ROWS, Plot
from cvdata.report.section import Section, fill
from cvdata.report.selection_facts import GroupFacts, ReasonFacts, SelectionFacts

CHAPTER = "Selection"
FILE = "selection-classes.csv"
NAMED = 5
"""Classes named in a sentence."""

LISTED = 30
"""Classes in the table."""

_WEIGHTS = {
    "inverse": "inverse class frequency",
    "effective": "the effective number of its class",
    "repeat": "the repeat factor of its rarest object",
}


def selection(data: ReportInput) -> list[Section]:
    """One section, where something was decided."""
    facts = data.selection
    if facts is None:
        return []
    html = fill(
        "selection.html",
        facts=facts,
        answer=_answer(facts),
        notes=_notes(facts),
        reasons=_reasons(facts),
        plots=_plots(facts),
        splits=_groups("split", facts.splits) if len(facts.splits) > 1 else None,
        classes=_groups("class", facts.classes) if len(facts.classes) > 1 else None,
        file=FILE,
    )
    listing = csv_text(_head("class"), (_row(group, 1000) for group in facts.classes))
    downloads = {FILE: listing} if len(facts.classes) > 1 else {}
    return [Section("What stays", "selection", html, CHAPTER, downloads=downloads)]


def _answer(facts: SelectionFacts) -> str:
    n = facts.n_images - facts.n_kept
    if not n:
        return f"All {plural(facts.n_images, 'image')} stay."
    part = share(n, facts.n_images)
    verb = "drops" if n == 1 else "drop"
    return (
        f"{count(facts.n_kept)} of {plural(facts.n_images, 'image')} stay, {count(n)} ({part}) "
        f"{verb}. Dropping is a line in a table: no file was touched."
    )


def _notes(facts: SelectionFacts) -> list[str]:
    """What a reader must know besides the counts."""
    notes = []
    if facts.n_led_anew:
        text = plural(facts.n_led_anew, "group of copies keeps", "groups of copies keep")
        notes.append(f"{text} another image than dedup chose: that one drops for other reasons.")
    if facts.floors:
        some = [f"{count(n)} of {name(label, 40)}" for label, n in list(facts.floors.items())]
        more = f" and {count(len(some) - NAMED)} classes more" if len(some) > NAMED else ""
        notes.append(f"Floors brought back {', '.join(some[:NAMED])}{more}.")
    if facts.n_cut or facts.n_copies:
        where = facts.balanced_splits
        which = ", ".join(name(split, 40) for split in where) if where else "all images"
        notes.append(
            f"Balancing {which} drops {plural(facts.n_cut, 'image')} and plans "
            f"{plural(facts.n_copies, 'augmented copy', 'augmented copies')}."
        )
    if facts.unmet:
        told = [f"{name(c, 40)} ({count(n)} of {count(t)})" for c, n, t in facts.unmet[:NAMED]]
        more = f" and {count(len(facts.unmet) - NAMED)} more" if len(facts.unmet) > NAMED else ""
        notes.append(f"Not at its target: {', '.join(told)}{more}.")
    if facts.weights in _WEIGHTS:
        notes.append(f"Each image is weighted by {_WEIGHTS[facts.weights]}.")
    if facts.absent:
        notes.append(f"Not there, so not used: {', '.join(facts.absent)}.")
    return notes


def _reasons(facts: SelectionFacts) -> DataTable | None:
    if not facts.reasons:
        return None
    rows = tuple(
        (name(r.name, 60), r.n_dropped or None, r.n_alone or None, r.n_warned or None)
        for r in _ranked(facts)[:MAX_ROWS]
    )
    return DataTable(("reason", "drop", "for it alone", "warned"), rows)


def _ranked(facts: SelectionFacts) -> list[ReasonFacts]:
    return sorted(facts.reasons, key=lambda r: (-r.n_dropped, -r.n_warned, r.name))


def _plots(facts: SelectionFacts) -> list[Plot]:
    dropping = [(r.name, r.n_dropped) for r in _ranked(facts) if r.n_dropped]
    plots = []
    if dropping:
        caption = "An image may drop for several reasons: it counts in each."
        plots.append(bars("plot-reasons", "Why images drop.", dropping, caption))
    named = [group for group in facts.classes if group.name]
    if len(named) > 1:
        moved = sorted(named, key=lambda g: (-abs(g.n_final - g.n_images), g.name))[:MAX_BARS]
        rows = [(g.name, float(g.n_images), float(g.n_final)) for g in moved]
        copies = " and the copies planned" if facts.n_copies else ""
        caption = f"Grey: what there was; coloured: what stays{copies}. Those that change most."
        ends = ("images before", "images in the end")
        plots.append(spans("plot-classes-kept", "Classes before and after.", rows, ends, caption))
    return plots


def _head(what: str) -> tuple[str, ...]:
    return (what, "images", "stay", "share", "copies", "in the end")


def _row(group: GroupFacts, limit: int) -> tuple[Cell, ...]:
    return (
        name(group.name, limit) if group.name else "none",
        group.n_images,
        group.n_kept,
        share(group.n_kept, group.n_images),
        group.n_copies or None,
        group.n_final,
    )


def _groups(what: str, groups: Sequence[GroupFacts]) -> DataTable:
    """A line per class or split; the largest first, and a note of what is left out."""
    ordered = sorted(groups, key=lambda group: (-group.n_images, group.name))
    rest = len(ordered) - LISTED
    note = f"{count(rest)} more are in the list." if rest > 0 else ""
    return DataTable(_head(what), tuple(_row(g, 40) for g in ordered[:LISTED]), note)
