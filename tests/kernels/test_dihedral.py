"""Mirrors and turns of a hash are those of the image, and the search over them is exhaustive."""

import numpy as np
import pytest
from scipy.fft import dct

from cvdata.kernels.dihedral import dihedral_pairs, dihedral_variants


def sign_hash(image: np.ndarray) -> np.uint64:
    """DCT hash with a median of zero: where variants are exact."""
    low = dct(dct(image, axis=0), axis=1)[:8, :8]
    return np.packbits(low > 0).view(">u8").astype(np.uint64)[0]


def turned(image: np.ndarray, k: int) -> np.ndarray:
    image = image.T if k & 4 else image
    image = image[:, ::-1] if k & 1 else image
    return image[::-1] if k & 2 else image


def test_variants_are_the_hashes_of_the_turned_image() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        image = rng.normal(size=(32, 32))
        hashes = [sign_hash(turned(image, k)) for k in range(8)]
        # the DC term keeps its sign, as bit 63 of a mean above zero or below
        assert dihedral_variants(np.array([[hashes[0]]]))[0].tolist() == [int(h) for h in hashes]


@pytest.mark.parametrize("radius", [0, 3, 6, 11])
def test_search_equals_brute_force_over_the_eight(radius: int) -> None:
    rng = np.random.default_rng(radius)
    base = rng.integers(0, 2**64, 150, dtype=np.uint64)
    copies = dihedral_variants(base[:, None])[np.arange(150), rng.integers(0, 8, 150)]
    for i in range(150):
        for bit in rng.choice(64, rng.integers(0, 13), replace=False):
            copies[i] ^= np.uint64(1) << np.uint64(bit)
    words = np.unique(np.concatenate([base, copies]))[:, None]
    variants = dihedral_variants(words)
    distance = np.bitwise_count(variants[:, None, :] ^ words[None, :, :]).min(axis=2)
    assert np.array_equal(distance, distance.T), "a metric on the classes is symmetric"
    a, b = np.nonzero(np.triu(distance <= radius, 1))
    found = dihedral_pairs(words, radius)
    assert np.array_equal(found[0], a)
    assert np.array_equal(found[1], b)
    assert np.array_equal(found[2], distance[a, b])
