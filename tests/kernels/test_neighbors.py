"""Blocked cosine search equals the full matrix, whatever the block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.errors import ConfigError
from cvdata.kernels import neighbors


def planted(n: int, d: int, seed: int) -> neighbors.F32:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, d))
    base[n // 2 :] = base[: n - n // 2] + rng.normal(size=(n - n // 2, d)) * rng.uniform(
        0, 0.6, (n - n // 2, 1)
    )
    return neighbors.unit_rows(base)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(2, 40), st.floats(0.3, 0.999), st.integers(1, 64))
def test_equals_the_full_matrix_for_any_block(n: int, d: int, threshold: float, block: int) -> None:
    vectors = planted(n, d, n * d)
    wide = vectors.astype(np.float64)
    full = wide @ wide.T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "BLOCK", block)
        found = neighbors.cosine_pairs(vectors, threshold)
        crossed = neighbors.cross_cosine_pairs(vectors[: n // 2], vectors, threshold)
    a, b = np.nonzero(np.triu(full >= threshold, 1))
    edge = np.abs(full[a, b] - threshold) < 1e-12
    expected = set(zip(a[~edge].tolist(), b[~edge].tolist(), strict=True))
    assert expected <= set(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert len(found) <= len(a) + (np.abs(full - threshold) < 1e-12).sum()
    assert np.allclose(found.similarity, full[found.a, found.b], atol=1e-12)
    sides = np.nonzero(full[: n // 2] >= threshold + 1e-12)
    pairs = set(zip(crossed.a.tolist(), crossed.b.tolist(), strict=True))
    assert set(zip(sides[0].tolist(), sides[1].tolist(), strict=True)) <= pairs


def test_a_similarity_has_the_same_bits_in_any_company() -> None:
    vectors = planted(600, 130, 1)
    a, b = np.triu_indices(200, 1)
    together = neighbors.pair_cosines(vectors, vectors, a, b)
    alone = [
        neighbors.pair_cosines(vectors, vectors, a[i : i + 1], b[i : i + 1])[0] for i in range(50)
    ]
    assert together[:50].tolist() == alone


def test_an_explosion_is_refused() -> None:
    same = np.ones((100, 4), np.float32) / 2
    assert len(neighbors.cosine_pairs(same, 0.9, 4950)) == 4950
    with pytest.raises(ConfigError, match="raise the threshold"):
        neighbors.cosine_pairs(same, 0.9, 4949)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_vectors_without_a_direction_are_named(bad: float) -> None:
    vectors = np.ones((5, 3))
    vectors[3] = bad
    with pytest.raises(ConfigError, match="row 3"):
        neighbors.unit_rows(vectors)
