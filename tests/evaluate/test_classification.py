"""Classification metrics against scikit-learn and NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from cvdata.errors import ConfigError
from cvdata.evaluate import classification, confusion_pairs, hardest

N_CLASSES = 6


def made(n: int, seed: int, k: int = N_CLASSES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, ids and scores, best first; the truth is likelier than the rest."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, N_CLASSES, n)
    full = rng.dirichlet(np.ones(N_CLASSES), n)
    full[np.arange(n), truth] += rng.random(n)
    full /= full.sum(axis=1, keepdims=True)
    ids = np.argsort(-full, axis=1)[:, :k]
    return truth, ids, np.take_along_axis(full, ids, axis=1)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 200), st.integers(0, 2**32 - 1))
def test_equals_scikit_learn(n: int, seed: int) -> None:
    truth, ids, scores = made(n, seed)
    ours = classification(truth, ids, scores, N_CLASSES)
    best = ids[:, 0]
    every = list(range(N_CLASSES))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, best, labels=every, zero_division=0
    )
    np.testing.assert_allclose(ours.precision, precision)
    np.testing.assert_allclose(ours.recall, recall)
    np.testing.assert_allclose(ours.f1, f1)
    np.testing.assert_array_equal(ours.support, support)
    np.testing.assert_array_equal(
        ours.confusion, metrics.confusion_matrix(truth, best, labels=every)
    )
    assert ours.accuracy == pytest.approx(metrics.accuracy_score(truth, best))
    full = np.empty((n, N_CLASSES))
    np.put_along_axis(full, ids, scores, axis=1)
    top5 = metrics.top_k_accuracy_score(truth, full, k=5, labels=every)
    assert ours.top_k[5] == pytest.approx(top5)
    macro = metrics.precision_recall_fscore_support(truth, best, average="macro", zero_division=0)
    found = (ours.macro_precision, ours.macro_recall, ours.macro_f1)
    np.testing.assert_allclose(found, macro[:3])


def test_auroc_is_the_chance_that_a_hit_outscores_a_miss() -> None:
    truth, ids, scores = made(150, 3)
    full = np.empty((150, N_CLASSES))
    np.put_along_axis(full, ids, scores, axis=1)
    areas = []
    for c in range(N_CLASSES):
        gap = full[truth == c, c][:, None] - full[truth != c, c][None]
        areas.append(np.mean((gap > 0) + 0.5 * (gap == 0)))
    found = classification(truth, ids, scores, N_CLASSES).auroc
    assert found == pytest.approx(np.mean(areas))
    assert classification(truth, ids[:, :5], scores[:, :5], N_CLASSES).auroc is None


def test_calibration_error_by_hand() -> None:
    # Two of four right at 0.9, all of two right at 0.7: bins of a tenth.
    truth = np.array([0, 0, 0, 0, 1, 1])
    ids = np.array([[0], [0], [1], [1], [1], [1]])
    scores = np.array([[0.9], [0.9], [0.9], [0.9], [0.7], [0.7]])
    found = classification(truth, ids, scores, 2)
    assert found.ece == pytest.approx((4 * 0.4 + 2 * 0.3) / 6)
    assert found.calibration.n.sum() == 6
    assert classification(truth, truth[:, None], np.ones((6, 1)), 2).ece == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 100), st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_calibration_bins_hold_what_a_loop_puts_there(n: int, seed: int, n_bins: int) -> None:
    rng = np.random.default_rng(seed)
    score, right = rng.choice(np.linspace(0, 1, 21), n), rng.random(n) < 0.5
    found = classification(
        right.astype(int), np.ones((n, 1), int), score[:, None], 2, n_bins
    ).calibration
    total = 0.0
    for low, high, count in zip(found.low, found.high, found.n, strict=True):
        inside = (score > low) & (score <= high) | (low == 0) & (score == 0)
        assert count == inside.sum()
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - score[inside].mean())
    assert found.error == pytest.approx(total)


def test_hardest_images_and_confused_pairs() -> None:
    truth = np.array([0, 1, 1, 2, 1])
    ids = np.array([[0, 1], [0, 1], [0, 2], [2, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.1], [0.7, 0.3], [0.7, 0.2]])
    rows, of_truth = hardest(truth, ids, scores, 3)
    assert rows.tolist() == [2, 4, 1]
    np.testing.assert_allclose(of_truth, [0, 0.2, 0.4])
    confusion = classification(truth, ids, scores, 3).confusion
    assert confusion_pairs(confusion, ["cat", "dog", "owl"], 5) == [
        {"truth": "dog", "predicted": "cat", "n": 3, "rate": 1.0}
    ]


@pytest.mark.parametrize(
    ("truth", "ids"), [([], np.zeros((0, 1), int)), ([3], [[0]]), ([0], [[7]]), ([0, 1], [[0]])]
)
def test_what_does_not_fit_is_refused(truth: list[int], ids: list[list[int]]) -> None:
    ids_array = np.array(ids)
    with pytest.raises(ConfigError):
        classification(np.array(truth, int), ids_array, np.zeros(ids_array.shape), 3)
