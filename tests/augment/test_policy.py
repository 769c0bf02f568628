"""Policies: written, ready, repeated from what was recorded."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.augment import Policy, Scene, Step, ready_names
from cvdata.errors import ConfigError
from cvdata.schema_augmented import AUGMENTED
from cvdata.storage import digest
from tests.augment.scenes import SIDES, a_scene, smooth

READY = pytest.mark.parametrize("name", ready_names())


def _fed(policy: Policy, size: tuple[int, int]) -> Scene:
    partners = tuple(
        Scene.of(smooth(25 + n, 44 - n, n), [[1, 2, 20, 20]], number=n)
        for n in range(1, policy.n_partners + 1)
    )
    return replace(a_scene(*size), partners=partners)


def test_the_ready_ones() -> None:
    assert ready_names() == (
        "light",
        "medium",
        "heavy",
        "randaugment",
        "trivialaugment",
        "augmix",
        "mixup",
        "cutmix",
        "mosaic",
    )


@READY
@settings(max_examples=4, deadline=None)
@given(size=SIDES, seed=st.integers(0, 2**62))
def test_a_record_is_enough_to_repeat_it(name: str, size: tuple[int, int], seed: int) -> None:
    policy = Policy.of(name)
    scene = _fed(policy, size)
    result, done = policy(scene, seed)
    again = policy.replay(scene, json.loads(json.dumps(done)))
    np.testing.assert_array_equal(result.pixels, again.pixels)
    np.testing.assert_array_equal(result.boxes, again.boxes)
    np.testing.assert_array_equal(result.visible, again.visible)
    assert result.shares == again.shares
    assert not result.partners


@READY
def test_seeds_differ(name: str) -> None:
    policy = Policy.of(name)
    scene = _fed(policy, (40, 56))
    made = {policy(scene, seed)[0].pixels.tobytes() for seed in range(12)}
    assert len(made) > 8


def test_a_step_takes_place_as_often_as_it_says() -> None:
    policy = Policy.of("own", [{"grayscale": {"p": 0.3}}, "brightness"])
    scene = a_scene(4, 4)
    n = sum(len(policy(scene, seed)[1]) == 2 for seed in range(1000))
    assert 240 < n < 360


def test_a_skipped_mixture_leaves_its_partner_to_none() -> None:
    policy = Policy.of("own", [{"cutmix": {"p": 0}}, "mixup"])
    scene = _fed(policy, (30, 30))
    for seed in range(10):
        result, done = policy(scene, seed)
        assert [step["operation"] for step in done] == ["mixup"]
        assert {number for number, _ in result.shares} <= {0, 2}


def test_what_is_in_the_fingerprint() -> None:
    first = Policy.of("a", ["rotate", {"hue": {"strength": 0.1}}])
    assert Policy.of("b", [{"rotate": {"degrees": 15.0}}, {"hue": {"strength": 0.1}}]).fingerprint
    assert first.fingerprint == Policy.of("b", ["rotate", {"hue": {"strength": 0.1}}]).fingerprint
    others = [
        ["rotate", {"hue": {"strength": 0.2}}],
        [{"hue": {"strength": 0.1}}, "rotate"],
        ["rotate", {"hue": {"strength": 0.1, "p": 0.5}}],
    ]
    assert len({Policy.of("a", o).fingerprint for o in others} | {first.fingerprint}) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"rotate": {}, "hue": {}}, "an operation is `name`"),
        ({"rotate": 5}, "the fields of rotate"),
        ({"rotate": {"degrees": "far"}}, "degrees is a number"),
        ({"autoaugment": {"policy": "mnist"}}, "imagenet, cifar10, svhn"),
        ("tests.augment.outside:Nothing", "cannot import"),
        ("tests.augment.scenes:smooth", "is not a dataclass"),
    ],
)
def test_what_cannot_be_says_why(written: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Step.parse(written)  # type: ignore[arg-type]


def test_what_is_persisted_is_pinned() -> None:
    """A ready policy that changes makes every copy anew; a schema that changes needs a version."""
    assert {n: Policy.of(n).fingerprint[:12] for n in ready_names()} == FINGERPRINTS
    assert digest(repr(list(AUGMENTED)).encode())[:12] == SCHEMA


FINGERPRINTS = {
    "light": "617aa5739cbc",
    "medium": "98b86a38fae0",
    "heavy": "c996b5b1da7c",
    "randaugment": "8d6d5b03078e",
    "trivialaugment": "866adbb07f15",
    "augmix": "399e02d2238e",
    "mixup": "12b023904d57",
    "cutmix": "401253f9b47e",
    "mosaic": "e499e6e5e8e2",
}
SCHEMA = "2dfc49d68ac6"
