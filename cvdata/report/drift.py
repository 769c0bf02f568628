"""A page about two sets of images: what differs, how far, and the images that drive it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cvdata.report.axes import Axis
from cvdata.report.charts import Line, lines
from cvdata.report.display import Cell, DataTable, csv_text, name, number, plural, share
from cvdata.report.inputs import CommitFacts
from cvdata.report.page import assemble
from cvdata.report.plot import Plot
from cvdata.report.section import Section, fill
from cvdata.report.sets import ImageSet, Shown
from cvdata.report.thumbnail import Album

BUDGET = 600_000
"""Bytes of the pictures."""
CHECKS_FILE, DRIVERS_FILE = "checks.csv", "drivers.csv"
LISTED = 24
"""Checks of the table on the page, nearest to their limit first; all are in the download."""
MOST_CLASSES = 20
LEAST_P = 0.0001
"""A smaller chance is not told to the digit."""
HEAD = ("", "what", "statistic", "value", "limit", "p", "reference", "current")


@dataclass(frozen=True)
class CheckRow:
    """One check as the page shows it."""

    kind: str
    name: str
    statistic: str
    value: float
    limit: float
    p_value: float
    reference: float | None
    current: float | None
    is_alarm: bool


@dataclass(frozen=True)
class Spread:
    """One measure on both sides: shares of the images by bin (low, high, reference, current)."""

    name: str
    bins: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class DriverRow:
    """An image that drives the difference."""

    image_id: bytes
    key: str
    fact: str


@dataclass(frozen=True)
class DriftFacts:
    """Everything on the page. `checks`: alarms first; `mixes`: images by class of each side."""

    reference: str
    current: str
    n_reference: int
    n_current: int
    commit: CommitFacts
    checks: tuple[CheckRow, ...]
    spreads: tuple[Spread, ...] = ()
    mixes: tuple[Mapping[str, int], Mapping[str, int]] = field(default_factory=lambda: ({}, {}))
    drivers: tuple[DriverRow, ...] = ()
    thumbs: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The heading."""
        return f"{name(self.current, 60)} against {name(self.reference, 60)}"


def drift_page(facts: DriftFacts) -> str:
    """The whole page as one HTML document without remote assets; the same facts, the same bytes."""
    return assemble(facts, [_verdict(facts), *_spreads(facts), *_mix(facts), *_drivers(facts)])


def _verdict(facts: DriftFacts) -> Section:
    alarms = [c for c in facts.checks if c.is_alarm]
    if alarms:
        kinds = ", ".join(dict.fromkeys(c.kind for c in alarms))
        answer = f"{plural(len(alarms), 'check')} of {len(facts.checks)} alarm: {kinds}."
    else:
        answer = f"None of {plural(len(facts.checks), 'check')} alarms."
    table = DataTable(HEAD, tuple(_cells(c) for c in facts.checks[:LISTED]))
    html = fill(
        "drift.html",
        answer=answer,
        is_alarm=bool(alarms),
        facts=facts,
        table=table,
        n_more=max(len(facts.checks) - LISTED, 0),
        file=CHECKS_FILE,
    )
    listing = csv_text(("is_alarm", "kind", *HEAD[1:]), (_line(c) for c in facts.checks))
    return Section("What differs", "checks", html, downloads={CHECKS_FILE: listing})


def _cells(check: CheckRow) -> tuple[Cell, ...]:
    what = check.name if check.kind == "measure" else f"{check.kind}: {check.name}"
    return (
        "alarm" if check.is_alarm else "",
        name(what, 48),
        check.statistic,
        number(check.value, 3),
        number(check.limit, 3),
        number(check.p_value, 2) if check.p_value >= LEAST_P else f"< {LEAST_P:g}",
        check.reference,
        check.current,
    )


def _line(check: CheckRow) -> tuple[Cell, ...]:
    return (
        str(check.is_alarm).lower(),
        check.kind,
        check.name,
        check.statistic,
        check.value,
        check.limit,
        check.p_value,
        check.reference,
        check.current,
    )


def _spreads(facts: DriftFacts) -> list[Section]:
    """Histograms of the measures that moved most."""
    if not facts.spreads:
        return []
    plots = [_plot(i, spread) for i, spread in enumerate(facts.spreads)]
    html = fill("drift_plots.html", plots=plots, note=_legend(facts))
    return [Section("Measures that moved most", "measures", html)]


def _legend(facts: DriftFacts) -> str:
    return (
        f"In the accent colour {name(facts.current, 60)}, in ink {name(facts.reference, 60)}; "
        "shares of the images with a value."
    )


def _plot(i: int, spread: Spread) -> Plot:
    series = (
        Line("reference", "ink", tuple((low, high, a) for low, high, a, _ in spread.bins)),
        Line("current", "accent", tuple((low, high, b) for low, high, _, b in spread.bins)),
    )
    return lines(f"drift{i}", name(spread.name, 40), series, Axis(""))


def _mix(facts: DriftFacts) -> list[Section]:
    a, b = facts.mixes
    if not a and not b:
        return []
    n, m = sum(a.values()), sum(b.values())
    apart = {k: abs(a.get(k, 0) / max(n, 1) - b.get(k, 0) / max(m, 1)) for k in {*a, *b}}
    order = sorted(apart, key=lambda k: (-apart[k], k))
    rows = tuple(
        (name(k, 40), a.get(k, 0), share(a.get(k, 0), n), b.get(k, 0), share(b.get(k, 0), m))
        for k in order[:MOST_CLASSES]
    )
    head = ("class", "reference", "share", "current", "share")
    table = DataTable(head, rows)
    html = fill("drift_mix.html", table=table, n=len(order), shown=len(rows))
    return [Section("Class mix", "classes", html)]


def _drivers(facts: DriftFacts) -> list[Section]:
    if not facts.drivers:
        return []
    album = Album(facts.thumbs, BUDGET)
    images = tuple(
        Shown(name(d.key, 1000), album.picture(d.image_id), d.fact) for d in facts.drivers
    )
    html = fill(
        "drift_drivers.html", sets=[ImageSet("Least like the reference", images)], file=DRIVERS_FILE
    )
    listing = csv_text(("key", "why"), ((name(d.key, 1000), d.fact) for d in facts.drivers))
    return [Section("Images that drive it", "drivers", html, downloads={DRIVERS_FILE: listing})]
