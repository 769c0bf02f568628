"""The spectrum against NumPy's FFT and known waves."""

import numpy as np
import pytest
from hypothesis import given, settings

from cvdata.kernels import spectrum
from cvdata.kernels.pixels import split, to_gray
from tests.kernels.pictures import Rgb, pictures


def numpys(gray: np.ndarray) -> np.ndarray:
    side = min(spectrum.TILE, *gray.shape) // 4 * 4
    starts = []
    for n in gray.shape:
        tiles = min(spectrum.TILES, n // side)
        room = n - side
        starts.append(
            [room // 2] if tiles == 1 else [i * room // (tiles - 1) for i in range(tiles)]
        )
    line = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    power = np.zeros((side, side // 2 + 1))
    for y in starts[0]:
        for x in starts[1]:
            tile = gray[y : y + side, x : x + side].astype(np.float64)
            power += np.abs(np.fft.rfft2((tile - tile.mean()) * np.outer(line, line))) ** 2
    return power


@settings(deadline=None)
@given(pictures(160))
def test_power_is_numpys(rgb: Rgb) -> None:
    gray = to_gray(split(rgb))
    found = spectrum.tile_power(gray)
    if min(gray.shape) < 8:
        assert found is None
        assert spectrum.high_frequency_ratio(gray) is None
    else:
        expected = numpys(gray)
        assert np.abs(found - expected).max() <= 1e-5 * max(expected.max(), 1.0)


@pytest.mark.parametrize(("cycles", "is_high"), [(0.05, False), (0.15, False), (0.35, True)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_wave_is_on_its_side_of_half_nyquist(cycles: float, is_high: bool, turned: bool) -> None:
    wave = 128 + 100 * np.cos(2 * np.pi * cycles * np.arange(200))
    gray = np.broadcast_to(wave, (200, 200)).astype(np.uint8)
    ratio = spectrum.high_frequency_ratio(np.ascontiguousarray(gray.T if turned else gray))
    assert ratio is not None
    assert (ratio > 0.9) if is_high else (ratio < 0.1)


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_a_flat_image_has_no_ratio(level: int) -> None:
    assert spectrum.high_frequency_ratio(np.full((70, 90), level, np.uint8)) is None


def test_a_single_different_level_has_one() -> None:
    gray = np.full((200, 200), 100, np.uint8)
    gray[16, 16] = 101
    ratio = spectrum.high_frequency_ratio(gray)
    assert ratio is not None
    assert ratio > 0.5
