"""Laws of every augmentation, over the tuple: determinism, shape, identity, boxes and masks."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.augment import AUGMENTATIONS, KINDS, Operation, Scene, build
from cvdata.augment.randomness import stream
from tests.augment.scenes import ODD_SIZES, SIDES, a_scene, at_zero, noisy, with_partners

ALL = pytest.mark.parametrize("kind", AUGMENTATIONS, ids=lambda k: k.name)


def brings_colours(kind: type[Operation]) -> bool:
    """Noise, other images, and a patch of any colour: grey does not stay grey."""
    return kind.kind in ("noise", "mixing") or kind.name == "random_erasing"


AFFINE = (
    "rotate", "translate", "scale", "shear", "horizontal_flip", "vertical_flip", "crop",
    "resized_crop",
)  # fmt: skip
KEEPS_SIZE = {"crop"}


def _same(a: Scene, b: Scene) -> None:
    np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.visible, b.visible)
    np.testing.assert_array_equal(a.keypoints, b.keypoints)
    assert (a.masks is None) == (b.masks is None)
    if a.masks is not None and b.masks is not None:
        np.testing.assert_array_equal(a.masks, b.masks)
    assert a.shares == b.shares


def _run(operation: Operation, scene: Scene, seed: int) -> Scene:
    params = operation.draw(stream(seed, 0), scene)
    assert json.loads(json.dumps(params, allow_nan=False)) == params, "params are JSON"
    return operation.apply(scene, params)


def _check(scene: Scene, before: Scene) -> None:
    """What holds of every result."""
    assert scene.pixels.dtype == np.uint8
    assert scene.pixels.ndim == 3
    assert scene.pixels.shape[2] == 3
    assert scene.boxes.dtype == np.float32
    assert len(scene.boxes) == len(scene.visible) == len(scene.box_origins)
    assert len(scene.keypoints) == len(scene.keypoint_origins)
    assert np.isfinite(scene.boxes).all()
    assert np.isfinite(scene.keypoints).all()
    limits = [scene.width, scene.height, scene.width, scene.height]
    assert (scene.boxes >= 0).all()
    assert (scene.boxes <= limits).all()
    assert (scene.boxes[:, 2:] >= scene.boxes[:, :2]).all()
    assert ((scene.visible >= 0) & (scene.visible <= 1)).all()
    if before.masks is not None:
        assert scene.masks is not None
        assert scene.masks.shape[1:] == scene.pixels.shape[:2]
        assert scene.masks.dtype == np.uint8
    assert sum(share for _, share in scene.shares) == pytest.approx(1)
    assert not scene.partners


@ALL
def test_what_an_operation_says_of_itself(kind: type[Operation]) -> None:
    operation = build(kind.name)
    assert isinstance(operation, Operation)
    assert operation.kind in KINDS
    assert kind.__doc__
    assert set(kind.zero) <= {f.name for f in fields(operation)}  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        operation.name = "other"  # type: ignore[misc]


def test_names_are_distinct() -> None:
    assert len({k.name for k in AUGMENTATIONS}) == len(AUGMENTATIONS) == 33


@ALL
@settings(max_examples=5, deadline=None)
@given(size=SIDES, seed=st.integers(0, 2**40), is_gray=st.booleans())
def test_seeded_shaped_and_followed(
    kind: type[Operation], size: tuple[int, int], seed: int, is_gray: bool
) -> None:
    operation = build(kind.name)
    scene = with_partners(a_scene(*size, seed=seed % 97, is_gray=is_gray), operation)
    untouched = scene.pixels.copy()
    result = _run(operation, scene, seed)
    _check(result, scene)
    np.testing.assert_array_equal(scene.pixels, untouched, "the input is not written to")
    _same(result, _run(operation, scene, seed))
    if kind.name not in KEEPS_SIZE:
        assert result.pixels.shape == scene.pixels.shape


@ALL
@settings(max_examples=5, deadline=None)
@given(size=SIDES, seed=st.integers(0, 2**40))
def test_nothing_at_zero_strength(kind: type[Operation], size: tuple[int, int], seed: int) -> None:
    operation = at_zero(kind)
    scene = with_partners(replace(a_scene(*size), pixels=noisy(*size)), operation)
    _same(_run(operation, scene, seed), scene)


@ALL
def test_something_at_full_strength(kind: type[Operation]) -> None:
    """The law of zero strength would hold of an operation that never does anything."""
    operation = build(kind.name)
    scene = with_partners(a_scene(48, 64), operation)
    found = [_run(operation, scene, seed).pixels for seed in range(12)]
    assert any(not np.array_equal(f, scene.pixels) for f in found)
    assert len({f.tobytes() for f in found}) > 1 or kind.name in ("equalize", "clahe", "grayscale")


@ALL
@pytest.mark.parametrize("size", ODD_SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_odd_sizes(kind: type[Operation], size: tuple[int, int]) -> None:
    operation = build(kind.name)
    for seed in range(2):
        scene = with_partners(a_scene(*size, is_gray=seed == 1), operation)
        _check(_run(operation, scene, seed), scene)


@ALL
def test_an_image_without_annotations(kind: type[Operation]) -> None:
    operation = build(kind.name)
    partners = with_partners(a_scene(5, 5), operation).partners
    bare = tuple(Scene.of(p.pixels, number=n) for n, p in enumerate(partners, 1))
    scene = replace(Scene.of(noisy(24, 33)), partners=bare)
    result = _run(operation, scene, 3)
    _check(result, scene)
    assert result.masks is None
    assert not len(result.boxes)


@pytest.mark.parametrize(
    "kind", [k for k in AUGMENTATIONS if not brings_colours(k)], ids=lambda k: k.name
)
def test_grey_stays_grey(kind: type[Operation]) -> None:
    operation = build(kind.name)
    for seed in range(5):
        pixels = _run(operation, a_scene(40, 56, is_gray=True), seed).pixels.astype(int)
        assert np.ptp(pixels, axis=2).max() <= 1


@pytest.mark.parametrize("name", AFFINE)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    size=st.tuples(st.integers(24, 90), st.integers(24, 90)),
    place=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
)
def test_a_mask_and_its_box_move_together(
    name: str, seed: int, size: tuple[int, int], place: tuple[float, float]
) -> None:
    """The box around a moved rectangle of mask is the moved box, within one pixel."""
    height, width = size
    left, top = int(place[0] * width), int(place[1] * height)
    right, bottom = left + width // 2, top + height // 2
    mask = np.zeros((1, height, width), np.uint8)
    mask[0, top:bottom, left:right] = 1
    scene = Scene.of(noisy(height, width), [[left, top, right, bottom]], mask)
    result = _run(build(name), scene, seed)
    assert result.masks is not None
    rows, columns = np.nonzero(result.masks[0])
    if result.visible[0] < 0.05:
        return
    around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # A cut shape's own extent can be less than that of its cut box: only corners that turned
    # leave the box; a straight one is cut as its mask is.
    slack = 1.0 if _is_whole(name, scene, result) else None
    if slack is not None:
        np.testing.assert_allclose(around, result.boxes[0], atol=slack)
    else:
        assert (np.array(around[:2]) >= result.boxes[0, :2] - 1).all()
        assert (np.array(around[2:]) <= result.boxes[0, 2:] + 1).all()


def _is_whole(name: str, scene: Scene, result: Scene) -> bool:
    return name not in ("rotate", "shear") or result.visible[0] == 1
