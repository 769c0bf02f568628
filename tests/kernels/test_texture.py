"""Local binary patterns and oriented gradients against scikit-image."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog, local_binary_pattern

from cvdata.kernels import texture
from cvdata.kernels.pixels import split, to_gray
from tests.kernels.pictures import flat, noise, smooth


def skimages(gray: np.ndarray) -> np.ndarray:
    codes = local_binary_pattern(gray, 8, 1, "uniform")[1:-1, 1:-1].astype(int)
    return np.bincount(codes.ravel(), minlength=10) / codes.size


@settings(deadline=None)
@given(st.integers(3, 90), st.integers(3, 90), st.integers(0, 2**16))
def test_lbp_of_noise_is_scikit_images(height: int, width: int, seed: int) -> None:
    gray = to_gray(split(noise(height, width, seed)))
    # a few interpolated neighbours tie with the centre, where scikit-image's rounding decides
    assert texture.lbp_histogram(gray) == pytest.approx(skimages(gray), abs=3 / gray[2:, 2:].size)


def test_lbp_of_equal_pixels_counts_every_neighbour_as_not_darker() -> None:
    histogram = texture.lbp_histogram(np.full((20, 20), 201, np.uint8))
    assert histogram.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]


def test_lbp_does_not_change_when_the_image_is_turned_or_brightened() -> None:
    gray = to_gray(split(smooth(80, 60, 2))) // 2
    expected = texture.lbp_histogram(gray)
    for turned in (gray.T, gray[::-1], gray + np.uint8(100)):
        assert np.array_equal(texture.lbp_histogram(np.ascontiguousarray(turned)), expected)


@pytest.mark.parametrize("shape", [(2, 50), (50, 2), (1, 1)])
def test_lbp_needs_three_pixels(shape: tuple[int, int]) -> None:
    assert texture.lbp_histogram(np.zeros(shape, np.uint8)) is None


def test_hog_summary_is_the_mean_of_scikit_images_blocks() -> None:
    gray = to_gray(split(smooth(100, 70, 5)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blocks = hog(gray, 9, (8, 8), (2, 2))
    assert texture.hog_summary(gray) == pytest.approx(blocks.reshape(-1, 9).mean(axis=0))


def test_hog_summary_of_stripes_has_one_direction() -> None:
    stripes = np.broadcast_to(np.arange(64, dtype=np.uint8) * 4, (64, 64))
    assert np.argmax(texture.hog_summary(np.ascontiguousarray(stripes))) == 0
    assert texture.hog_summary(to_gray(split(flat(40, 40)))).tolist() == [0] * 9
    assert texture.hog_summary(np.zeros((15, 40), np.uint8)) is None
