"""Ranks and the score made of them: laws of both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from cvdata.outliers.consensus import consensus, ranks

SCORES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.25, float("nan")]), max_size=40)


@settings(max_examples=200)
@given(SCORES, st.integers(1, 4))
def test_ranks_are_scipys_in_each_group(values: list[float], n_groups: int) -> None:
    scores = np.array(values, np.float64)
    groups = np.arange(len(scores)) % n_groups
    rank, share = ranks(scores, groups)
    for group in range(n_groups):
        at = np.flatnonzero((groups == group) & ~np.isnan(scores))
        if len(at):
            assert rank[at].tolist() == rankdata(-scores[at], "min").astype(int).tolist()
            np.testing.assert_allclose(share[at], rankdata(-scores[at], "max") / len(at))
    missing = np.isnan(scores)
    assert (rank[missing] == 0).all()
    assert np.isnan(share[missing]).all()


def _shares(scores: np.ndarray) -> np.ndarray:
    groups = np.zeros(scores.shape[1], np.int64)
    return np.stack([ranks(row, groups)[1] for row in scores])


def test_the_consensus_sees_ranks_only() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 100))
    bent = np.stack([np.exp(3 * scores[0]), scores[1] ** 3, scores[2], scores[3] * 1e6, scores[4]])
    np.testing.assert_array_equal(consensus(_shares(scores)), consensus(_shares(bent)))


def test_a_blind_method_takes_nothing_away() -> None:
    rng = np.random.default_rng(0)
    seeing = rng.normal(size=(4, 500))
    seeing[:, :5] += 8
    blind = rng.normal(size=(3, 500))
    blind[:, :5] -= 8
    found = consensus(_shares(np.concatenate([seeing, blind])))
    assert set(np.argsort(-found)[:5]) == set(range(5))


def test_silence_is_no_vote() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 50))
    scores[2, :] = np.nan
    np.testing.assert_array_equal(consensus(_shares(scores)), consensus(_shares(scores[:2])))
    scores[:, 7] = np.nan
    assert np.isnan(consensus(_shares(scores))[7])


def test_the_unit_is_bits() -> None:
    """First of 1,024 by every method: ten bits."""
    scores = np.tile(np.arange(1024.0), (4, 1))
    assert consensus(_shares(scores))[-1] == pytest.approx(10)
