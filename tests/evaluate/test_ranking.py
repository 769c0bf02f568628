"""Retrieval against scikit-learn and loops; verification against a brute-force threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from cvdata.errors import ConfigError
from cvdata.evaluate import pairs, ranking, retrieval, verification


def made(n: int, seed: int, n_classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    vectors = rng.normal(size=(n_classes, 16))[labels] + rng.normal(0, 1.5, (n, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("block", [7, 1024])
def test_retrieval_equals_a_loop(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_BLOCK", block)
    vectors, labels = made(80, 1)
    labels[0] = 99  # alone: no query
    ours = retrieval(vectors, labels, ks=(1, 5, 200))
    precision, at_5, recall = [], [], []
    for q in range(1, 80):
        others = np.delete(np.arange(80), q)
        scores = vectors[others] @ vectors[q]
        same = labels[others] == labels[q]
        precision.append(average_precision_score(same, scores))
        first = same[np.argsort(-scores, kind="stable")[:5]]
        at_5.append(first.mean())
        recall.append(first.sum() / same.sum())
    assert ours.n_queries == 79
    assert ours.map == pytest.approx(np.mean(precision), abs=1e-6)
    assert ours.precision[5] == pytest.approx(np.mean(at_5))
    assert ours.recall[5] == pytest.approx(np.mean(recall))
    assert ours.recall[200] == pytest.approx(1)


def test_retrieval_needs_two_alike() -> None:
    vectors, _ = made(4, 0)
    with pytest.raises(ConfigError, match="no two images"):
        retrieval(vectors, np.arange(4))


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.floats(0, 2))
def test_equal_error_rate_is_where_both_errors_meet(n: int, seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    is_same = np.arange(n) % 2 == 0
    scores = rng.normal(size=n) + shift * is_same
    ours = verification(scores, is_same)
    assert ours.auc == pytest.approx(roc_auc_score(is_same, scores))
    errors = [
        ((scores[~is_same] >= t).mean(), (scores[is_same] < t).mean())
        for t in [np.inf, *np.sort(scores)[::-1]]
    ]
    # Stepping the threshold down, the two rates cross within one step: bounds of the crossing.
    worst = min(max(a, r) for a, r in errors)
    best = max(min(a, r) for a, r in errors)
    assert best - 1e-9 <= ours.eer <= worst + 1e-9


def test_equal_error_rate_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.35, 0.3, 0.2, 0.1, 0.05])
    is_same = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], bool)
    ours = verification(scores, is_same)
    assert ours.eer == pytest.approx(0.2)
    assert ours.true_accept_at(0) == pytest.approx(0.6)
    assert ours.true_accept_at(0.2) == pytest.approx(1)
    perfect = verification(np.array([1.0, 0.0]), np.array([True, False]))
    assert (perfect.auc, perfect.eer) == (1, 0)


def test_pairs_are_what_they_say() -> None:
    vectors, labels = made(60, 4)
    scores, is_same = pairs(vectors, labels, 50, seed=3)
    assert is_same.sum() == 50
    assert len(scores) == 100
    again = pairs(vectors, labels, 50, seed=3)
    np.testing.assert_array_equal(scores, again[0])
    everything = vectors @ vectors.T
    same = everything[labels[:, None] == labels]
    assert all(np.isclose(same, s, atol=1e-6).any() for s in scores[is_same])
    assert verification(scores, is_same).auc > 0.5
    with pytest.raises(ConfigError, match="two labels"):
        pairs(vectors, np.zeros(60, int), 5)
    with pytest.raises(ConfigError, match="that are not"):
        verification(np.ones(3), np.ones(3, bool))
