"""Plots show the numbers they were given, in the page's colours, as small deterministic SVG."""

import math
import re
from itertools import pairwise

import matplotlib as mpl
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from cvdata.report.axes import Axis, compact
from cvdata.report.charts import Bin, Line, bars, columns, dots, histogram, lines, merged, swatches
from cvdata.report.files import calendar
from cvdata.report.grids import Matrix, Tile, matrix, tiles
from cvdata.report.plot import MAX_BARS, Plot
from cvdata.report.svg import COLORS

LINEAR = [Bin(i, i + 1, n) for i, n in enumerate((5, 0, 12, 40, 8))]
OCTAVES = [Bin(0, 1, 7), *(Bin(2.0**k, 2.0 ** (k + 1), 3 * k + 1) for k in range(8))]
STEPS = ((0.0, 16.0, 0.4), (16.0, 32.0, 0.6))
GRID = Matrix(("a", "b"), ("1", "2"), ((0.0, 1.0), (0.5, 0.2)))


def example(kind: str) -> Plot:
    made = {
        "histogram": lambda: histogram("k", "T", LINEAR, Axis("x", marks={"median 3": 3.0})),
        "log": lambda: histogram("k", "T", OCTAVES, Axis("x", log=True)),
        "columns": lambda: columns("k", "T", [(f"2024-{m:02d}", m) for m in range(1, 13)]),
        "bars": lambda: bars("k", "T", [(f"class {i}", 100 - i) for i in range(40)]),
        "dots": lambda: dots("k", "T", [("a", 3.0, 1.0), ("b", 2.0, 0.0)], Axis("x")),
        "lines": lambda: lines("k", "T", [Line("red", "red", STEPS)], Axis("x")),
        "tiles": lambda: tiles(
            "k", "T", [Tile((i, i + 1), (j, j + 1), i * j) for i in range(40) for j in range(40)],
            Axis("x"), Axis("y"),
        ),
        "matrix": lambda: matrix("k", "T", GRID, "c"),
        "swatches": lambda: swatches("k", "T", [("#102030", 3), ("#f0f0f0", 1)]),
    }  # fmt: skip
    return made[kind]()


KINDS = ("histogram", "log", "columns", "bars", "dots", "lines", "tiles", "matrix", "swatches")


def bars_of(plot: Plot) -> list[tuple[str, list[tuple[float, float]]]]:
    """(hover text, corners) of each marked shape."""
    found = []
    for group in fromstring(str(plot.svg)).iter("g"):
        title = group.find("title")
        if title is not None:
            path = group.find("path")
            found.append((title.text, corners_of(path.get("d"))))
    return found


def corners_of(d: str) -> list[tuple[float, float]]:
    """The points of a path of M, L, H, V and z."""
    x = y = 0.0
    points = []
    for command, rest in re.findall(r"([MLHV])([^MLHVz]*)", d):
        numbers = [float(n) for n in rest.split()]
        x = numbers[0] if command != "V" else x
        y = numbers[-1] if command != "H" else y
        points.append((x, y))
    return points


def height(corners: list[tuple[float, float]]) -> float:
    ys = [y for _, y in corners]
    return max(ys) - min(ys)


def width(corners: list[tuple[float, float]]) -> float:
    xs = [x for x, _ in corners]
    return max(xs) - min(xs)


@pytest.mark.parametrize("kind", KINDS)
def test_svg_obeys_the_page(kind: str) -> None:
    svg = str(example(kind).svg)
    root = fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label", "").startswith("T")
    assert not any("style" in e.attrib for e in root.iter())
    assert not [e for e in root.iter() if e.tag in ("style", "metadata", "image", "script")]
    assert not [color for color in COLORS.values() if color in svg]
    assert "font-family" not in svg
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(one.startswith("k-") for one in ids)
    refs = re.findall(r"url\(#([^)]+)\)", svg) + [e.get("href")[1:] for e in root.iter("use")]
    assert set(refs) <= set(ids)
    assert len(svg) < 60_000


@pytest.mark.parametrize("kind", KINDS)
def test_same_plot_same_bytes_whatever_the_user_set(kind: str) -> None:
    first = example(kind).svg
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        mine = dict(mpl.rcParams)
        assert example(kind).svg == first
        assert dict(mpl.rcParams) == mine


def test_text_is_text() -> None:
    texts = [e.text for e in fromstring(str(example("histogram").svg)).iter("text")]
    assert "median 3" in texts
    assert "x" in texts


def test_histogram_heights_are_counts() -> None:
    found = bars_of(example("histogram"))
    assert [title.split(": ")[1].split(" ")[0] for title, _ in found] == ["5", "0", "12", "40", "8"]
    scale = height(found[3][1]) / 40
    for (_, corners), b in zip(found, LINEAR, strict=True):
        assert height(corners) == pytest.approx(b.n * scale, abs=0.2)


def test_log_histogram_has_a_place_for_zero() -> None:
    found = bars_of(example("log"))
    assert len(found) == len(OCTAVES)
    widths = [width(corners) for _, corners in found]
    assert widths == pytest.approx([widths[1]] * len(widths), abs=0.3)
    assert found[0][0].startswith("0 to 1: 7 ")


def test_bars_are_as_long_as_their_numbers() -> None:
    plot = example("bars")
    found = bars_of(plot)
    assert len(found) == MAX_BARS
    for i, (title, corners) in enumerate(found):
        assert title.startswith(f"class {i}: {100 - i} images")
        assert width(corners) == pytest.approx((100 - i) * width(found[0][1]) / 100, abs=0.2)
    assert f"{MAX_BARS} of 40 are drawn" in plot.table.note
    assert len(plot.table.rows) == 40


def test_swatches_are_the_real_colours() -> None:
    svg = str(example("swatches").svg)
    assert 'fill="#102030"' in svg
    first, second = (width(corners) for _, corners in bars_of(example("swatches")))
    assert first == pytest.approx(3 * second, rel=0.01)


def test_tiles_are_darker_where_there_is_more() -> None:
    cells = [Tile((i, i + 1), (0, 1), n) for i, n in enumerate((0, 1, 10, 1000))]
    plot = tiles("k", "T", cells, Axis("x"), Axis("y"))
    shades = [
        float(e.get("opacity", 1))
        for e in fromstring(str(plot.svg)).iter("path")
        if "f-bar" in e.get("class", "")
    ]
    assert shades == sorted(shades)
    assert len(shades) == 3
    assert shades[-1] == 1
    assert [row[-1] for row in plot.table.rows] == [1000, 10, 1]


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=200),
    st.integers(1, 60),
)
def test_merging_bins_keeps_every_image(n: list[int], most: int) -> None:
    bins = [Bin(i, i + 1, k) for i, k in enumerate(n)]
    joined = merged(bins, most)
    assert len(joined) <= most
    assert sum(b.n for b in joined) == sum(n)
    assert (joined[0].low, joined[-1].high) == (0, len(n))
    assert all(a.high == b.low for a, b in pairwise(joined))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (9000, "9000"),
        (12000, "12k"),
        (1.5e6, "1.5M"),
        (-2e6, "-2M"),
        (3e9, "3G"),
    ],
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert compact(value) == text


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_bins_still_draw(n: int) -> None:
    assert len(bars_of(histogram("k", "T", LINEAR[:n], Axis("x")))) == n
    assert math.isfinite(height(bars_of(histogram("k", "T", OCTAVES[:n], Axis("x")))[0][1]))


MONTH = st.tuples(st.integers(1980, 2030), st.integers(1, 12)).map(lambda t: f"{t[0]}-{t[1]:02d}")


@given(st.dictionaries(MONTH, st.integers(1, 99), min_size=1))
def test_dates_are_drawn_without_gaps_and_without_loss(months: dict[str, int]) -> None:
    series = calendar(list(months.items()))
    names = [label for label, _ in series]
    assert sum(n for _, n in series) == sum(months.values())
    assert names == sorted(names)
    steps = [int(n[:4]) * 12 + int(n[5:] or 1) if "-" in n else int(n) for n in names]
    assert all(b - a == 1 for a, b in pairwise(steps))
    assert len(series) <= 60
