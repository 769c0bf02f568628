"""Hashes of thumbs against `imagehash`; the dihedral law."""

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage
from scipy.fft import dctn

from cvdata.kernels import hashing
from cvdata.kernels.pixels import split, to_gray
from tests.kernels.pictures import KINDS


@st.composite
def thumbs(draw: st.DrawFn, height: int, width: int) -> np.ndarray:
    kind = draw(st.sampled_from(KINDS))
    gray = to_gray(split(kind(height, width, draw(st.integers(0, 2**16)))))
    # few levels: ties
    return gray // draw(st.sampled_from([1, 1, 60, 128]))


def bits_of(value: imagehash.ImageHash) -> int:
    return int(str(value), 16)


@settings(max_examples=300, deadline=None)
@given(thumbs(8, 8), thumbs(8, 9), thumbs(32, 32))
def test_hashes_are_imagehashs(square: np.ndarray, wide: np.ndarray, large: np.ndarray) -> None:
    assert hashing.ahash(square) == bits_of(imagehash.average_hash(PilImage.fromarray(square)))
    assert hashing.dhash(wide) == bits_of(imagehash.dhash(PilImage.fromarray(wide)))
    expected = bits_of(imagehash.phash(PilImage.fromarray(large)))
    assert hashing.phash(large, hashing.low_frequencies(large)) == expected


def transforms(thumb: np.ndarray) -> list[np.ndarray]:
    turns = [np.rot90(thumb, k) for k in range(4)]
    return [np.ascontiguousarray(t) for turn in turns for t in (turn, turn[:, ::-1])]


@settings(max_examples=300, deadline=None)
@given(thumbs(32, 32))
def test_dihedral_hash_is_equal_for_the_eight_transforms(thumb: np.ndarray) -> None:
    found = {hashing.phash_dihedral(hashing.low_frequencies(t)) for t in transforms(thumb)}
    assert len(found) == 1


@settings(deadline=None)
@given(st.integers(0, 2**16))
def test_dihedral_hash_is_the_smallest_phash_of_the_eight(seed: int) -> None:
    thumb = np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8)
    smallest = min(bits_of(imagehash.phash(PilImage.fromarray(t))) for t in transforms(thumb))
    assert hashing.phash_dihedral(hashing.low_frequencies(thumb)) == smallest


@settings(deadline=None)
@given(thumbs(32, 32))
def test_low_frequencies_are_the_dct_within_the_stated_bound(thumb: np.ndarray) -> None:
    exact = dctn(thumb.astype(np.float64), type=2)[:8, :8] / 4 * 2.0**40
    assert np.abs(hashing.low_frequencies(thumb) - exact).max() <= hashing._SAFE_GAP / 2


@given(st.lists(st.booleans(), min_size=1, max_size=64))
def test_pack_puts_the_first_bit_highest(bits: list[bool]) -> None:
    packed = hashing.pack(np.array(bits))
    text = "".join(str(int(b)) for b in bits)
    assert packed == int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8))


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_flat_thumbs_are_recognisable_as_uninformative(level: int) -> None:
    thumb = np.full((8, 9), level, np.uint8)
    assert hashing.ahash(np.ascontiguousarray(thumb[:, :8])) == 0
    assert hashing.dhash(thumb) == 0
