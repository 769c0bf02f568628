"""The style sheet: legible in both themes, and the two ways into the dark one agree."""

import re
from importlib.resources import files

import pytest

from cvdata.report.svg import COLORS

CSS = files("cvdata.report.templates").joinpath("style.css").read_text("utf-8")


def colors(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})\b", block))


def blocks(selector: str) -> list[str]:
    return re.findall(rf"{re.escape(selector)} \{{([^}}]*)\}}", CSS)


LIGHT = colors(blocks(":root")[0])
DARK = colors(blocks(':root[data-theme="dark"]')[0])
PRINT = colors(blocks(":root, :root[data-theme]")[0])


def luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(c * 2 for c in color[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """WCAG 2.2's contrast ratio, 1 to 21."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
@pytest.mark.parametrize("role", ["ink", "muted", "accent", "bar"])
def test_text_reaches_wcag_aa(theme: dict[str, str], role: str) -> None:
    assert contrast(theme[role], theme["paper"]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
@pytest.mark.parametrize("role", ["red", "green", "blue"])
def test_lines_reach_wcag_for_graphics(theme: dict[str, str], role: str) -> None:
    assert contrast(theme[role], theme["paper"]) >= 3


def test_both_ways_into_the_dark_are_one() -> None:
    assert colors(blocks(':root:not([data-theme="light"])')[0]) == DARK
    assert LIGHT.keys() == DARK.keys() == PRINT.keys()


def test_every_sentinel_has_its_fill_and_stroke() -> None:
    for theme in COLORS:
        assert f".f-{theme} {{ fill: var(--{theme}); }}" in CSS
        assert f".s-{theme} {{ stroke: var(--{theme}); }}" in CSS


def test_motion_is_only_for_those_who_want_it() -> None:
    assert "prefers-reduced-motion: reduce" in CSS
    assert "transition" not in CSS
    assert "animation" not in CSS
