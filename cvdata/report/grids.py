"""Two-dimensional plots: a histogram over two fields, and a named grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from cvdata.report.axes import Axis, label_rows, scale_x, scale_y
from cvdata.report.display import Cell, DataTable, count, name
from cvdata.report.plot import MAX_BARS, MAX_ROWS, Plot, drawn, left_out
from cvdata.report.svg import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    return drawn(
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
    table = DataTable(("value", *grid.columns), tuple(listed), left_out(len(rows), len(grid.rows)))
    return drawn(key, Plot(title, Markup(), caption, table), 74 + 19 * max(len(rows), 2), draw)


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
