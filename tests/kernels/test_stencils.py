"""Sharpness, noise and blocks against SciPy and by construction."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image as PilImage
from scipy import ndimage

from cvdata.kernels import stencils
from cvdata.kernels.pixels import split, to_gray
from tests.kernels.pictures import Rgb, blocks, noise, pictures, smooth

IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])


def gray_of(rgb: Rgb) -> np.ndarray:
    return to_gray(split(rgb))


@settings(deadline=None)
@given(pictures())
def test_sums_are_scipys(rgb: Rgb) -> None:
    gray = gray_of(rgb)
    wide = gray.astype(np.int64)
    scan = stencils.scan_stencils(gray)
    laplacian = ndimage.laplace(wide, mode="mirror")
    sobel = [ndimage.sobel(wide, axis=axis, mode="mirror") for axis in (0, 1)]
    assert scan.laplacian == laplacian.sum()
    assert scan.laplacian_squares == (laplacian**2).sum()
    assert scan.sobel_squares == sum((s**2).sum() for s in sobel)
    assert np.array_equal(scan.columns, np.abs(np.diff(wide, axis=1)).sum(axis=0))
    assert np.array_equal(scan.rows, np.abs(np.diff(wide, axis=0)).sum(axis=1))
    assert stencils.laplacian_variance(scan) == pytest.approx(laplacian.var(), rel=1e-12, abs=1e-9)
    assert stencils.tenengrad(scan) == pytest.approx(sum((s**2).mean() for s in sobel), rel=1e-12)
    if min(gray.shape) >= 3:
        inner = ndimage.convolve(wide, IMMERKAER, mode="mirror")[1:-1, 1:-1]
        assert scan.noise == np.abs(inner).sum()
    else:
        assert stencils.noise_sigma(scan) is None


def test_wide_rows_do_not_overflow() -> None:
    gray = np.zeros((4, 60_000), np.uint8)
    gray[:, ::2] = 255
    scan = stencils.scan_stencils(gray)
    laplacian = ndimage.laplace(gray.astype(np.int64), mode="mirror")
    assert scan.laplacian_squares == (laplacian**2).sum()


@pytest.mark.parametrize("sigma", [1.0, 5.0, 15.0])
def test_noise_sigma_finds_planted_noise(sigma: float) -> None:
    rng = np.random.default_rng(7)
    gray = np.clip(np.rint(128 + rng.normal(0, sigma, (300, 300))), 0, 255).astype(np.uint8)
    found = stencils.noise_sigma(stencils.scan_stencils(gray))
    assert found == pytest.approx(sigma, rel=0.1)


def test_blockiness_by_construction() -> None:
    only_blocks = stencils.scan_stencils(gray_of(blocks(64, 96)))
    assert stencils.blockiness(only_blocks) == 1.0
    flat = stencils.scan_stencils(np.full((64, 64), 9, np.uint8))
    assert stencils.blockiness(flat) == 0.0
    random = stencils.scan_stencils(gray_of(noise(300, 300)))
    assert stencils.blockiness(random) == pytest.approx(0, abs=0.03)
    small = stencils.scan_stencils(np.zeros((15, 100), np.uint8))
    assert stencils.blockiness(small) is None


def test_blockiness_rises_with_jpeg_compression() -> None:
    pil = PilImage.fromarray(smooth(240, 240, 3))
    found = []
    for quality in (95, 30, 5):
        packed = io.BytesIO()
        pil.save(packed, "JPEG", quality=quality)
        scan = stencils.scan_stencils(np.array(PilImage.open(packed).convert("L")))
        found.append(stencils.blockiness(scan))
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.3
