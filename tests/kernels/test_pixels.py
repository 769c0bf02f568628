"""The pixel pass against Pillow and NumPy."""

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from cvdata.kernels import exposure, pixels
from tests.kernels.pictures import Rgb, noise, pictures

PERCENTS = np.array([0, 1, 5, 10, 15, 50, 85, 90, 95, 99, 100], np.float64)


def brightness(rgb: Rgb) -> np.ndarray:
    r, g, b = (rgb[:, :, c].astype(np.int64) for c in range(3))
    return np.sqrt(0.241 * (r * r) + 0.691 * (g * g) + 0.068 * (b * b)) / 255


@settings(deadline=None)
@given(pictures())
def test_gray_is_pillows(rgb: Rgb) -> None:
    expected = np.asarray(PilImage.fromarray(rgb).convert("L"))
    assert np.array_equal(pixels.to_gray(pixels.split(rgb)), expected)


def test_gray_is_pillows_for_every_colour_of_a_grid() -> None:
    levels = np.arange(0, 256, 3, np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    rgb = np.ascontiguousarray(grid.reshape(levels.size, -1, 3))
    expected = np.asarray(PilImage.fromarray(rgb).convert("L"))
    assert np.array_equal(pixels.to_gray(pixels.split(rgb)), expected)


@settings(deadline=None)
@given(pictures())
def test_counts_and_sums_are_exact(rgb: Rgb) -> None:
    scan = pixels.scan_pixels(rgb)
    r, g, b = (rgb[:, :, c].astype(np.int64) for c in range(3))
    for counts, plane in zip((*scan.channels, scan.luma), (r, g, b, scan.gray), strict=True):
        assert np.array_equal(counts, np.bincount(plane.ravel(), minlength=256))
    assert scan.brightness.sum() == scan.gray.size
    assert scan.spread == (rgb.max(axis=2).astype(int) - rgb.min(axis=2)).max()
    assert scan.rg_squares == ((r - g) ** 2).sum()
    assert scan.yb_squares == ((r + g - 2 * b) ** 2).sum()


@settings(deadline=None)
@given(pictures())
def test_brightness_percentiles_are_within_half_a_step_of_numpys(rgb: Rgb) -> None:
    found = exposure.percentiles(pixels.scan_pixels(rgb).brightness, PERCENTS)
    expected = np.percentile(brightness(rgb), PERCENTS)
    half_step = 0.5 / (pixels.BRIGHTNESS_BINS - 1)
    assert np.abs(found / (pixels.BRIGHTNESS_BINS - 1) - expected).max() <= half_step * 1.01


def test_every_gray_level_is_exact() -> None:
    levels = np.arange(256, dtype=np.uint8)
    for level in levels:
        rgb = np.full((1, 1, 3), level, np.uint8)
        (bin_index,) = np.flatnonzero(pixels.scan_pixels(rgb).brightness)
        assert bin_index == int(level) * pixels.BRIGHTNESS_STEPS


@settings(deadline=None)
@given(pictures(), st.integers(1, 200))
def test_colours_are_counted_as_numpy_counts_them(rgb: Rgb, longest: int) -> None:
    step = -(-max(rgb.shape[:2]) // longest)
    expected = len(np.unique(rgb[::step, ::step].reshape(-1, 3), axis=0))
    assert pixels.count_colors(pixels.split(rgb), longest) == expected


def test_counting_colours_in_threads_shares_nothing() -> None:
    images = [noise(80, 80, seed) for seed in range(8)]
    expected = [len(np.unique(image.reshape(-1, 3), axis=0)) for image in images]
    found: dict[int, list[int]] = {}

    def count(index: int) -> None:
        planes = pixels.split(images[index])
        found[index] = [pixels.count_colors(planes, 80) for _ in range(20)]

    threads = [threading.Thread(target=count, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [n] * 20 for i, n in enumerate(expected)}
