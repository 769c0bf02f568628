"""Confident learning against cleanlab; laws of the posterior; boxes by hand."""

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.label_issues.boxes import Boxed, box_doubts, iou_matrix
from cvdata.label_issues.confident import (
    confident_class,
    confident_joint,
    doubt,
    is_contradicted,
    noise_rate,
    thresholds,
)
from cvdata.label_issues.evidence import estimated_rate, wrong_probability


def noisy(seed: int, n: int = 400, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities, labels) of a fair model of k classes, a tenth of the labels wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    scores = rng.normal(0, 1, (n, k))
    scores[np.arange(n), truth] += 3
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = np.where(rng.random(n) < 0.1, rng.integers(0, k, n), truth)
    labels[:k] = np.arange(k)
    return probabilities, labels


@pytest.mark.parametrize("seed", range(8))
def test_thresholds_joint_and_flags_are_cleanlabs(seed: int) -> None:
    probabilities, labels = noisy(seed)
    least = thresholds(probabilities, labels)
    assert np.allclose(least, get_confident_thresholds(labels, probabilities), atol=1e-12)
    joint = confident_joint(labels, confident_class(probabilities, least), probabilities.shape[1])
    theirs = compute_confident_joint(labels, probabilities, calibrate=False)
    assert (joint == theirs).all()
    flagged = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    assert (is_contradicted(probabilities, labels, least) == flagged).all()


def test_scores_are_cleanlabs_normalized_margin() -> None:
    probabilities, labels = noisy(11)
    theirs = get_label_quality_scores(labels, probabilities, method="normalized_margin")
    assert np.allclose(doubt(probabilities, labels).score, 1 - theirs, atol=1e-12)


def test_the_estimated_noise_is_near_the_planted() -> None:
    rates = []
    for seed in range(5):
        probabilities, labels = noisy(seed, n=3000)
        least = thresholds(probabilities, labels)
        joint = confident_joint(labels, confident_class(probabilities, least), 5)
        rates.append(noise_rate(joint, np.bincount(labels, minlength=5)))
    assert 0.05 < np.mean(rates) < 0.12, (
        rates
    )  # 8 % are wrong: a tenth, of which a fifth by luck right


@settings(max_examples=50, deadline=None)
@given(
    st.floats(1e-4, 0.5), st.integers(2, 2000), st.lists(st.floats(-30, 30), min_size=2, max_size=9)
)
def test_the_posterior_is_bayes_rule(rate: float, k: int, odds: list[float]) -> None:
    found = wrong_probability(np.array(odds), rate, k)
    likelihood = np.exp(odds) * rate / (k - 1)
    assert np.allclose(found, likelihood / (likelihood + 1 - rate), atol=1e-9)
    assert (np.diff(found[np.argsort(odds)]) >= 0).all()


def test_the_rate_is_found_from_the_scores_alone() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.02, 0.1, 0.3):
        wrong = rng.random(4000) < rate
        odds = np.where(wrong, rng.normal(9, 2, 4000), rng.normal(-3, 2, 4000))
        assert estimated_rate(odds, 10) == pytest.approx(rate, rel=0.25)


def boxed(*rows: tuple[str, float, float, float, float, float]) -> Boxed:
    xyxy = np.array([r[1:5] for r in rows], np.float64).reshape(-1, 4)
    return Boxed(tuple(r[0] for r in rows), xyxy, np.array([r[5] for r in rows], np.float64))


def test_boxes_that_agree_are_not_doubted() -> None:
    given_boxes = boxed(("cat", 0, 0, 10, 10, 1), ("dog", 20, 20, 40, 40, 1))
    found = boxed(("Cat", 0, 0, 10, 10, 0.9), ("dog", 21, 20, 40, 40, 0.8))
    assert box_doubts(given_boxes, found, ["cat", "dog"]) == []


def test_an_object_without_a_box_is_overlooked_if_its_class_is_annotated() -> None:
    given_boxes = boxed(("cat", 0, 0, 10, 10, 1))
    found = boxed(("dog", 30, 30, 50, 50, 0.9), ("cat", 0, 0, 10, 10, 0.9))
    (one,) = box_doubts(given_boxes, found, ["cat", "dog"])
    assert (one.method, one.score, one.suggested, one.label) == ("overlooked", 0.9, "dog", None)
    assert box_doubts(given_boxes, found, ["cat"]) == []


def test_a_box_beside_its_object_is_badly_placed() -> None:
    given_boxes = boxed(("cat", 0, 0, 10, 10, 1))
    found = boxed(("cat", 5, 0, 15, 10, 0.9))
    doubts = {d.method: d for d in box_doubts(given_boxes, found, ["cat"])}
    assert doubts["badly_placed"].score == pytest.approx(0.9 * (1 - 1 / 3))
    assert doubts["badly_placed"].facts["at"] == [5, 0, 15, 10]


def test_another_class_in_the_same_place_is_swapped() -> None:
    given_boxes = boxed(("cat", 0, 0, 10, 10, 1))
    (one,) = box_doubts(given_boxes, boxed(("dog", 0, 0, 10, 10, 0.8)), ["cat", "dog"])
    assert (one.method, one.label, one.suggested) == ("swapped", "cat", "dog")
    assert one.score == pytest.approx(0.8)
    both = boxed(("dog", 0, 0, 10, 10, 0.6), ("cat", 0, 0, 10, 10, 0.7))
    assert box_doubts(given_boxes, both, ["cat", "dog"]) == []


def test_no_boxes_and_no_findings() -> None:
    none = boxed()
    assert box_doubts(none, none, ["cat"]) == []
    assert box_doubts(boxed(("cat", 0, 0, 5, 5, 1)), none, ["cat"]) == []
    assert iou_matrix(none.xyxy, none.xyxy).shape == (0, 0)
