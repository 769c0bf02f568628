"""A matplotlib figure -> one small inline SVG that follows the page's colours and font.

matplotlib draws with sentinel colours; here each becomes a CSS class, so that one picture serves
light and dark, screen and paper, under a CSP that forbids style attributes.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from defusedxml.ElementTree import fromstring
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 400
"""Width of a plot in CSS pixels: two fit a wide window, one a phone, and the text is legible."""

COLORS = {
    "ink": "#0a0b01",
    "muted": "#0a0b02",
    "rule": "#0a0b03",
    "bar": "#0a0b04",
    "accent": "#0a0b05",
    "paper": "#0a0b06",
    "red": "#0a0b07",
    "green": "#0a0b08",
    "blue": "#0a0b09",
}
"""Sentinels: what matplotlib is told -> which CSS variable the page puts there."""

_CLASS = {sentinel: theme for theme, sentinel in COLORS.items()}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_KEPT = {
    "fill",
    "fill-opacity",
    "opacity",
    "stroke",
    "stroke-opacity",
    "stroke-width",
    "stroke-dasharray",
    "text-anchor",
    "font-size",
}
_NUMBER = re.compile(r"-?\d+\.\d+")
_FONT_SIZE = re.compile(r"([\d.]+)px")
_URL = re.compile(r"url\(#([^)]+)\)")

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cvdata",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": COLORS["rule"],
    "axes.labelcolor": COLORS["muted"],
    "axes.labelsize": 10.5,
    "axes.linewidth": 1.0,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "figure.dpi": 72,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": COLORS["ink"],
    "xtick.color": COLORS["rule"],
    "xtick.labelcolor": COLORS["muted"],
    "xtick.labelsize": 10.5,
    "xtick.major.size": 4,
    "xtick.minor.size": 0,
    "ytick.color": COLORS["rule"],
    "ytick.labelcolor": COLORS["muted"],
    "ytick.labelsize": 10.5,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "patch.linewidth": 0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings while a plot is drawn and written; the user's own come back after."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(height: float) -> "Figure":
    """An empty figure of `WIDTH` × `height` CSS pixels; use it inside `style()`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")


def to_svg(figure: "Figure", prefix: str, alt: str, titles: Mapping[str, str]) -> Markup:
    """The figure as inline SVG: ids start with `prefix`, artists with a gid get their `<title>`.

    Deterministic: no date, no random ids. Text stays text, in the page's font.
    """
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata=_NO_METADATA)
    root = fromstring(out.getvalue())
    _name_ids(root, prefix, titles)
    _prune(root)
    for element in root.iter():
        _restyle(element)
        element.tag = str(element.tag).removeprefix(_SVG)
    _frame(root, alt)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  every text was escaped by ET


_NO_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}


def _frame(root: ET.Element, alt: str) -> None:
    """Size, role and name of the picture as a whole."""
    view_box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": view_box, "role": "img", "aria-label": alt})


def _name_ids(root: ET.Element, prefix: str, titles: Mapping[str, str]) -> None:
    """Ids that something refers to become short and unique; all others vanish."""
    used: set[str] = set()
    for element in root.iter():
        used |= set(_URL.findall(element.get("clip-path", "")))
        used.add(element.get(_HREF, "").removeprefix("#"))
    new: dict[str, str] = {}
    for element in root.iter():
        old = element.attrib.pop("id", "")
        if old in titles:
            title = ET.Element(f"{_SVG}title")
            title.text = titles[old]
            element.insert(0, title)
            element.set("class", "mark")
        if old in used and old:
            new[old] = f"{prefix}-{len(new)}"
            element.set("id", new[old])
    for element in root.iter():
        if "clip-path" in element.attrib:
            clip = _URL.findall(element.attrib["clip-path"])[0]
            element.set("clip-path", f"url(#{new[clip]})")
        if _HREF in element.attrib:
            element.set("href", "#" + new[element.attrib.pop(_HREF)[1:]])


def _prune(root: ET.Element) -> None:
    """Drop what draws nothing, and unwrap groups that say nothing."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _draws_nothing(child):
                parent.remove(child)
    while any(_is_bare(child) for parent in root.iter() for child in parent):
        for parent in list(root.iter()):
            parent[:] = [
                inner for child in parent for inner in (list(child) if _is_bare(child) else [child])
            ]


def _is_bare(element: ET.Element) -> bool:
    return element.tag == f"{_SVG}g" and not element.attrib


def _draws_nothing(element: ET.Element) -> bool:
    """Metadata, matplotlib's style sheet, empty definitions, shapes without fill and stroke."""
    tag = str(element.tag).removeprefix(_SVG)
    if tag in ("metadata", "style"):
        return True
    if tag == "defs":
        return all(str(child.tag).endswith("style") for child in element)
    style = element.get("style", "")
    return tag == "path" and "fill: none" in style and "stroke:" not in style


def _restyle(element: ET.Element) -> None:
    """Style attribute -> presentation attributes; sentinel colours -> classes; short numbers."""
    classes = element.get("class", "").split()
    declared = (d.partition(":") for d in element.attrib.pop("style", "").split(";"))
    values = {prop.strip(): value.strip() for prop, _, value in declared}
    if match := _FONT_SIZE.search(values.pop("font", "")):
        values["font-size"] = match[1]
    for prop in ("fill", "stroke"):
        theme = _CLASS.get(values.get(prop, element.get(prop, "")).lower())
        if theme:
            values.pop(prop, None)
            classes.append(f"{prop[0]}-{theme}")
    for prop in sorted(_KEPT & values.keys()):
        element.set(prop, values[prop].removesuffix("px"))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for attribute in ("d", "x", "y", "width", "height", "transform", "font-size"):
        if attribute in element.attrib:
            element.set(attribute, _NUMBER.sub(_short, element.attrib[attribute]).strip())
    if "d" in element.attrib:
        element.set("d", _short_path(element.attrib["d"]))
    if classes:
        element.set("class", " ".join(classes))
    element.text = (element.text or "").strip("\n ") or None
    element.tail = None


def _short_path(d: str) -> str:
    """The same path with lines along an axis as H and V: rectangles at half the bytes."""
    out: list[str] = []
    x = y = ""
    words = iter(d.split())
    for command in words:
        n = {"M": 2, "L": 2, "Q": 4, "C": 6}.get(command, 0)
        numbers = [next(words) for _ in range(n)]
        if command == "L" and numbers[1] == y:
            out += ["H", numbers[0]]
        elif command == "L" and numbers[0] == x:
            out += ["V", numbers[1]]
        else:
            out += [command, *numbers]
        if numbers:
            x, y = numbers[-2:]
    text = " ".join(out)
    return re.sub(r" ?([A-Za-z]) ?", r"\1", text)


def _short(match: re.Match[str]) -> str:
    """A coordinate at a tenth of a pixel."""
    text = f"{float(match[0]):.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text
