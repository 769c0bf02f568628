"""torchvision as the oracle: the same strengths give the same pixels and boxes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F  # noqa: N812

from cvdata.augment import Scene, build
from cvdata.augment.published import GEOMETRIC, POLICIES, applied
from cvdata.augment.randomness import stream
from cvdata.augment.tensors import seeded
from cvdata.augment.warping import Paint
from tests.augment.scenes import a_scene, smooth, with_partners

BILINEAR = F.InterpolationMode.BILINEAR


def _image(scene: Scene) -> Any:
    return tv_tensors.Image(torch.from_numpy(scene.pixels.transpose(2, 0, 1).copy()))


def _boxes(scene: Scene) -> Any:
    size = (scene.height, scene.width)
    return tv_tensors.BoundingBoxes(
        torch.from_numpy(scene.boxes.copy()), format="XYXY", canvas_size=size
    )


def _pixels(image: Any) -> Any:
    return image.numpy().transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("name", "params", "function", "arguments"),
    [
        ("rotate", {"angle": 13.0}, F.rotate, {"angle": -13.0}),
        ("horizontal_flip", {"is_flipped": True}, F.horizontal_flip, {}),
        ("vertical_flip", {"is_flipped": True}, F.vertical_flip, {}),
        ("crop", {"top": 3, "left": 5, "height": 20, "width": 31}, F.crop, None),
        ("shear", {"x": 8.0, "y": -3.0}, F.affine, {"angle": 0, "shear": [8.0, -3.0]}),
        ("scale", {"scale": 1.2}, F.affine, {"angle": 0, "scale": 1.2}),
        ("translate", {"x": 4, "y": -6}, F.affine, {"angle": 0, "translate": [4, -6]}),
    ],
)
def test_geometry(
    name: str, params: dict[str, Any], function: Any, arguments: dict[str, Any] | None
) -> None:
    scene = a_scene(40, 56, seed=3)
    result = build(name).apply(scene, params)
    how = dict(params) if arguments is None else dict(arguments)
    if function is F.affine:
        how = {"translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | how
    painted = how | ({"interpolation": BILINEAR, "fill": 0.0} if "angle" in how else {})
    if name == "translate":
        painted |= {"interpolation": F.InterpolationMode.NEAREST}
    np.testing.assert_array_equal(result.pixels, _pixels(function(_image(scene), **painted)))
    boxes = F.clamp_bounding_boxes(function(_boxes(scene), **how), clamping_mode="hard")
    kept = result.visible > 0
    np.testing.assert_allclose(result.boxes[kept], boxes.numpy()[kept], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "params", "function", "argument"),
    [
        ("brightness", {"factor": 1.3}, F.adjust_brightness, 1.3),
        ("contrast", {"factor": 0.6}, F.adjust_contrast, 0.6),
        ("saturation", {"factor": 1.7}, F.adjust_saturation, 1.7),
        ("hue", {"turn": -0.2}, F.adjust_hue, -0.2),
        ("equalize", {"strength": 1.0}, F.equalize, None),
    ],
)
def test_colour(name: str, params: dict[str, Any], function: Any, argument: float | None) -> None:
    scene = a_scene(40, 56, seed=3)
    arguments = () if argument is None else (argument,)
    expected = _pixels(function(_image(scene), *arguments))
    np.testing.assert_array_equal(build(name).apply(scene, params).pixels, expected)


def test_noise_and_blur() -> None:
    scene = a_scene(40, 56, seed=3)
    blurred = build("gaussian_blur").apply(scene, {"sigma": 1.5})
    # Three sigma either way, rounded: 4 pixels each.
    np.testing.assert_array_equal(blurred.pixels, _pixels(F.gaussian_blur(_image(scene), 9, 1.5)))
    noisy = build("gaussian_noise").apply(scene, {"sigma": 0.1, "seed": 5})
    with seeded(5):
        expected = F.gaussian_noise(_image(scene), sigma=0.1)
    np.testing.assert_array_equal(noisy.pixels, _pixels(expected))


def test_noise_leaves_the_generator_of_others_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    build("gaussian_noise").apply(a_scene(9, 9), {"sigma": 0.1, "seed": 5})
    assert torch.equal(torch.rand(4), expected)


NAMES = sorted(v2.RandAugment._AUGMENTATION_SPACE | v2.AutoAugment._AUGMENTATION_SPACE)


@pytest.mark.parametrize("name", NAMES)
def test_each_operation_of_a_published_policy(name: str) -> None:
    scene = a_scene(40, 56, seed=5)
    theirs = v2.RandAugment(interpolation=BILINEAR, fill=0)
    strengths = [4.0] if name == "Posterize" else [0.3, 0.7]
    for strength in strengths:
        value = 12.7 * strength if name.startswith(("Translate", "Rotate")) else strength
        mine = applied(scene, name, value, Paint())
        expected = theirs._apply_image_or_video_transform(
            _image(scene), name, value, interpolation=BILINEAR, fill=theirs._fill
        )
        np.testing.assert_array_equal(mine.pixels, _pixels(expected))
        assert (name in GEOMETRIC) == (not np.array_equal(mine.boxes, scene.boxes))


def test_strengths_are_those_that_torchvision_would_draw() -> None:
    scene = a_scene(40, 56)
    space = v2.RandAugment._AUGMENTATION_SPACE
    for seed in range(60):
        drawn = build("randaugment", {"n": 3, "magnitude": 12}).draw(stream(seed, 0), scene)
        assert len(drawn["operations"]) == 3
        for name, strength in drawn["operations"]:
            values, is_signed = space[name]
            table = values(31, 40, 56)
            expected = 0.0 if table is None else float(table[12])
            assert abs(strength) == pytest.approx(expected)
            assert is_signed or strength == expected
    assert {name for name, _ in drawn["operations"]} <= set(space)


@pytest.mark.parametrize("policy", POLICIES)
def test_pairs_are_those_of_autoaugment(policy: str) -> None:
    scene = a_scene(40, 56)
    pairs = v2.AutoAugment(v2.AutoAugmentPolicy(policy))._policies
    known = {tuple(name for name, _, _ in pair) for pair in pairs}
    operation = build("autoaugment", {"policy": policy})
    seen = set()
    for seed in range(300):
        names = tuple(n for n, _ in operation.draw(stream(seed, 0), scene)["operations"])
        assert not names or any(_is_within(names, pair) for pair in known)
        seen.add(names)
    assert len(seen) > 10


def _is_within(names: tuple[str, ...], pair: tuple[str, ...]) -> bool:
    return names == pair or (len(names) == 1 and names[0] in pair)


def test_cutmix_pastes_where_torchvision_does() -> None:
    scene = with_partners(Scene.of(smooth(40, 56)), build("cutmix"))
    partner = replace(scene.partners[0], boxes=scene.boxes)
    same = Scene.of(smooth(40, 56, 9), number=1)
    scene = replace(scene, partners=(same,))
    result = build("cutmix").apply(scene, {"rectangle": [10, 5, 40, 30]})
    batch = torch.stack([_image(scene), _image(same)])
    theirs = v2.CutMix(num_classes=2)
    params = {"box": (10, 5, 40, 30), "labels": None, "batch_size": 2}
    expected = theirs.transform(batch, params)[0]
    np.testing.assert_array_equal(result.pixels, _pixels(expected))
    assert dict(result.shares)[1] == pytest.approx(30 * 25 / (40 * 56))
    assert partner.pixels.shape != scene.pixels.shape


def test_mixup_is_the_weighted_mean() -> None:
    scene, same = Scene.of(smooth(40, 56)), Scene.of(smooth(40, 56, 9), number=1)
    scene = replace(scene, partners=(same,))
    result = build("mixup").apply(scene, {"weight": 0.7})
    batch = torch.stack([_image(scene), _image(same)]).float()
    theirs = v2.MixUp(num_classes=2)
    params = {"lam": 0.7, "labels": None, "batch_size": 2}
    expected = _pixels(theirs.transform(batch, params)[0])
    assert np.abs(result.pixels - expected).max() <= 0.5 + 1e-3
    assert dict(result.shares) == pytest.approx({0: 0.7, 1: 0.3})
