"""Resizes equal Pillow's to the bit; views equal block means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from cvdata.kernels import resize
from tests.kernels.pictures import Rgb, noise, pictures

FILTERS = {"lanczos": PilImage.Resampling.LANCZOS, "bicubic": PilImage.Resampling.BICUBIC}


def pillow(plane: np.ndarray, height: int, width: int, kind: str) -> np.ndarray:
    return np.asarray(PilImage.fromarray(plane).resize((width, height), FILTERS[kind]))


@settings(max_examples=300, deadline=None)
@given(pictures(), st.integers(1, 70), st.integers(1, 70), st.sampled_from(["lanczos", "bicubic"]))
def test_equals_pillow(rgb: Rgb, height: int, width: int, kind: resize.Filter) -> None:
    plane = np.ascontiguousarray(rgb[:, :, 0])
    (thumb,) = resize.resize(plane, [(height, width)], kind)
    assert np.array_equal(thumb, pillow(plane, height, width, kind))


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 80),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(-3, 3),
    st.integers(0, 2**16),
)
def test_equals_pillow_where_the_order_of_passes_turns(
    width: int, to_height: int, to_width: int, off: int, seed: int
) -> None:
    height = max(1, 2 * (width - to_width) + to_height + off)
    plane = np.ascontiguousarray(noise(height, width, seed)[:, :, 0])
    (thumb,) = resize.resize(plane, [(to_height, to_width)], "lanczos")
    assert np.array_equal(thumb, pillow(plane, to_height, to_width, "lanczos"))


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (3, 9000), (9000, 3), (1500, 2000)])
def test_equals_pillow_on_large_and_thin_images(shape: tuple[int, int]) -> None:
    plane = np.ascontiguousarray(noise(*shape)[:, :, 0])
    sizes = [(8, 8), (8, 9), (32, 32)]
    for (height, width), thumb in zip(sizes, resize.resize(plane, sizes, "lanczos"), strict=True):
        assert np.array_equal(thumb, pillow(plane, height, width, "lanczos"))


def test_several_sizes_equal_one_by_one() -> None:
    plane = np.ascontiguousarray(noise(90, 40)[:, :, 0])
    sizes = [(8, 8), (40, 20), (89, 3)]
    together = resize.resize(plane, sizes, "bicubic")
    alone = [resize.resize(plane, [size], "bicubic")[0] for size in sizes]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))


@given(st.integers(1, 500), st.integers(1, 70), st.sampled_from(["lanczos", "bicubic"]))
def test_weights_sum_to_one_within_their_rounding(size: int, out: int, kind: resize.Filter) -> None:
    bank = resize.bank(size, out, kind)
    for offset, count in zip(bank.offset, bank.count, strict=True):
        assert abs(int(bank.weights[offset : offset + count].sum()) - (1 << 22)) <= count
    assert (bank.start >= 0).all()
    assert (bank.start + bank.count <= size).all()


@settings(deadline=None)
@given(pictures(), st.integers(1, 160))
def test_view_is_the_mean_of_whole_blocks(rgb: Rgb, longest: int) -> None:
    plane = np.ascontiguousarray(rgb[:, :, 1])
    view = resize.view(plane, longest)
    factor = -(-max(plane.shape) // longest)
    down, across = (min(factor, n) for n in plane.shape)
    rows, columns = plane.shape[0] // down, plane.shape[1] // across
    whole = plane[: rows * down, : columns * across].reshape(rows, down, columns, across)
    assert max(view.shape) <= longest
    assert np.array_equal(view, np.floor(whole.mean(axis=(1, 3)) + 0.5))


def test_view_of_an_image_that_fits_is_the_image() -> None:
    plane = np.ascontiguousarray(noise(20, 30)[:, :, 0])
    assert resize.view(plane, 30) is plane
