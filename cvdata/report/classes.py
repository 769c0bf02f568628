"""Plots of what labels and boxes say: textures, balance, objects, likeness within a class."""

from cvdata.report.axes import Axis
from cvdata.report.charts import Plot, bars, dots, tiles
from cvdata.report.facts import Facts
from cvdata.report.pixels import numeric

_TEXTURE = (
    ("entropy", "Entropy", "bits"),
    ("gray_entropy", "Entropy of the grey image", "bits"),
    ("edge_density", "Edge density", "share of pixels"),
    ("noise_sigma", "Noise", "grey levels"),
)
_LIKENESS = ("background", "lighting")
_SPLITS_DRAWN = 3


def textures(facts: Facts) -> list[Plot]:
    """Question 6: every texture fact that the class profile holds, and the whole dataset's."""
    plots = [_profile(facts, field) for field in facts.profile_fields() if not _is_likeness(field)]
    return [*plots, *(p for f, t, unit in _TEXTURE[:2] for p in numeric(facts, f, t, unit))]


def likeness(facts: Facts) -> list[Plot]:
    """Question 10: how alike each class is in itself, 1 = far more than the dataset."""
    plots = []
    for field in facts.profile_fields():
        rows = [(p.label, p.likeness, 0.0) for p in facts.profile(field)]
        if _is_likeness(field) and rows:
            axis = Axis("likeness, 1 = all alike", low=0, high=1.02)
            title = f"Likeness of {_words(field)}"
            plots.append(dots(f"plot-likeness-{field}", title, rows, axis))
    return plots


def balance(facts: Facts) -> list[Plot]:
    """Question 7: classes overall, then in each split."""
    labels = facts.counts("label")
    if not labels:
        return []
    plots = [bars("plot-label", "Images per class", labels)]
    splits = facts.counts("split")
    if len(splits) > 1:
        plots.append(bars("plot-split", "Images per split", splits))
    for i, (split, _) in enumerate(splits[:_SPLITS_DRAWN]):
        inside = facts.counts("label", scope="split", group=split)
        if len(splits) > 1 and inside:
            plots.append(bars(f"plot-label-split-{i}", f"Classes in {split}", inside))
    return plots


def objects(facts: Facts) -> list[Plot]:
    """Question 8: labels of boxes, where they lie, how large, and which come together."""
    found = facts.counts("object")
    plots = [bars("plot-object", "Objects", found, unit="objects")] if found else []
    for x, y, title in (
        ("box_center_x", "box_center_y", "Where boxes lie"),
        ("box_width", "box_height", "Width and height of boxes"),
    ):
        cells = facts.tiles(x, y)
        if cells:
            axes = Axis(f"{_words(x)}, of the image"), Axis(f"{_words(y)}, of the image")
            plots.append(tiles(f"plot-{x}", title, cells, *axes))
    pairs = [(f"{a} + {b}", n) for a, b, n in facts.pairs() if a != b]
    if pairs:
        plots.append(bars("plot-cooccurrence", "Objects seen together", pairs))
    return plots


def _profile(facts: Facts, field: str) -> Plot:
    rows = sorted(
        ((p.label, p.value, p.spread) for p in facts.profile(field)),
        key=lambda row: (-row[1], row[0]),
    )
    whole = facts.statistic(field, "mean")
    axis = Axis("mean of the class", marks={} if whole is None else {"dataset": whole})
    return dots(f"plot-profile-{field}", _words(field).capitalize(), rows, axis)


def _is_likeness(field: str) -> bool:
    return any(word in field for word in _LIKENESS)


def _words(field: str) -> str:
    return field.replace("_", " ")
