"""Curves of a model: how sure it was against how often it was right."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from cvdata.report.axes import Axis, scale_x, scale_y
from cvdata.report.display import DataTable, count, share
from cvdata.report.plot import Plot, drawn
from cvdata.report.svg import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def calibration(key: str, title: str, bins: Mapping[str, Sequence[float]], what: str) -> Plot:
    """A dot a bin, mean score across and share of right ones up; the rule is where both agree.

    A stem from the rule to the dot shows the gap; bins without any are left out.
    """
    rows = [
        row
        for row in zip(
            *(bins[k] for k in ("low", "high", "n", "confidence", "accuracy")), strict=True
        )
        if row[2]
    ]

    def draw(axes: "Axes") -> dict[str, str]:
        titles = {}
        axes.plot([0, 1], [0, 1], color=COLORS["rule"], linewidth=1.2)
        for i, (low, high, n, confidence, accuracy) in enumerate(rows):
            axes.plot([confidence] * 2, [confidence, accuracy], color=COLORS["rule"], linewidth=3)
            (dot,) = axes.plot(
                [confidence], [accuracy], "o", color=COLORS["bar"], markersize=6, clip_on=False
            )
            dot.set_gid(f"dot{i}")
            titles[f"dot{i}"] = (
                f"score {low:.2f} to {high:.2f}: {count(n)} {what}, "
                f"{share(accuracy, 1)} right at {share(confidence, 1)} sure"
            )
        scale_y(axes, Axis("right", low=0, high=1, percent=True))
        scale_x(axes, Axis("score", low=0, high=1, percent=True))
        return titles

    table = DataTable(
        ("score from", "to", what, "mean score", "right"),
        tuple((low, high, count(n), share(c, 1), share(a, 1)) for low, high, n, c, a in rows),
    )
    caption = "Dots below the rule: surer than right."
    return drawn(key, Plot(title, Markup(), caption, table), 250, draw)
