"""SMOTE: what imbalanced-learn makes, between images of one class, on the unit sphere."""

import numpy as np
import pytest

from cvdata.balance.smote import smote
from cvdata.errors import ConfigError


def data() -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(2)
    points = np.concatenate(
        [np.eye(6)[0] + 0.1 * rng.random((12, 6)), np.eye(6)[3] + 0.1 * rng.random((4, 6))]
    ).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, ["many"] * 12 + ["few"] * 4


def test_it_is_what_imbalanced_learn_makes_of_all_classes() -> None:
    from imblearn.over_sampling import SMOTE

    points, labels = data()
    made, names = smote(points, labels, {"many": 12, "few": 12}, seed=7)
    assert names == ["few"] * 8
    expected, _ = SMOTE(k_neighbors=3, random_state=7).fit_resample(points, labels)
    fresh = expected[16:]
    fresh = fresh / np.linalg.norm(fresh, axis=1, keepdims=True)
    assert np.allclose(made, fresh, atol=1e-6)


def test_new_vectors_lie_between_two_of_their_class() -> None:
    points, labels = data()
    made, _ = smote(points, labels, {"few": 10})
    few = points[12:].astype(np.float64)
    for vector in made.astype(np.float64):
        best = min(
            np.linalg.norm(vector - (a + t * (b - a)) / np.linalg.norm(a + t * (b - a)))
            for a in few
            for b in few
            for t in np.linspace(0, 1, 401)
        )
        assert best < 1e-3
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)


def test_two_images_are_enough_and_one_is_not() -> None:
    points, labels = data()
    made, _ = smote(points[:14], labels[:14], {"few": 6})
    assert made.shape == (4, 6)
    with pytest.raises(ConfigError, match="'few' has 1 images and needs 2"):
        smote(points[:13], labels[:13], {"few": 6})
    made, names = smote(points, labels, {"many": 5})
    assert (made.shape, names) == ((0, 6), [])
