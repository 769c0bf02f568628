"""Plots of what the files say: format, size, quality, camera, date."""

from cvdata.report.charts import bars, columns
from cvdata.report.display import count, share
from cvdata.report.facts import Facts
from cvdata.report.pixels import numeric
from cvdata.report.plot import Plot

_METADATA = (
    ("exif_make", "Camera make"),
    ("exif_model", "Camera model"),
    ("exif_software", "Software"),
    ("exif_orientation", "EXIF orientation"),
)
_INVALID = "(invalid)"
MONTHS_DRAWN = 60
_YES = {"true": "with", "false": "without"}


def metadata(facts: Facts) -> list[Plot]:
    """Question 9: each fact over the images that have it; how many have it is told."""
    months = [pair for pair in facts.named("exif_month") if pair[0] != _INVALID]
    plots = []
    if months:
        told = _told(facts, "exif_month")
        plots.append(columns("plot-exif-month", "Capture date", calendar(months), told))
    for field, title in _METADATA:
        values = facts.named(field)
        if values:
            plots.append(bars(f"plot-{field}", title, values, _told(facts, field)))
    gps = [(_YES.get(value, value), n) for value, n in facts.named("has_gps")]
    if gps:
        plots.append(bars("plot-has-gps", "GPS position in the file", gps))
    return plots


def encoding(facts: Facts) -> list[Plot]:
    """Formats, modes, sizes and JPEG quality."""
    plots = [
        bars(f"plot-{field}", title, facts.named(field))
        for field, title in (("format", "Formats"), ("mode", "Modes as stored"))
        if facts.named(field)
    ]
    return [
        *plots,
        *numeric(facts, "size_bytes", "File size", "bytes"),
        *numeric(facts, "jpeg_quality", "JPEG quality", "from the quantisation tables"),
    ]


def calendar(months: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Counts by `YYYY-MM` as a series without gaps: by month, over five years by year."""
    n = dict(months)
    first, last = (_month_number(month) for month in (min(n), max(n)))
    if last - first < MONTHS_DRAWN:
        names = [f"{i // 12:04d}-{i % 12 + 1:02d}" for i in range(first, last + 1)]
        return [(name, n.get(name, 0)) for name in names]
    years = range(first // 12, last // 12 + 1)
    return [
        (str(year), sum(k for month, k in n.items() if month[:4] == f"{year:04d}"))
        for year in years
    ]


def _month_number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def _told(facts: Facts, field: str) -> str:
    """`known for 310 images (12 %)`."""
    n, total = sum(n for _, n in facts.named(field)), sum(n for _, n in facts.counts(field))
    return "" if n == total else f"known for {count(n)} images ({share(n, total)})"
