"""Uniform borders, planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.kernels.border import uniform_border
from tests.kernels.pictures import noise

depths = st.integers(0, 12)


@settings(deadline=None)
@given(depths, depths, depths, depths, st.integers(0, 255))
def test_planted_bands_are_measured(
    top: int, bottom: int, left: int, right: int, level: int
) -> None:
    picture = noise(30, 40)
    framed = np.pad(picture, ((top, bottom), (left, right), (0, 0)), constant_values=level)
    fraction, color = uniform_border(np.ascontiguousarray(framed))
    expected = 1 - picture[:, :, 0].size / framed[:, :, 0].size
    assert fraction == pytest.approx(expected)
    assert color == ((level,) * 3 if expected else None)


def test_a_flat_image_is_all_border() -> None:
    assert uniform_border(np.full((6, 9, 3), 200, np.uint8)) == (1.0, (200, 200, 200))
    assert uniform_border(np.full((1, 1, 3), 3, np.uint8)) == (1.0, (3, 3, 3))


def test_bands_may_have_their_own_colours_and_the_largest_names_one() -> None:
    picture = noise(30, 40)
    picture[:2] = (250, 0, 0)
    picture[-9:] = (0, 0, 250)
    fraction, color = uniform_border(picture)
    assert fraction == pytest.approx(11 / 30)
    assert color == (0, 0, 250)


def test_noise_within_the_tolerance_is_uniform() -> None:
    picture = noise(30, 40)
    picture[:5] = 100 + picture[:5] % 7
    assert uniform_border(picture, tolerance=8)[0] == pytest.approx(5 / 30)
    assert uniform_border(picture, tolerance=1)[0] == 0
