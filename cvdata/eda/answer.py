"""One answer: sentences, the numbers in them, the rows that draw its picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Rows = dict[str, str]
"""Which rows of a table: `table`, and the values of some of its columns."""


@dataclass(frozen=True)
class Answer:
    """`numbers` is JSON-ready; `needs` names the measures without which it could not be given."""

    text: str
    numbers: Mapping[str, Any]
    picture: tuple[Rows, ...] = ()
    needs: tuple[str, ...] = ()


def unknown(*measures: str) -> Answer:
    """The answer where the columns are missing."""
    names = " and ".join(f"`{m}`" for m in measures)
    noun = "measure" if len(measures) == 1 else "measures"
    return Answer(f"Not known: add the {noun} {names} to the scan.", {}, (), measures)


def histogram(field: str) -> Rows:
    """The dataset's histogram of a field."""
    return {"table": "histograms", "scope": "all", "field": field}


def bars(field: str, scope: str = "all") -> Rows:
    """The counts of a field."""
    return {"table": "counts", "scope": scope, "field": field}


def grid(x: str, y: str) -> Rows:
    """The joint histogram of two fields."""
    return {"table": "joint", "scope": "all", "field_x": x, "field_y": y}


def profiles(field: str) -> Rows:
    """A field of `class_profile`."""
    return {"table": "class_profile", "field": field}


def percent(share: float) -> str:
    """Share as "62 %"; one decimal below 10 %, "<0.1 %" for what would print as zero."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    if 99.9 < value < 100:
        return ">99.9 %"
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.1f} %"


def number(value: float) -> str:
    """Three significant digits, or all of an integer: "1,234", "0.0312", "18.4"."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def plural(n: int, noun: str) -> str:
    """Count and noun: "1 image", "2,000 images", "3 classes"."""
    ending = "" if n == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{n:,} {noun}{ending}"


def known(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts without the pools "(none)" and "(other)"."""
    return {value: n for value, n in counts.items() if value not in ("(none)", "(other)")}


def listed(counts: Mapping[str, int], total: int, most: int = 3) -> str:
    """Most frequent values with their shares of `total`: "JPEG 90 %, PNG 10 %"."""
    parts = [f"{value} {percent(n / total)}" for value, n in list(counts.items())[:most]]
    return ", ".join(parts)
