"""Colour statistics against scikit-image, `colorsys`, NumPy and planted colours."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import color as skcolor

from cvdata.kernels import color, pixels
from tests.kernels.pictures import Rgb, gray, noise, pictures

channel = st.integers(0, 255)
LAB_ERROR = np.array([0.6, 2.6, 1.6])
"""Most that a colour's L, a, b of OpenCV's tables of bytes are off, over a third of all colours."""


@settings(deadline=None)
@given(pictures(60))
def test_saturation_and_value_are_scikit_images(rgb: Rgb) -> None:
    hsv = skcolor.rgb2hsv(rgb)
    _, saturation, value = color.mean_hsv(rgb)
    assert saturation == pytest.approx(hsv[:, :, 1].mean(), abs=1e-9)
    assert value == pytest.approx(hsv[:, :, 2].mean(), abs=1e-9)


@given(channel, channel, channel)
def test_hue_of_one_colour(red: int, green: int, blue: int) -> None:
    hue, _, _ = color.mean_hsv(np.array([[[red, green, blue]]], np.uint8))
    if red == green == blue:
        assert hue is None
    else:
        # the chroma vector's angle and the hexagon's differ by 1.12 degrees at most
        expected = 360 * colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[0]
        assert abs((hue - expected + 180) % 360 - 180) < 1.13
        assert 0 <= hue < 360


def test_hue_is_a_circular_mean() -> None:
    reds = np.array([[[255, 40, 0], [255, 0, 40]]], np.uint8)
    hue, _, _ = color.mean_hsv(reds)
    assert hue == pytest.approx(0, abs=1e-9)
    assert color.mean_hsv(gray(9, 9))[0] is None


@settings(deadline=None)
@given(pictures(40))
def test_lab_is_scikit_images_but_for_opencvs_bytes(rgb: Rgb) -> None:
    expected = skcolor.rgb2lab(rgb)
    mean, std = color.lab_moments(color.to_lab(rgb))
    assert (np.abs(mean - expected.mean(axis=(0, 1))) <= LAB_ERROR).all()
    assert (np.abs(std - expected.std(axis=(0, 1))) <= LAB_ERROR).all()


def test_frame_is_the_outer_tenth() -> None:
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[4:36, 6:54] = 255
    level, a, b = color.frame_lab(color.to_lab(rgb))
    assert (level, a, b) == (0, 0, 0)
    rgb[:] = 255
    rgb[4:36, 6:54] = 0
    assert color.frame_lab(color.to_lab(rgb))[0] == pytest.approx(100)
    assert color.frame_lab(color.to_lab(rgb[:1, :1]))[0] == pytest.approx(100)


@settings(deadline=None)
@given(pictures(60))
def test_colorfulness_is_its_definition(rgb: Rgb) -> None:
    r, g, b = (rgb[:, :, c].astype(np.float64) for c in range(3))
    rg, yb = r - g, (r + g) / 2 - b
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    scan = pixels.scan_pixels(rgb)
    n = scan.gray.size
    found = color.colorfulness(
        (r.mean(), g.mean(), b.mean()), scan.rg_squares / n, scan.yb_squares / (4 * n)
    )
    assert found == pytest.approx(expected, abs=1e-4)


def test_planted_colours_are_found_with_their_shares() -> None:
    planted = [((250, 10, 10), 50), ((10, 10, 240), 30), ((20, 200, 30), 20)]
    line = [shade for shade, n in planted for _ in range(n)]
    rgb = np.array([line] * 7, np.uint8)
    colors, fractions = color.dominant(rgb)
    assert colors == [c for shade, _ in planted for c in shade]
    assert fractions == [0.5, 0.3, 0.2]


def test_fewer_colours_repeat_the_first() -> None:
    colors, fractions = color.dominant(np.full((5, 5, 3), 77, np.uint8))
    assert (colors, fractions) == ([77] * 9, [1.0, 0.0, 0.0])


@settings(deadline=None)
@given(pictures(50), st.integers(0, 2**16))
def test_dominant_colours_do_not_depend_on_places(rgb: Rgb, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(rgb.reshape(-1, 3)).reshape(rgb.shape)
    colors, fractions = color.dominant(rgb)
    assert (colors, fractions) == color.dominant(shuffled)
    assert sum(fractions) == pytest.approx(1)
    assert fractions == sorted(fractions, reverse=True)
    assert all(0 <= c <= 255 for c in colors)


def test_dominant_colours_explain_more_than_one_mean() -> None:
    rgb = noise(40, 40)
    rgb[:20] //= 4
    centers = np.array(color.dominant(rgb)[0]).reshape(3, 3)
    points = rgb.reshape(-1, 3).astype(float)
    nearest = ((points[:, None] - centers) ** 2).sum(axis=2).min(axis=1).mean()
    assert nearest < 0.7 * ((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()
