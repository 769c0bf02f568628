"""IoU, Dice and pixel accuracy against scikit-learn, on real masks too."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from cvdata.errors import ConfigError
from cvdata.evaluate import overlap, segmentation, segmentation_confusion
from cvdata.models.restoring import decode_mask, encode_mask


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_overlap_equals_scikit_learn(height: int, width: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    truth, found = rng.random((2, height, width)) < share
    ours = overlap(truth, found)
    if truth.any() or found.any():
        assert ours.iou == pytest.approx(
            jaccard_score(truth.ravel(), found.ravel(), zero_division=0)
        )
        assert ours.dice == pytest.approx(f1_score(truth.ravel(), found.ravel(), zero_division=0))
    else:
        assert ours.iou == ours.dice == 1
    assert ours.pixel_accuracy == pytest.approx(accuracy_score(truth.ravel(), found.ravel()))


def test_overlap_of_real_masks(shared_data: Path) -> None:
    """A person's mask against itself moved: by a loop over pixels, and through its encoding."""
    files = sorted((shared_data / "person_masks").rglob("*.png"))[:12]
    assert len(files) == 12
    for path in files:
        truth = np.asarray(Image.open(path).convert("L")) > 127
        found = decode_mask(encode_mask(np.roll(truth, 9, axis=1)))
        np.testing.assert_array_equal(found, np.roll(truth, 9, axis=1))
        both = sum(int((a & b).sum()) for a, b in zip(truth, found, strict=True))
        either = sum(int((a | b).sum()) for a, b in zip(truth, found, strict=True))
        ours = overlap(truth, found)
        assert ours.iou == pytest.approx(both / either)
        assert ours.dice == pytest.approx(2 * both / (truth.sum() + found.sum()))
        assert ours.dice == pytest.approx(2 * ours.iou / (1 + ours.iou))
        assert 0 < ours.iou < 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_label_maps_equal_scikit_learn(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_classes, (4, 20, 30))
    found = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, n_classes, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    confusion = sum(
        segmentation_confusion(t, f, n_classes) for t, f in zip(truth, found, strict=True)
    )
    ours = segmentation(confusion)
    known = truth != 255
    every = list(range(n_classes))
    np.testing.assert_allclose(
        ours.iou, jaccard_score(truth[known], found[known], labels=every, average=None)
    )
    np.testing.assert_allclose(
        ours.dice, f1_score(truth[known], found[known], labels=every, average=None)
    )
    assert ours.pixel_accuracy == pytest.approx(accuracy_score(truth[known], found[known]))
    assert ours.mean_iou == pytest.approx(ours.iou.mean())


def test_a_class_that_never_occurs_is_left_out_of_the_mean() -> None:
    ours = segmentation(segmentation_confusion(np.zeros((2, 2), int), np.zeros((2, 2), int), 3))
    assert ours.iou[0] == 1
    assert np.isnan(ours.iou[1:]).all()
    assert ours.mean_iou == ours.mean_dice == 1


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="different sizes"):
        overlap(np.zeros((2, 2), bool), np.zeros((2, 3), bool))
    with pytest.raises(ConfigError, match="beyond 1"):
        segmentation_confusion(np.zeros((1, 1), int), np.full((1, 1), 2), 2)
