"""Plots of what labels and boxes say: textures, balance, objects, likeness within a class."""

import math

from cvdata.report.axes import Axis
from cvdata.report.charts import Bin, bars, columns, dots
from cvdata.report.display import name
from cvdata.report.facts import Facts
from cvdata.report.grids import Matrix, matrix, tiles
from cvdata.report.pixels import numeric
from cvdata.report.plot import MAX_BARS, Plot

_TEXTURES = (
    ("edge_density", "Edge density", "share of pixels on a Canny edge"),
    ("high_frequency_ratio", "High frequencies", "share of the energy"),
    ("gray_entropy", "Entropy of the grey image", "bits, 0 to 8"),
)
_PATTERNS = tuple(f"lbp_{i}" for i in range(10))
_LIKENESS = (
    ("background_lab", "Background", "colour of the outer frame"),
    ("brightness_mean", "Lighting", "mean brightness"),
    ("rms_contrast", "Contrast", "RMS contrast"),
    ("lbp_hist", "Texture", "local binary patterns"),
)
_SPLITS_DRAWN = 4


def textures(facts: Facts) -> list[Plot]:
    """Question 6: classes in the order of the first fact, so that the plots compare."""
    plots = []
    for field, title, label in _TEXTURES:
        rows = [(p.label, p.value, p.spread) for p in facts.profile(field) if p.value is not None]
        if rows:
            whole = facts.statistic(field, "mean")
            axis = Axis(label, marks={} if whole is None else {"dataset": whole})
            rows.sort(key=lambda row: (-row[1], row[0]))
            caption = "mean of each class, ± one standard deviation"
            plots.append(dots(f"plot-profile-{field}", title, rows, axis, caption))
    return [*plots, *_patterns(facts)]


def _patterns(facts: Facts) -> list[Plot]:
    """The local binary patterns of each class, side by side."""
    by_pattern = [{p.label: p.value for p in facts.profile(field)} for field in _PATTERNS]
    labels = sorted(set.intersection(*(set(values) for values in by_pattern)))
    if not labels:
        return []
    values = tuple(tuple(one[label] or 0.0 for one in by_pattern) for label in labels)
    grid = Matrix(tuple(labels), tuple(str(i) for i in range(len(_PATTERNS))), values)
    caption = "local binary patterns: 0 to 8 neighbours brighter, 9 not uniform"
    return [matrix("plot-patterns", "Patterns", grid, "pattern", caption)]


def likeness(facts: Facts) -> list[Plot]:
    """Question 10: how alike each class is in itself."""
    plots = []
    for field, title, caption in _LIKENESS:
        rows = [(p.label, p.likeness, 0.0) for p in facts.profile(field) if p.likeness is not None]
        if rows:
            rows.sort(key=lambda row: (-row[1], row[0]))
            low = min(0.0, min(value for _, value, _ in rows[:MAX_BARS])) - 0.03
            axis = Axis("0 as varied as the dataset, 1 all alike", low=low, high=1.03)
            plots.append(dots(f"plot-likeness-{field}", title, rows, axis, caption))
    return plots


def balance(facts: Facts) -> list[Plot]:
    """Question 7: classes overall, then in each split."""
    labels = facts.named("label")
    if not labels:
        return []
    plots = [bars("plot-label", "Images per class", labels)]
    splits = facts.sizes("split")
    if len(splits) > 1:
        plots.append(bars("plot-split", "Images per split", splits))
        for i, (split, _) in enumerate(splits[:_SPLITS_DRAWN]):
            inside = facts.named("label", scope="split", group=split)
            if inside:
                plots.append(bars(f"plot-label-split-{i}", f"Classes in {name(split, 24)}", inside))
    return plots


def objects(facts: Facts) -> list[Plot]:
    """Question 8: labels of boxes, how many an image holds, which come together; else labels."""
    found = facts.named("object")
    if not found:
        labels = facts.named("label")
        return [bars("plot-object-label", "Labels", labels)] if labels else []
    plots = [bars("plot-object", "Objects", found, unit="boxes")]
    pairs = [(f"{a} + {b}", n) for a, b, n in facts.pairs() if a != b and a[:1] != "("]
    if pairs:
        plots.append(bars("plot-cooccurrence", "Seen together in an image", pairs))
    per_image = facts.bins("n_boxes")
    if per_image:
        plots.append(columns("plot-n-boxes", "Boxes per image", [_counted(b) for b in per_image]))
    return plots


def boxes(facts: Facts) -> list[Plot]:
    """Where boxes lie and how large they are."""
    plots = []
    places = facts.tiles("box_center_x", "box_center_y")
    if places:
        across = Axis("centre, share of the width", low=0, high=1)
        down = Axis("centre, share of the height", low=1, high=0)
        plots.append(tiles("plot-box-center", "Where boxes lie", places, across, down, "boxes"))
    sides = facts.tiles("box_width", "box_height")
    if sides:
        across, up = Axis("share of the width", low=0, high=1), Axis("share of the height")
        plots.append(tiles("plot-box-sides", "How large boxes are", sides, across, up, "boxes"))
    return [
        *plots,
        *numeric(facts, "box_side", "Size of boxes", "√(width × height), pixels", "boxes"),
        *numeric(facts, "box_area", "Area of boxes", "share of the image", "boxes"),
    ]


def _counted(one: Bin) -> tuple[str, int]:
    """A bin of whole numbers by name: `3`, `16–22`."""
    low, last = math.ceil(one.low), math.ceil(one.high) - 1
    return (str(low) if last <= low else f"{low}–{last}"), one.n
