"""Counts of classes add up, whatever the pieces; they are those of one pass over all images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.evaluate import classification
from cvdata.evaluate.class_tally import ClassTally

N_CLASSES = 7


def made(seed: int, n: int, k: int) -> tuple[list[bytes], np.ndarray, np.ndarray, np.ndarray]:
    """Images with a truth and the best k classes, scores falling."""
    rng = np.random.default_rng(seed)
    odds = rng.dirichlet(np.full(N_CLASSES, 0.3), n).astype(np.float32)
    ids = np.argsort(-odds, axis=1, kind="stable")[:, :k].astype(np.int32)
    scores = np.take_along_axis(odds, ids.astype(int), axis=1)
    truth = np.where(rng.random(n) < 0.6, ids[:, 0], rng.integers(0, N_CLASSES, n))
    return [rng.bytes(16) for _ in range(n)], truth.astype(np.int32), ids, scores


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(2, 60),
    k=st.sampled_from([1, 5, 7]),
    cut=st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_pieces_in_any_order_are_one_pass(seed: int, n: int, k: int, cut: float) -> None:
    ids, truth, label_ids, scores = made(seed, n, k)
    whole = ClassTally.of(ids, truth, label_ids, scores, N_CLASSES)
    at = min(max(1, int(cut * n)), n - 1)
    parts = [
        ClassTally.of(ids[s], truth[s], label_ids[s], scores[s], N_CLASSES)
        for s in (slice(at, n), slice(0, at))
    ]
    both = parts[0] + parts[1]
    assert both.n == n
    assert both.mistakes == whole.mistakes
    assert both.hardest == whole.hardest
    for name, value in whole.summary().items():
        assert both.summary()[name] == pytest.approx(value, rel=1e-9), name
    for name, values in whole.by_class().items():
        np.testing.assert_array_equal(both.by_class()[name], values)


@given(seed=st.integers(0, 2**32), n=st.integers(1, 80), k=st.sampled_from([1, 5, 7]))
@settings(max_examples=40, deadline=None)
def test_a_tally_says_what_whole_arrays_say(seed: int, n: int, k: int) -> None:
    ids, truth, label_ids, scores = made(seed, n, k)
    ours = ClassTally.of(ids, truth, label_ids, scores, N_CLASSES)
    theirs = classification(truth, label_ids, scores, N_CLASSES)
    for name, value in theirs.summary().items():
        if name != "n" and value is not None:
            assert ours.summary()[name] == pytest.approx(value, rel=1e-9), name
    assert ("auroc" in ours.summary()) == (theirs.auroc is not None)
    assert sum(c for _, _, c in ours.confusions(100)) == n - int(np.trace(theirs.confusion))
    for t, p, count in ours.confusions(100):
        assert theirs.confusion[t, p] == count
    if ours.hardest:
        assert [h.truth_score for h in ours.hardest] == sorted(h.truth_score for h in ours.hardest)
