"""Plots of what the pixels say: size, shape, colour, exposure, sharpness."""

from collections.abc import Sequence

from cvdata.report.axes import Axis
from cvdata.report.charts import Bin, Line, bars, histogram, lines, swatches
from cvdata.report.display import number
from cvdata.report.facts import Facts
from cvdata.report.grids import tiles
from cvdata.report.plot import Plot

LOG_SPAN = 30.0
"""Bins whose ends span more than this ratio, and grow with their value, need a log axis."""

SWATCHES = 24

_RATIOS = {
    "1:8": 1 / 8,
    "1:4": 1 / 4,
    "1:2": 1 / 2,
    "3:4": 3 / 4,
    "1:1": 1.0,
    "4:3": 4 / 3,
    "2:1": 2.0,
    "4:1": 4.0,
    "8:1": 8.0,
}
_CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))


def numeric(facts: Facts, field: str, title: str, label: str, unit: str = "images") -> list[Plot]:
    """The histogram of one field with its median marked; [] where it was not measured."""
    bins = facts.bins(field)
    if not bins:
        return []
    median = facts.statistic(field, "p50")
    marks = {} if median is None else {f"median {number(median, 3)}": median}
    axis = Axis(label, log=is_log(bins), marks=marks)
    return [histogram(f"plot-{field}", title, bins, axis, unit)]


def is_log(bins: Sequence[Bin]) -> bool:
    """True where the bins themselves grow with their value: the axis follows how they were cut."""
    inner = [b for b in bins if b.low > 0]
    if len(inner) < 3 or len(inner) < len(bins) - 1:
        return False
    first, last = inner[0], inner[-1]
    return (last.high - last.low) / (first.high - first.low) > 1.5


def dimensions(facts: Facts) -> list[Plot]:
    """Question 1."""
    plots = []
    cells = facts.tiles("width", "height")
    if cells:
        x = Axis("width, pixels", log=is_log(sorted({Bin(*c.x, 1) for c in cells}, key=_low)))
        y = Axis("height, pixels", log=is_log(sorted({Bin(*c.y, 1) for c in cells}, key=_low)))
        plots.append(tiles("plot-width-height", "Width and height", cells, x, y))
    sizes = facts.named("size")
    if sizes:
        plots.append(bars("plot-size", "The most common sizes", sizes, "width × height"))
    return [
        *plots,
        *numeric(facts, "width", "Width", "pixels"),
        *numeric(facts, "height", "Height", "pixels"),
    ]


def aspect_ratios(facts: Facts) -> list[Plot]:
    """Question 2."""
    plots = []
    bins = facts.bins("aspect_ratio")
    if bins:
        low, high = bins[0].low * 0.99, bins[-1].high * 1.01
        ticks = {label: ratio for label, ratio in _RATIOS.items() if low < ratio < high}
        if high / low > 6:
            ticks = {label: ratio for label, ratio in ticks.items() if "3" not in label}
        axis = Axis("width : height", log=is_log(bins), ticks=ticks)
        plots.append(histogram("plot-aspect-ratio", "Aspect ratio", bins, axis))
    standard = facts.named("aspect")
    if standard:
        caption = "long side : short side, within 1 %"
        plots.append(bars("plot-aspect", "Standard ratios", standard, caption))
    return plots


def colors(facts: Facts) -> list[Plot]:
    """Question 3."""
    channels = {channel: facts.bins(f"hist_{channel}") for channel, _ in _CHANNELS}
    plots = []
    if all(channels.values()):
        series = [_channel(color, channels[channel]) for channel, color in _CHANNELS]
        axis = Axis("channel value", low=0, high=256)
        plots.append(lines("plot-channels", "Share of pixels by channel value", series, axis))
    dominant = [(color, n) for color, n in facts.named("dominant_color") if _is_color(color)]
    if dominant:
        caption = "the most common colour of each image, as wide as its share"
        plots.append(swatches("plot-dominant", "Dominant colours", dominant[:SWATCHES], caption))
    return [
        *plots,
        *numeric(facts, "colorfulness", "Colourfulness", "0 is grey, larger is more vivid"),
        *numeric(facts, "lab_mean_l", "Lightness", "mean L* of an image, 0 to 100"),
    ]


def exposure(facts: Facts) -> list[Plot]:
    """Question 4."""
    plots = [
        *numeric(facts, "brightness_mean", "Mean brightness", "0 is black, 1 is white"),
        *numeric(facts, "rms_contrast", "Contrast (RMS)", "0 is flat"),
    ]
    cells = facts.tiles("brightness_mean", "rms_contrast")
    if cells:
        axes = Axis("mean brightness"), Axis("RMS contrast")
        plots.append(tiles("plot-brightness-contrast", "Brightness and contrast", cells, *axes))
    return [
        *plots,
        *numeric(facts, "clipped_white", "Burnt out to white", "fraction of an image's pixels"),
    ]


def edges(facts: Facts) -> list[Plot]:
    """Question 5."""
    plots = []
    cells = facts.tiles("edge_density", "tenengrad")
    if cells:
        y = Axis("Tenengrad", log=is_log(sorted({Bin(*c.y, 1) for c in cells}, key=_low)))
        plots.append(tiles("plot-edges", "Edges and sharpness", cells, Axis("edge density"), y))
    return [
        *plots,
        *numeric(facts, "laplacian_variance", "Variance of the Laplacian", "larger is sharper"),
        *numeric(facts, "edge_density", "Edge density", "share of pixels on a Canny edge"),
        *numeric(facts, "high_frequency_ratio", "High frequencies", "share of the energy"),
    ]


def _channel(color: str, bins: Sequence[Bin]) -> Line:
    total = sum(b.n for b in bins)
    return Line(color, color, tuple((b.low, b.high, b.n / total) for b in bins))


def _low(one: Bin) -> float:
    return one.low


def _is_color(text: str) -> bool:
    digits = text.removeprefix("#")
    return len(text) == 7 and len(digits) == 6 and all(c in "0123456789abcdef" for c in digits)
