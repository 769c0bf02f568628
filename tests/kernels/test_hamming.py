"""Banded radius search finds exactly what a brute force over all pairs finds."""

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.errors import ConfigError
from cvdata.kernels import hamming
from cvdata.kernels.hamming import Band, BandPlan

Bytes = npt.NDArray[np.uint8]


def brute(hashes: Bytes, radius: int, other: Bytes | None = None) -> set[tuple[int, int, int]]:
    """All pairs by FAISS's flat binary index (its radius is exclusive)."""
    base = hashes if other is None else other
    index = faiss.IndexBinaryFlat(hashes.shape[1] * 8)
    index.add(base)
    limits, distances, ids = index.range_search(hashes, radius + 1)
    rows = np.repeat(np.arange(len(hashes)), np.diff(limits).astype(np.int64))
    found = zip(rows.tolist(), ids.tolist(), distances.astype(int).tolist(), strict=True)
    return {(a, b, d) for a, b, d in found if other is not None or a < b}


def triples(pairs: hamming.HammingPairs) -> list[tuple[int, int, int]]:
    columns = pairs.a.tolist(), pairs.b.tolist(), pairs.distance.tolist()
    return list(zip(*columns, strict=True))


def distinct(hashes: Bytes) -> Bytes:
    return np.unique(hashes, axis=0)


def flipped(rng: np.random.Generator, base: Bytes, most: int) -> Bytes:
    """Each row with 0 … `most` random bits flipped."""
    bits = np.unpackbits(base, axis=1)
    for row in bits:
        row[rng.choice(bits.shape[1], rng.integers(0, most + 1), replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def random_hashes(rng: np.random.Generator, n_bytes: int) -> Bytes:
    base = rng.integers(0, 256, (300, n_bytes), dtype=np.uint8)
    return np.concatenate([base, flipped(rng, base[:200], 13)])


def clustered_hashes(rng: np.random.Generator, n_bytes: int) -> Bytes:
    centres = np.repeat(rng.integers(0, 256, (4, n_bytes), dtype=np.uint8), 120, axis=0)
    return flipped(rng, centres, 8)


def one_band_hashes(rng: np.random.Generator, n_bytes: int) -> Bytes:
    """Every hash the same but for two bits of its first byte or two: giant buckets elsewhere."""
    hashes = np.full((1 << 9, n_bytes), 0xA5, np.uint8)
    hashes[:, 0] = np.arange(1 << 9) & 0xFF
    hashes[:, -1] ^= (np.arange(1 << 9) >> 8).astype(np.uint8)
    return hashes


MAKERS = {"random": random_hashes, "clustered": clustered_hashes, "one_band": one_band_hashes}


@pytest.mark.parametrize("n_bytes", [6, 8, 32])
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("radius", range(12))
def test_equals_brute_force(maker: str, radius: int, n_bytes: int) -> None:
    hashes = distinct(MAKERS[maker](np.random.default_rng(radius), n_bytes))
    words = hamming.pack_words(hashes)
    found = triples(hamming.search(words, hamming.plan_bands(words, n_bytes * 8, radius)))
    assert len(found) == len(set(found)), "a pair was reported twice"
    assert set(found) == brute(hashes, radius)


@pytest.mark.parametrize("radius", range(12))
@pytest.mark.parametrize("n_bands", range(1, 13))
def test_any_banding_gives_the_same_pairs(radius: int, n_bands: int) -> None:
    """The cost model may pick what it likes: recall never hangs on it."""
    n_bands = min(n_bands, radius + 1)
    rng = np.random.default_rng(7)
    hashes = distinct(np.concatenate([random_hashes(rng, 8), clustered_hashes(rng, 8)]))
    words = hamming.pack_words(hashes)
    a, c = divmod(radius, n_bands)
    bits = rng.permutation(64)
    bands = tuple(
        Band(tuple(bits[i::n_bands][: 3 + 2 * i].tolist()), a if i <= c else a - 1)
        for i in range(n_bands)
        if i <= c or a > 0
    )
    plan = BandPlan(64, radius, bands)
    found = triples(hamming.search(words, plan))
    assert len(found) == len(set(found))
    assert set(found) == brute(hashes, radius)


@pytest.mark.parametrize("radius", [0, 3, 7, 11])
def test_new_against_old(radius: int) -> None:
    rng = np.random.default_rng(3)
    old = distinct(random_hashes(rng, 8))
    new = distinct(np.concatenate([flipped(rng, old[:100], 12), old[100:120]]))
    plan = hamming.plan_bands(hamming.pack_words(new), 64, radius, len(old))
    found = hamming.search(hamming.pack_words(new), plan, hamming.pack_words(old))
    assert set(triples(found)) == brute(new, radius, old)
    assert len(found) == len(set(triples(found)))


@pytest.mark.parametrize("n_parts", [1, 2, 7, 64])
def test_partitions_add_up(n_parts: int) -> None:
    """One task per band and key range: together every pair once, whatever the cut."""
    words = hamming.pack_words(distinct(clustered_hashes(np.random.default_rng(5), 8)))
    plan = hamming.plan_bands(words, 64, 7)
    parts = [
        pair
        for band in range(len(plan.bands))
        for part in range(n_parts)
        for pair in triples(hamming.search_partition(words, plan, band, (part, n_parts)))
    ]
    assert sorted(parts) == triples(hamming.search(words, plan))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=60, unique=True),
    st.integers(0, 11),
    st.integers(0, 48),
)
def test_close_hashes_at_any_offset(values: list[int], radius: int, shift: int) -> None:
    """Sixteen live bits anywhere among constant ones: dense, skewed, every distance occurs."""
    words = (np.array(values, np.uint64) << np.uint64(shift))[:, None]
    hashes = words.astype(">u8").view(np.uint8)
    assert np.array_equal(hamming.pack_words(hashes), words)
    found = triples(hamming.search(words, hamming.plan_bands(words, 64, radius)))
    assert set(found) == brute(hashes, radius)


def test_unique_words_round_trip() -> None:
    rng = np.random.default_rng(0)
    for n_bytes in (6, 8, 32):
        hashes = rng.integers(0, 2, (500, n_bytes), dtype=np.uint8)
        words = hamming.pack_words(hashes)
        values, inverse = hamming.unique_words(words)
        assert np.array_equal(values[inverse], words)
        assert len(values) == len(np.unique(hashes, axis=0))


def test_nothing_and_one() -> None:
    for n in (0, 1):
        words = np.zeros((n, 1), np.uint64)
        assert len(hamming.search(words, hamming.plan_bands(words, 64, 6))) == 0


def test_an_explosion_is_refused_not_swallowed() -> None:
    words = hamming.pack_words(distinct(clustered_hashes(np.random.default_rng(1), 8)))
    plan = hamming.plan_bands(words, 64, 11)
    n = len(hamming.search(words, plan))
    assert len(hamming.search(words, plan, max_pairs=n)) == n
    with pytest.raises(hamming.TooManyPairs, match="radius 11"):
        hamming.search(words, plan, max_pairs=n - 1)


@pytest.mark.parametrize("radius", [-1, 64])
def test_a_senseless_radius_is_a_config_error(radius: int) -> None:
    with pytest.raises(ConfigError, match="radius"):
        hamming.plan_bands(np.zeros((2, 1), np.uint64), 64, radius)
