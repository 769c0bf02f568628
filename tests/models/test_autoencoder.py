"""The autoencoder: repeats to the bit, and what it has not seen it gives back worse."""

import time

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from cvdata.errors import ConfigError
from cvdata.models.autoencoder import ERRORS, Training, errors, train
from cvdata.stages.reconstruct import COLUMNS, SIDE, two_views

SHORT = Training(steps=60, batch=16, width=8)


def views(n: int, seed: int) -> np.ndarray:
    """Smooth waves of a few directions and colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:128]
    made = []
    for _ in range(n):
        angle, phase = rng.uniform(0, 3.2), rng.uniform(0, 6)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) / 12 + phase)
        rgb = 128 + 90 * wave[..., None] * rng.uniform(0.3, 1, 3)
        made.append(two_views(rgb.astype(np.uint8)))
    return np.stack(made)


@pytest.fixture(scope="module")
def weights() -> bytes:
    return train(views(60, 0), SHORT)


def test_training_repeats_to_the_bit(weights: bytes) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(int(time.time()))
    torch.set_num_threads(2)
    try:
        assert train(views(60, 0), SHORT) == weights
        assert torch.get_num_threads() == 2, "what was set stays set"
    finally:
        torch.set_num_threads(threads)
    assert train(views(60, 0), Training(60, 16, 8, seed=1)) != weights


def test_errors_do_not_hang_on_the_batch(weights: bytes) -> None:
    some = views(70, 3)
    together = errors(weights, some)
    assert together.shape == (70, len(ERRORS))
    assert (together >= 0).all()
    np.testing.assert_allclose(together[:5], errors(weights, some[:5]), rtol=1e-5)
    assert COLUMNS == ERRORS


def test_noise_is_not_given_back(weights: bytes) -> None:
    known = views(60, 1)
    noise = np.random.default_rng(0).normal(0, 40, known.shape)
    noisy = np.clip(known + noise, 0, 255).astype(np.uint8)
    at = ERRORS.index("detail_luma_quiet")
    a, b = errors(weights, known)[:, at], errors(weights, noisy)[:, at]
    assert roc_auc_score([0] * 60 + [1] * 60, np.append(a, b)) > 0.95


def test_two_views_of_any_shape() -> None:
    for shape in ((1, 1), (3, 500), (64, 64), (1000, 20), (300, 400)):
        rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        found = two_views(rgb)
        assert found.shape == (2, SIDE, SIDE, 3)
        assert found.dtype == np.uint8
    middle = two_views(np.arange(300 * 400 * 3).reshape(300, 400, 3).astype(np.uint8))[1]
    whole = np.arange(300 * 400 * 3).reshape(300, 400, 3).astype(np.uint8)
    np.testing.assert_array_equal(middle, whole[118:182, 168:232])


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ConfigError, match="needs images"):
        train(np.empty((0, 2, SIDE, SIDE, 3), np.uint8), SHORT)
