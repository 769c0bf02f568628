"""The report's plots: one visual language, each with its numbers in a table beneath.

Every function returns a `Plot`. Ink draws the data, the accent colour marks what to look at.
`key` is unique on the page; it prefixes the SVG's ids.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from cvdata.report.axes import Axis, guide_rows, label_rows, no_numbers, scale_x, scale_y
from cvdata.report.display import DataTable, count, name, number, share
from cvdata.report.plot import MAX_BARS, MAX_ROWS, Plot, drawn, left_out
from cvdata.report.svg import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

MAX_BINS = 48
"""Bins drawn of a histogram; finer ones are merged."""


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram: `n` images in [low, high)."""

    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Line:
    """Steps (low, high, share) in a colour of `svg.COLORS`."""

    name: str
    color: str
    steps: tuple[tuple[float, float, float], ...]


def histogram(key: str, title: str, bins: Sequence[Bin], axis: Axis, unit: str = "images") -> Plot:
    """Counts over a numeric axis; the axis' marks are accent rules."""
    shown = merged(bins, MAX_BINS)
    total = sum(b.n for b in shown)
    lows, widths = _spans(shown, axis.log)

    def draw(axes: "Axes") -> dict[str, str]:
        heights = [b.n for b in shown]
        patches = axes.bar(lows, heights, widths, align="edge", color=COLORS["bar"])
        told = [f"{number(b.low)} to {number(b.high)}: {count(b.n)}" for b in shown]
        titles = _titled(patches.patches, told, heights)
        scale_y(axes, Axis(unit, low=0, is_count=True))
        scale_x(axes, axis)
        return titles

    table = DataTable(
        ("from", "to", unit, "share"),
        tuple((b.low, b.high, b.n, share(b.n, total)) for b in shown),
    )
    return drawn(key, Plot(title, Markup(), "", table), 196, draw)


def columns(key: str, title: str, values: Sequence[tuple[str, int]], caption: str = "") -> Plot:
    """Vertical bars in the order given, for a series in time; a few of the names below."""
    total = sum(n for _, n in values)

    def draw(axes: "Axes") -> dict[str, str]:
        heights = [n for _, n in values]
        patches = axes.bar(range(len(values)), heights, 0.9, color=COLORS["bar"])
        told = [f"{name(label)}: {count(n)}" for label, n in values]
        titles = _titled(patches.patches, told, heights)
        scale_y(axes, Axis("images", low=0, is_count=True))
        some = range(0, len(values), math.ceil(len(values) / 5))
        scale_x(axes, Axis("", ticks={name(values[i][0]): i for i in some}))
        return titles

    rows = tuple((name(label), n, share(n, total)) for label, n in values[:MAX_ROWS])
    table = DataTable(("value", "images", "share"), rows)
    return drawn(key, Plot(title, Markup(), caption, table), 190, draw)


def bars(
    key: str,
    title: str,
    values: Sequence[tuple[str, float]],
    caption: str = "",
    unit: str = "images",
) -> Plot:
    """Horizontal bars in the order given, each with its number; at most `MAX_BARS`."""
    total = sum(value for _, value in values)
    rows = list(values[:MAX_BARS])
    top = max((value for _, value in rows), default=0.0) or 1.0

    def draw(axes: "Axes") -> dict[str, str]:
        heights = [value for _, value in rows]
        patches = axes.barh(range(len(rows)), heights, height=0.62, color=COLORS["bar"])
        told = [f"{name(label)}: {number(value)} {unit}" for label, value in rows]
        titles = _titled(patches.patches, told, heights, total)
        for i, value in enumerate(heights):
            axes.text(value + top * 0.02, i, number(value), va="center", color=COLORS["muted"])
        label_rows(axes, [label for label, _ in rows])
        axes.set_xlim(0, top * 1.2)
        no_numbers(axes)
        return titles

    listed = tuple((name(lb), value, share(value, total)) for lb, value in values[:MAX_ROWS])
    table = DataTable(("value", unit, "share"), listed, left_out(len(rows), len(values)))
    return drawn(key, Plot(title, Markup(), caption, table), 30 + 19 * max(len(rows), 2), draw)


def dots(
    key: str,
    title: str,
    points: Sequence[tuple[str, float, float]],
    axis: Axis,
    caption: str = "",
) -> Plot:
    """A line per (label, value, spread): a dot at the value, a faint whisker of ± spread."""
    rows = list(points[:MAX_BARS])

    def draw(axes: "Axes") -> dict[str, str]:
        titles = {}
        guide_rows(axes, len(rows))
        for i, (label, value, spread) in enumerate(rows):
            if spread > 0:
                ends = [value - spread, value + spread]
                axes.plot(ends, [i, i], color=COLORS["rule"], linewidth=4)
            (dot,) = axes.plot([value], [i], "o", color=COLORS["bar"], markersize=7)
            dot.set_gid(f"dot{i}")
            titles[f"dot{i}"] = f"{name(label)}: {number(value)}"
        label_rows(axes, [label for label, _, _ in rows])
        scale_x(axes, axis)
        return titles

    listed = tuple((name(label), value, spread) for label, value, spread in points[:MAX_ROWS])
    table = DataTable(("value", axis.label, "spread"), listed, left_out(len(rows), len(points)))
    return drawn(key, Plot(title, Markup(), caption, table), 74 + 19 * max(len(rows), 2), draw)


def spans(
    key: str,
    title: str,
    rows: Sequence[tuple[str, float, float]],
    ends: tuple[str, str],
    caption: str = "",
) -> Plot:
    """A line per (label, low, high) between a dot at `low` and one in the accent at `high`."""

    def draw(axes: "Axes") -> dict[str, str]:
        titles = {}
        guide_rows(axes, len(rows))
        for i, (label, low, high) in enumerate(rows):
            axes.plot([low, high], [i, i], color=COLORS["rule"], linewidth=4)
            for end, value, color in ((1, high, "accent"), (0, low, "bar")):
                (dot,) = axes.plot([value], [i], "o", color=COLORS[color], markersize=7)
                dot.set_gid(f"dot{i}-{end}")
                titles[f"dot{i}-{end}"] = f"{name(label)}: {number(value)} {ends[end]}"
        label_rows(axes, [label for label, _, _ in rows])
        scale_x(axes, Axis("images", low=0))
        return titles

    table = DataTable(("", *ends), tuple((name(label), *pair) for label, *pair in rows))
    return drawn(key, Plot(title, Markup(), caption, table), 74 + 19 * max(len(rows), 2), draw)


def lines(key: str, title: str, series: Sequence[Line], axis: Axis) -> Plot:
    """Stepped lines of shares over a common axis, a faint area under each."""

    def draw(axes: "Axes") -> dict[str, str]:
        for line in series:
            color = COLORS[line.color]
            edges = [low for low, _, _ in line.steps] + [line.steps[-1][1]]
            heights = [height for _, _, height in line.steps]
            axes.stairs(heights, edges, color=color, alpha=0.10, fill=True, linewidth=0)
            axes.stairs(heights, edges, color=color, linewidth=1.4)
        scale_y(axes, Axis("", low=0, percent=True))
        scale_x(axes, axis)
        return {}

    shares = [{(low, high): height for low, high, height in line.steps} for line in series]
    spans = sorted({span for line in shares for span in line})
    rows = tuple((*span, *(line.get(span) for line in shares)) for span in spans)
    table = DataTable(("from", "to", *(line.name for line in series)), rows)
    return drawn(key, Plot(title, Markup(), "", table), 196, draw)


def swatches(key: str, title: str, colors: Sequence[tuple[str, float]], caption: str = "") -> Plot:
    """Real colours (`#rrggbb`) as one band, each as wide as its weight."""
    total = sum(weight for _, weight in colors) or 1.0

    def draw(axes: "Axes") -> dict[str, str]:
        titles, left = {}, 0.0
        for i, (color, weight) in enumerate(colors):
            (band,) = axes.barh(0, weight / total, left=left, height=1, color=color).patches
            band.set_gid(f"band{i}")
            titles[f"band{i}"] = f"{color}: {share(weight, total)}"
            left += weight / total
        axes.set_xlim(0, 1)
        axes.set_axis_off()
        return titles

    rows = tuple((color, share(weight, total)) for color, weight in colors)
    table = DataTable(("colour", "share"), rows)
    return drawn(key, Plot(title, Markup(), caption, table), 64, draw)


def _spans(bins: Sequence[Bin], log: bool) -> tuple[list[float], list[float]]:
    """Left ends and widths of bars with a gap between.

    On a log axis a bin that starts at zero, for which there is no place, is drawn as wide as its
    neighbour.
    """
    if not log:
        return [b.low for b in bins], [0.94 * (b.high - b.low) for b in bins]
    floor = bins[1].low ** 2 / bins[1].high if bins[0].low <= 0 else bins[0].low
    lows = [max(b.low, floor) for b in bins]
    return lows, [low * (b.high / low) ** 0.94 - low for low, b in zip(lows, bins, strict=True)]


def _titled(
    patches: Sequence["Patch"], told: Sequence[str], n: Sequence[float], total: float = 0
) -> dict[str, str]:
    """Give each patch an id, and return what to tell there, with its share of the whole."""
    whole = total or sum(n)
    for i, patch in enumerate(patches):
        patch.set_gid(f"bar{i}")
    return {f"bar{i}": f"{text} ({share(n[i], whole)})" for i, text in enumerate(told)}


def merged(bins: Sequence[Bin], most: int) -> list[Bin]:
    """Neighbouring bins joined until at most `most` are left; counts are kept."""
    ordered = sorted(bins, key=lambda b: b.low)
    step = math.ceil(len(ordered) / most) or 1
    groups = [ordered[i : i + step] for i in range(0, len(ordered), step)]
    return [Bin(group[0].low, group[-1].high, sum(b.n for b in group)) for group in groups]
