"""The map of the embeddings: what looks alike lies side by side."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cvdata.report.display import DataTable, count, name, plural, share
from cvdata.report.inputs import ReportInput
from cvdata.report.label_facts import MapFacts
from cvdata.report.plot import Plot
from cvdata.report.section import Section, fill

CHAPTER = "Labels"
SIDE, MARGIN, RING = 640, 8, 11
"""Of the picture, in units of its own: a wide window shows about one a pixel."""
CROWDED = 1500
"""Points from which on they are drawn smaller."""
COLORS = ("blue", "green", "red", "ink")
"""Of the classes with the most images; all others are `muted`."""
OTHERS = "muted"


def embedding_map(data: ReportInput) -> list[Section]:
    """One section for each map that was drawn."""
    return [_section(facts, i) for i, facts in enumerate(data.maps)]


def _section(facts: MapFacts, number: int) -> Section:
    counts = Counter(label for label in facts.labels if label is not None)
    leading = [label for label, _ in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]
    leading = leading[: len(COLORS)]
    flagged = sum(facts.is_flagged)
    table = _table(facts, leading, counts)
    picture = Plot(f"embeddings/{name(facts.model, 40)}", _picture(facts, leading), "", table)
    shown = len(facts.points)
    html = fill(
        "map.html",
        plot=picture,
        keys=[(COLORS[i], name(label, 40), counts[label]) for i, label in enumerate(leading)],
        n_others=shown - sum(counts[label] for label in leading),
        shown=f"{count(shown)} of {plural(facts.n_images, 'image')}"
        if shown < facts.n_images
        else plural(shown, "image"),
        flagged=flagged,
    )
    anchor = "map" if number == 0 else f"map-{number + 1}"
    return Section("A map of the images", anchor, html, CHAPTER, short="Map")


def _picture(facts: MapFacts, leading: Sequence[str]) -> Markup:
    """Squares of the images by class, the commonest above the rest; rings around flagged ones."""
    half = SIDE / 2 - MARGIN
    x = SIDE / 2 + half * np.asarray(facts.points["x"], np.float64)
    y = SIDE / 2 - half * np.asarray(facts.points["y"], np.float64)
    at = {label: i for i, label in enumerate(leading)}
    codes = np.array([at.get(label or "", -1) for label in facts.labels], np.int64)
    dot = 5 if len(codes) < CROWDED else 3
    layers = [_dots((x[codes < 0], y[codes < 0]), dot, OTHERS, "all other images")]
    for i, label in enumerate(leading):
        mine = codes == i
        layers.append(_dots((x[mine], y[mine]), dot, COLORS[i], name(label, 60)))
    ringed = np.array(facts.is_flagged, bool)
    layers.append(_rings(x[ringed], y[ringed]))
    body = Markup("").join(layers)
    alt = f"Map of {len(codes)} images by embedding"
    return Markup('<svg viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>').format(
        SIDE, alt, body
    )


def _dots(points: tuple[np.ndarray, np.ndarray], dot: int, color: str, title: str) -> Markup:
    x, y = (axis - dot / 2 for axis in points)
    moves = "".join(f"M{a:.1f} {b:.1f}h{dot}v{dot}h-{dot}z" for a, b in zip(x, y, strict=True))
    return Markup('<path class="f-{}" d="{}"><title>{}</title></path>').format(color, moves, title)


def _rings(x: np.ndarray, y: np.ndarray) -> Markup:
    r = RING / 2
    moves = "".join(
        f"M{a - r:.1f} {b:.1f}a{r} {r} 0 1 0 {RING} 0a{r} {r} 0 1 0 -{RING} 0"
        for a, b in zip(x, y, strict=True)
    )
    return Markup(
        '<path class="s-accent" fill="none" stroke-width="1.4" d="{}">'
        "<title>label or image that stands out</title></path>"
    ).format(moves)


def _table(facts: MapFacts, leading: Sequence[str], counts: Counter[str]) -> DataTable:
    """A line a class: how many, and the middle of its points."""
    total = len(facts.points)
    x, y = (np.asarray(facts.points[c], np.float64) for c in ("x", "y"))
    names = np.array([label or "" for label in facts.labels], object)
    rows = []
    for label in leading:
        mine = names == label
        middle = float(np.median(x[mine])), float(np.median(y[mine]))
        rows.append((name(label, 40), counts[label], share(counts[label], total), *middle))
    return DataTable(("class", "images", "share", "x", "y"), tuple(rows))
