"""Edge counts against OpenCV's Canny."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.kernels.edges import edge_density
from cvdata.kernels.pixels import split, to_gray
from tests.kernels.pictures import Rgb, pictures


@settings(max_examples=200, deadline=None)
@given(pictures(100), st.integers(0, 9), st.integers(0, 300), st.integers(0, 500))
def test_counts_are_opencvs(rgb: Rgb, blur: int, low: int, more: int) -> None:
    gray = to_gray(split(rgb))
    if blur:
        gray = cv2.GaussianBlur(gray, (0, 0), blur / 3)
    expected = cv2.countNonZero(cv2.Canny(gray, low, low + more)) / gray.size
    assert edge_density(gray, low, low + more) == expected


def test_a_square_has_edges_all_around() -> None:
    gray = np.zeros((60, 60), np.uint8)
    gray[20:40, 20:40] = 255
    assert edge_density(gray) == pytest.approx(4 * 20 / gray.size, rel=0.15)
    assert edge_density(np.zeros((60, 60), np.uint8)) == 0
