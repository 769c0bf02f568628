"""Histogram statistics against NumPy and Pillow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from cvdata.kernels import exposure
from cvdata.kernels.pixels import scan_pixels
from tests.kernels.pictures import Rgb, pictures

histograms = st.lists(st.integers(0, 40), min_size=1, max_size=60).filter(any)
percents = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=9).map(sorted)


@settings(deadline=None)
@given(histograms, percents)
def test_percentiles_are_numpys(counts: list[int], at: list[float]) -> None:
    values = np.repeat(np.arange(len(counts)), counts)
    found = exposure.percentiles(np.array(counts, np.uint32), np.array(at))
    assert found == pytest.approx(np.percentile(values, at), abs=1e-9)


@settings(deadline=None)
@given(histograms)
def test_moments_are_numpys(counts: list[int]) -> None:
    values = np.repeat(np.arange(len(counts)), counts)
    histogram = np.array(counts, np.uint32)
    assert exposure.moments(histogram) == pytest.approx((values.mean(), values.std()), abs=1e-9)
    assert exposure.mean(histogram) == pytest.approx(values.mean(), abs=1e-9)


@settings(deadline=None)
@given(pictures())
def test_entropy_is_pillows(rgb: Rgb) -> None:
    scan = scan_pixels(rgb)
    pil = PilImage.fromarray(rgb)
    assert exposure.entropy(scan.channels) == pytest.approx(pil.entropy(), abs=1e-9)
    assert exposure.entropy(scan.luma) == pytest.approx(pil.convert("L").entropy(), abs=1e-9)
