"""What a plot is, and how one is drawn and written."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup

from cvdata.report.display import DataTable, count
from cvdata.report.svg import new_figure, style, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_BARS = 14
"""Lines of a bar or dot chart; the rest is summed or counted in a note."""

MAX_ROWS = 300
"""Rows of the table beneath a plot."""


@dataclass(frozen=True)
class Plot:
    """A picture, a line about it, its numbers."""

    title: str
    svg: Markup
    caption: str
    table: DataTable


def drawn(key: str, plot: Plot, height: float, draw: Callable[["Axes"], dict[str, str]]) -> Plot:
    """`plot` with its picture: `draw` fills the axes and returns the hover text of each gid."""
    with style(), warnings.catch_warnings():
        # the page's font draws the text: a glyph missing in matplotlib's own is no loss
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = new_figure(height)
        titles = draw(figure.add_subplot())
        svg = to_svg(figure, key, f"{plot.title}. {plot.caption}".strip(), titles)
    return replace(plot, svg=svg)


def left_out(n: int, total: int) -> str:
    """What a chart left out, and what its table left out."""
    if total <= n:
        return ""
    listed = f"; the first {count(MAX_ROWS)} are listed here" if total > MAX_ROWS else ""
    return f"{count(n)} of {count(total)} are drawn{listed}."
