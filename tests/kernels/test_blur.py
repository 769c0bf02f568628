"""CleanVision's blur numbers against Pillow's filter and NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage
from PIL import ImageFilter, ImageStat

from cvdata.kernels import blur
from cvdata.kernels.pixels import split, to_gray
from tests.kernels.pictures import SHAPES, Rgb, noise, pictures


@settings(deadline=None)
@given(pictures(64))
def test_edges_are_pillows(rgb: Rgb) -> None:
    gray = to_gray(split(rgb))
    edges = PilImage.fromarray(gray).filter(ImageFilter.FIND_EDGES)
    expected = ImageStat.Stat(edges).var[0]
    assert blur.edge_std(gray) ** 2 == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert blur.histogram_std(gray) == pytest.approx(
        np.std(PilImage.fromarray(gray).histogram()), rel=1e-12, abs=1e-12
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_are_pillows_for_every_shape(shape: tuple[int, int]) -> None:
    gray = to_gray(split(noise(*shape)))
    edges = np.asarray(PilImage.fromarray(gray).filter(ImageFilter.FIND_EDGES), np.float64)
    assert blur.edge_std(gray) == pytest.approx(edges.std(), rel=1e-9, abs=1e-9)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_thumb_size_fits_and_keeps_small_images(height: int, width: int) -> None:
    to_height, to_width = blur.thumb_size(height, width)
    assert 1 <= to_height <= height
    assert 1 <= to_width <= width
    assert max(to_height, to_width) <= 64
    if max(height, width) <= 64:
        assert (to_height, to_width) == (height, width)
