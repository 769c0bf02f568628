"""How the report's axes look: few ticks, faint rules, labels as rows, accent marks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvdata.report.display import name
from cvdata.report.svg import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_LIMIT = 20
"""Characters of a row's label; the full one is in the table beneath."""


@dataclass(frozen=True)
class Axis:
    """A numeric axis: its label, its scale, its ends where fixed.

    `marks` are values that the accent colour points at, `ticks` named values instead of numbers;
    `is_count` allows whole numbers only.
    """

    label: str
    log: bool = False
    marks: Mapping[str, float] | None = None
    low: float | None = None
    high: float | None = None
    percent: bool = False
    is_count: bool = False
    ticks: Mapping[str, float] | None = None


def compact(value: float, _position: int = 0) -> str:
    """`12k`, `1.5M`, `0.25`: a tick label."""
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit and not (suffix == "k" and abs(value) < 1e4):
            return f"{value / limit:g}{suffix}"
    return f"{value:g}"


def percent(value: float, _position: int = 0) -> str:
    """`25 %` for 0.25."""
    return f"{100 * value:g} %"


def scale_x(axes: "Axes", axis: Axis) -> None:
    """Scale, limits, label and ticks of the horizontal axis, then its marks."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    if axis.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        _log_ticks(axes, "x")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(percent if axis.percent else compact))
    if axis.ticks is not None:
        axes.set_xticks(list(axis.ticks.values()), list(axis.ticks))
    marks = axis.marks or {}
    for value in marks.values():
        axes.axvline(value, color=COLORS["accent"], linewidth=1.2)
    if axis.low is not None or axis.high is not None:
        axes.set_xlim(axis.low, axis.high)
    axes.set_xlabel(axis.label)
    _name_marks(axes, marks)


def scale_y(axes: "Axes", axis: Axis) -> None:
    """Scale, label and ticks of the vertical axis, with faint rules."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    if axis.log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        _log_ticks(axes, "y")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=axis.is_count))
    axes.yaxis.set_major_formatter(FuncFormatter(percent if axis.percent else compact))
    if axis.low is not None or axis.high is not None:
        axes.set_ylim(axis.low, axis.high)
    axes.set_ylabel(axis.label)
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis="y", color=COLORS["rule"], linewidth=0.6)


def _log_ticks(axes: "Axes", which: str) -> None:
    """Decades where there are two or more, else 1 2 5, else plain steps."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    one = axes.xaxis if which == "x" else axes.yaxis
    low, high = one.get_data_interval()
    decades = math.log10(high / low) if low > 0 and math.isfinite(high) else 3.0
    if decades >= 2.5:
        one.set_major_locator(LogLocator(10, numticks=6))
    elif decades >= 0.7:
        one.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=8))
    else:
        one.set_major_locator(MaxNLocator(5))


def _name_marks(axes: "Axes", marks: Mapping[str, float]) -> None:
    """The name of each mark above its rule; names that would collide go up a line."""
    from matplotlib.transforms import blended_transform_factory

    place = blended_transform_factory(axes.transData, axes.transAxes)
    taken: list[float] = []
    axes.autoscale_view()
    for label, value in sorted(marks.items(), key=lambda item: item[1]):
        at = float(axes.transAxes.inverted().transform(axes.transData.transform((value, 0)))[0])
        near = sum(abs(at - other) < 0.22 for other in taken)
        taken.append(at)
        side = "right" if at > 0.85 else "left" if at < 0.15 else "center"
        axes.text(
            value,
            1.03 + 0.10 * near,
            label,
            transform=place,
            color=COLORS["accent"],
            ha=side,
            va="bottom",
        )


def label_rows(axes: "Axes", labels: Sequence[str]) -> None:
    """One row per label, the first on top."""
    axes.set_yticks(range(len(labels)), [name(label, LABEL_LIMIT) for label in labels])
    axes.tick_params(axis="y", labelcolor=COLORS["ink"])
    axes.set_ylim(len(labels) - 0.4, -0.6)


def guide_rows(axes: "Axes", n: int) -> None:
    """A faint rule along each row, for the eye to go from the label to the dot."""
    for row in range(n):
        axes.axhline(row, color=COLORS["rule"], linewidth=0.6, zorder=0)


def no_numbers(axes: "Axes") -> None:
    """The numbers stand beside the bars: no axis."""
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
