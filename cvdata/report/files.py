"""Plots of what the files say: format, size, quality, camera, date."""

from cvdata.report.charts import Plot, bars
from cvdata.report.facts import Facts
from cvdata.report.pixels import numeric

_METADATA = (
    ("exif_make", "Camera make"),
    ("exif_model", "Camera model"),
    ("exif_software", "Software"),
    ("has_gps", "GPS position in the file"),
    ("exif_orientation", "EXIF orientation"),
)
_FLAGS = {"true": "yes", "false": "no", "True": "yes", "False": "no"}


def metadata(facts: Facts) -> list[Plot]:
    """Question 9."""
    months = sorted(facts.counts("exif_month"))
    plots = [bars("plot-exif-month", "Month of capture", months)] if months else []
    for field, title in _METADATA:
        values = [(_FLAGS.get(value, value), n) for value, n in facts.counts(field)]
        if values:
            plots.append(bars(f"plot-{field}", title, values))
    return plots


def encoding(facts: Facts) -> list[Plot]:
    """Formats, modes, sizes and JPEG quality."""
    plots = [
        bars(f"plot-{field}", title, facts.counts(field))
        for field, title in (("format", "Formats"), ("mode", "Modes as stored"))
        if facts.counts(field)
    ]
    plots += numeric(facts, "size_bytes", "File size", "bytes")
    plots += numeric(facts, "jpeg_quality", "JPEG quality", "from the quantisation tables")
    if not facts.bins("jpeg_quality") and facts.counts("jpeg_quality"):
        plots.append(bars("plot-jpeg_quality", "JPEG quality", facts.counts("jpeg_quality")))
    return plots
