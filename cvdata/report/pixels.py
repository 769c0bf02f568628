"""Plots of what the pixels say: size, shape, colour, exposure, sharpness."""

from cvdata.report.axes import Axis
from cvdata.report.charts import Bin, Line, Plot, histogram, lines, swatches, tiles
from cvdata.report.display import number
from cvdata.report.facts import Facts

LOG_SPAN = 30.0
"""A non-negative field whose bins span more than this ratio is drawn on a log axis."""

_RATIOS = {"9:16": 9 / 16, "3:4": 3 / 4, "1:1": 1.0, "4:3": 4 / 3, "16:9": 16 / 9}
_CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))


def numeric(facts: Facts, field: str, title: str, unit: str, caption: str = "") -> list[Plot]:
    """The histogram of one field with its median marked; [] where it was not measured."""
    bins = facts.bins(field)
    if not bins:
        return []
    median = facts.statistic(field, "p50")
    marks = {} if median is None else {f"median {number(median, 3)}": median}
    axis = Axis(unit, log=is_log(bins), marks=marks)
    return [histogram(f"plot-{field}", title, bins, axis, caption)]


def is_log(bins: list[Bin]) -> bool:
    """True where the bins themselves are spaced by ratio: the axis follows how they were cut."""
    inner = [b for b in bins if b.low > 0]
    if len(inner) < 4 or len(inner) < len(bins) - 1:
        return False
    first, last = inner[0], inner[-1]
    equal_steps = abs((last.high - last.low) / (first.high - first.low) - 1) < 0.01
    return not equal_steps and last.high / first.low > LOG_SPAN


def dimensions(facts: Facts) -> list[Plot]:
    """Question 1."""
    plots = []
    cells = facts.tiles("width", "height")
    if cells:
        log = is_log([Bin(*cell.x, cell.n) for cell in sorted(cells, key=lambda c: c.x)])
        x, y = Axis("width, pixels", log=log), Axis("height, pixels", log=log)
        plots.append(tiles("plot-width-height", "Width and height", cells, x, y))
    plots += numeric(facts, "width", "Width", "pixels")
    plots += numeric(facts, "height", "Height", "pixels")
    return plots


def aspect_ratios(facts: Facts) -> list[Plot]:
    """Question 2."""
    bins = facts.bins("aspect_ratio")
    if not bins:
        return []
    low, high = bins[0].low, bins[-1].high
    marks = {label: ratio for label, ratio in _RATIOS.items() if low < ratio < high}
    axis = Axis("width ÷ height", log=is_log(bins), marks=marks)
    return [histogram("plot-aspect-ratio", "Aspect ratio", bins, axis)]


def colors(facts: Facts) -> list[Plot]:
    """Question 3."""
    channels = {channel: facts.bins(f"hist_{channel}") for channel, _ in _CHANNELS}
    plots = []
    if all(channels.values()):
        first = channels["r"]
        series = [
            Line(color, color, tuple(b.n / sum(c.n for c in channels[channel]) for b in bins))
            for (channel, color), bins in zip(_CHANNELS, channels.values(), strict=True)
        ]
        x = [(b.low + b.high) / 2 for b in first]
        axis = Axis("channel value", low=0, high=first[-1].high)
        plots.append(lines("plot-channels", "Share of pixels by channel value", x, series, axis))
    dominant = [(color, n) for color, n in facts.counts("dominant_color") if _is_color(color)]
    if dominant:
        plots.append(swatches("plot-dominant", "Dominant colours", dominant[:24]))
    return plots + numeric(facts, "colorfulness", "Colourfulness", "0 = grey, larger = more vivid")


def exposure(facts: Facts) -> list[Plot]:
    """Question 4."""
    return [
        *numeric(facts, "brightness_mean", "Mean brightness", "0 = black, 1 = white"),
        *numeric(facts, "rms_contrast", "Contrast (RMS)", "0 = flat"),
        *numeric(facts, "clipped_black", "Share of black pixels", "fraction of the image"),
        *numeric(facts, "clipped_white", "Share of white pixels", "fraction of the image"),
    ]


def edges(facts: Facts) -> list[Plot]:
    """Question 5."""
    return [
        *numeric(facts, "laplacian_variance", "Variance of the Laplacian", "larger is sharper"),
        *numeric(facts, "edge_density", "Edge density", "share of pixels on a Canny edge"),
        *numeric(facts, "tenengrad", "Tenengrad", "larger is sharper"),
        *numeric(facts, "high_frequency_ratio", "High frequencies", "share of spectral energy"),
    ]


def _is_color(text: str) -> bool:
    digits = text.removeprefix("#")
    return len(text) == 7 and len(digits) == 6 and all(c in "0123456789abcdef" for c in digits)
