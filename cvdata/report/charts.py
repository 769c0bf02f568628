"""The report's plots: one visual language, each with its numbers in a table beneath.

Every function returns a `Plot`. Ink draws the data, the accent colour marks what to look at.
`key` is unique on the page; it prefixes the SVG's ids.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup

from cvdata.report.axes import Axis, guide_rows, label_rows, no_numbers, scale_x, scale_y
from cvdata.report.display import Cell, DataTable, count, name, number, share
from cvdata.report.svg import COLORS, new_figure, style, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_BARS = 14
"""Lines of a bar or dot chart; the rest is summed or counted in a note."""

MAX_BINS = 48
"""Bins drawn of a histogram; finer ones are merged."""

MAX_ROWS = 300
"""Rows of the table beneath a plot."""


@dataclass(frozen=True)
class Plot:
    """A picture, a line about it, its numbers."""

    title: str
    svg: Markup
    caption: str
    table: DataTable


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


@dataclass(frozen=True)
class Tile:
    """One cell of a two-dimensional histogram: [low, high) on both axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    n: int


@dataclass(frozen=True)
class Matrix:
    """Numbers by named row and named column; `values[row][column]` >= 0."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


def histogram(key: str, title: str, bins: Sequence[Bin], axis: Axis, unit: str = "images") -> Plot:
    """Counts over a numeric axis; the axis' marks are accent rules."""
    shown = merged(bins, MAX_BINS)
    total = sum(b.n for b in shown)
    # zero has no place on a log axis: its bin is drawn as wide as its neighbour
    floor = shown[1].low ** 2 / shown[1].high if axis.log and shown[0].low <= 0 else -math.inf

    def draw(axes: "Axes") -> dict[str, str]:
        titles = {}
        for i, b in enumerate(shown):
            low = max(b.low, floor)
            gap = low * (math.exp(0.06 * math.log(b.high / low)) - 1) if axis.log else 0.06
            width = b.high - low - (gap if axis.log else gap * (b.high - low))
            (bar,) = axes.bar(low, b.n, width, align="edge", color=COLORS["bar"]).patches
            bar.set_gid(f"bar{i}")
            titles[f"bar{i}"] = (
                f"{number(b.low)} to {number(b.high)}: {count(b.n)} ({share(b.n, total)})"
            )
        scale_y(axes, Axis(unit, low=0))
        scale_x(axes, axis)
        return titles

    table = DataTable(
        ("from", "to", unit, "share"),
        tuple((b.low, b.high, b.n, share(b.n, total)) for b in shown),
    )
    return _plot(key, Plot(title, Markup(), "", table), 196, draw)


def columns(key: str, title: str, values: Sequence[tuple[str, int]], caption: str = "") -> Plot:
    """Vertical bars in the order given, for a series in time; a few of the names below."""
    total = sum(n for _, n in values)

    def draw(axes: "Axes") -> dict[str, str]:
        titles = {}
        for i, (label, n) in enumerate(values):
            (bar,) = axes.bar(i, n, 0.9, color=COLORS["bar"]).patches
            bar.set_gid(f"bar{i}")
            titles[f"bar{i}"] = f"{name(label)}: {count(n)} ({share(n, total)})"
        scale_y(axes, Axis("images", low=0))
        some = range(0, len(values), math.ceil(len(values) / 5))
        scale_x(axes, Axis("", ticks={name(values[i][0]): i for i in some}))
        return titles

    rows = tuple((name(label), n, share(n, total)) for label, n in values[:MAX_ROWS])
    table = DataTable(("value", "images", "share"), rows)
    return _plot(key, Plot(title, Markup(), caption, table), 190, draw)


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
        titles = {}
        for i, (label, value) in enumerate(rows):
            (bar,) = axes.barh(i, value, height=0.62, color=COLORS["bar"]).patches
            bar.set_gid(f"bar{i}")
            titles[f"bar{i}"] = f"{name(label)}: {number(value)} {unit} ({share(value, total)})"
            axes.text(value + top * 0.02, i, number(value), va="center", color=COLORS["muted"])
        label_rows(axes, [label for label, _ in rows])
        axes.set_xlim(0, top * 1.2)
        no_numbers(axes)
        return titles

    listed = tuple((name(lb), value, share(value, total)) for lb, value in values[:MAX_ROWS])
    table = DataTable(("value", unit, "share"), listed, _drawn(len(rows), len(values)))
    return _plot(key, Plot(title, Markup(), caption, table), 30 + 19 * max(len(rows), 2), draw)


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
    table = DataTable(("value", axis.label, "spread"), listed, _drawn(len(rows), len(points)))
    return _plot(key, Plot(title, Markup(), caption, table), 74 + 19 * max(len(rows), 2), draw)


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
    return _plot(key, Plot(title, Markup(), "", table), 196, draw)


def tiles(
    key: str, title: str, cells: Sequence[Tile], x: Axis, y: Axis, unit: str = "images"
) -> Plot:
    """A two-dimensional histogram in five strengths of ink, equal steps of the logarithm."""
    filled = [_on_axes(cell, x, y) for cell in cells if cell.n > 0]
    top = math.log1p(max((cell.n for cell in filled), default=1))

    def draw(axes: "Axes") -> dict[str, str]:
        _levels(axes, [(math.ceil(5 * math.log1p(c.n) / top - 1e-9), c) for c in filled])
        axes.autoscale_view()
        scale_y(axes, y)
        scale_x(axes, x)
        axes.grid(visible=True, axis="x", color=COLORS["rule"], linewidth=0.6)
        return {}

    most = sorted(filled, key=lambda cell: (-cell.n, cell.x, cell.y))[:100]
    table = DataTable(
        (f"{x.label} from", "to", f"{y.label} from", "to", unit),
        tuple((*cell.x, *cell.y, cell.n) for cell in most),
        f"The {len(most)} fullest of {count(len(filled))} cells." if len(filled) > 100 else "",
    )
    return _plot(
        key, Plot(title, Markup(), f"stronger is more {unit}, on a log scale", table), 268, draw
    )


def matrix(key: str, title: str, grid: Matrix, label: str, caption: str = "") -> Plot:
    """A named grid in five strengths of ink, the darkest at the largest value."""
    rows = grid.rows[:MAX_BARS]
    top = max((max(line, default=0.0) for line in grid.values), default=0.0) or 1.0
    cells = [
        (math.ceil(5 * value / top - 1e-9), Tile((x - 0.5, x + 0.5), (y - 0.5, y + 0.5), 1))
        for y, line in enumerate(grid.values[: len(rows)])
        for x, value in enumerate(line)
    ]

    def draw(axes: "Axes") -> dict[str, str]:
        _levels(axes, cells)
        label_rows(axes, rows)
        named = {name(text, 8): float(i) for i, text in enumerate(grid.columns)}
        scale_x(axes, Axis(label, low=-0.5, high=len(grid.columns) - 0.5, ticks=named))
        return {}

    pairs = list(zip(grid.rows, grid.values, strict=True))[:MAX_ROWS]
    listed: list[tuple[Cell, ...]] = [(name(row), *values) for row, values in pairs]
    table = DataTable(("value", *grid.columns), tuple(listed), _drawn(len(rows), len(grid.rows)))
    return _plot(key, Plot(title, Markup(), caption, table), 74 + 19 * max(len(rows), 2), draw)


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
    return _plot(key, Plot(title, Markup(), caption, table), 64, draw)


def merged(bins: Sequence[Bin], most: int) -> list[Bin]:
    """Neighbouring bins joined until at most `most` are left; counts are kept."""
    ordered = sorted(bins, key=lambda b: b.low)
    step = math.ceil(len(ordered) / most) or 1
    groups = [ordered[i : i + step] for i in range(0, len(ordered), step)]
    return [Bin(group[0].low, group[-1].high, sum(b.n for b in group)) for group in groups]


def _levels(axes: "Axes", cells: Sequence[tuple[int, Tile]]) -> None:
    """Cells of one level, 1 to 5, as one path: small, and without seams between them."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    for level in range(1, 6):
        corners = [Path(_corners(cell), closed=True) for which, cell in cells if which == level]
        if corners:
            path = Path.make_compound_path(*corners)
            axes.add_patch(PathPatch(path, facecolor=COLORS["bar"], alpha=level / 5))


def _on_axes(tile: Tile, x: Axis, y: Axis) -> Tile:
    """`tile` with a lower end of zero, which a log axis has no place for, at half the upper one."""
    ends = [
        (high / 2 if axis.log and low <= 0 else low, high)
        for (low, high), axis in ((tile.x, x), (tile.y, y))
    ]
    return Tile(ends[0], ends[1], tile.n)


def _corners(tile: Tile) -> list[tuple[float, float]]:
    (x0, x1), (y0, y1) = tile.x, tile.y
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


def _drawn(n: int, total: int) -> str:
    """What a chart left out, and what its table left out."""
    if total <= n:
        return ""
    listed = f"; the first {count(MAX_ROWS)} are listed here" if total > MAX_ROWS else ""
    return f"{count(n)} of {count(total)} are drawn{listed}."


def _plot(key: str, plot: Plot, height: float, draw: Callable[["Axes"], dict[str, str]]) -> Plot:
    """`plot` with its picture: `draw` fills the axes and returns the hover text of each gid."""
    with style(), warnings.catch_warnings():
        # the page's font draws the text: a glyph missing in matplotlib's own is no loss
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = new_figure(height)
        titles = draw(figure.add_subplot())
        svg = to_svg(figure, key, f"{plot.title}. {plot.caption}".strip(), titles)
    return replace(plot, svg=svg)
