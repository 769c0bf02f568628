"""True copies are accepted, look-alikes are not, and poses are what they claim to be.

Real photographs from scikit-image's package; thresholds were set on others.
"""

import random
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from skimage.metrics import structural_similarity

from cvdata.kernels import poses
from cvdata.kernels.likeness import compare
from cvdata.kernels.registration import View, coarse_poses, feature_poses
from cvdata.kernels.verification import VerifyOptions, verify
from tests.benchmarks.edits import EDITS

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "motorcycle")


@cache
def photo(name: str) -> Image.Image:
    if name == "motorcycle":
        return Image.fromarray(data.stereo_motorcycle()[0])
    return Image.fromarray(getattr(data, name)()).convert("RGB")


def thumb(image: Image.Image, side: int = 256) -> npt.NDArray[np.uint8]:
    gray = image.convert("L")
    gray.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(gray)


LIMIT = ("rocket", "text_bar")
"""A bar over a flat sky may be a drawing's own: turned down, though it is a copy."""


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", PHOTOS[:5])
def test_an_edited_copy_is_a_copy(name: str, edit: str) -> None:
    original = photo(name)
    edited = EDITS[edit](original, random.Random(7))
    verdict = verify(thumb(original), thumb(edited))
    assert verdict.is_copy == ((name, edit) != LIMIT), verdict


@pytest.mark.parametrize("i", range(len(PHOTOS)))
def test_different_photographs_are_not(i: int) -> None:
    for other in PHOTOS[i + 1 :]:
        verdict = verify(thumb(photo(PHOTOS[i])), thumb(photo(other)), VerifyOptions(features=True))
        assert not verdict.is_copy, (PHOTOS[i], other, verdict)


def test_two_views_of_one_scene_are_two_photographs() -> None:
    """A stereo pair: everything is there twice, at other places."""
    left, right, _ = data.stereo_motorcycle()
    verdict = verify(thumb(Image.fromarray(left)), thumb(Image.fromarray(right)))
    assert not verdict.is_copy, verdict


def form(value: str, photo_of: Image.Image | None = None) -> Image.Image:
    image = Image.new("RGB", (640, 420), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 640, 60), fill=(40, 70, 140))
    big, small = ImageFont.load_default(30), ImageFont.load_default(24)
    draw.text((20, 12), "REGISTRATION", fill="white", font=big)
    for row, label in enumerate(("Name", "Street", "City", "Amount")):
        draw.text((20, 90 + 70 * row), f"{label}:", fill="black", font=small)
        draw.rectangle((130, 85 + 70 * row, 400, 125 + 70 * row), outline="black", width=2)
    draw.text((140, 92), "JOHN SMITH", fill="black", font=small)
    draw.text((140, 302), value, fill="black", font=small)
    if photo_of is not None:
        image.paste(photo_of.resize((180, 200)), (430, 100))
    return image


@pytest.mark.parametrize("other", ["41.57", "97.20", "", "123456789"])
def test_a_form_filled_in_otherwise_is_another_form(other: str) -> None:
    verdict = verify(thumb(form("41.50")), thumb(form(other)))
    assert not verdict.is_copy, verdict


@pytest.mark.parametrize("edit", ["jpeg_q20", "resize_0.4", "mirror", "squeeze", "rotate_90"])
def test_a_form_edited_is_the_same_form(edit: str) -> None:
    image = form("41.50", photo("astronaut"))
    verdict = verify(thumb(image), thumb(EDITS[edit](image, random.Random(1))))
    assert verdict.is_copy, verdict


def test_a_card_with_another_face_is_another_card() -> None:
    one, two = (form("41.50", photo(name)) for name in ("astronaut", "chelsea"))
    assert not verify(thumb(one), thumb(two)).is_copy


def icon(color: str | None, x: int, y: int) -> Image.Image:
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((40, 40, 216, 216), fill=(60, 120, 200))
    draw.rectangle((110, 80, 146, 180), fill="white")
    if color is not None:
        draw.ellipse((x, y, x + 50, y + 50), fill=color)
    return image


@pytest.mark.parametrize("other", [icon(None, 0, 0), icon("red", 10, 10), icon("yellow", 190, 190)])
def test_an_icon_with_another_badge_is_another_icon(other: Image.Image) -> None:
    badge = thumb(icon("red", 190, 190))
    assert verify(badge, thumb(EDITS["jpeg_q20"](icon("red", 190, 190), random.Random(0)))).is_copy
    assert not verify(badge, thumb(other)).is_copy


@pytest.mark.parametrize("share", [0.05, 0.12, 0.25])
def test_a_photograph_with_a_foreign_patch_is_not_a_copy(share: float) -> None:
    original, other = photo("coffee"), photo("chelsea")
    changed = original.copy()
    size = round(original.width * share), round(original.height * share)
    changed.paste(other.resize(size), (original.width // 3, original.height // 3))
    assert not verify(thumb(original), thumb(changed)).is_copy


def test_blood_cell_fields_are_all_different(shared_data) -> None:  # type: ignore[no-untyped-def]
    files = sorted((shared_data / "bccd").rglob("*.jp*g"))[::16]
    views = [View(thumb(Image.open(file))) for file in files]
    pairs = [(i, (i + step) % len(views)) for i in range(len(views)) for step in (1, 3, 7)]
    wrong = [pair for pair in pairs if verify(views[pair[0]], views[pair[1]]).is_copy]
    assert not wrong


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_tiny_images(name: str) -> None:
    """32 × 32: shifted, recompressed and brightened copies; a different crop is another image."""
    original = photo(name).resize((36, 36), Image.Resampling.LANCZOS)
    inner = original.crop((2, 2, 34, 34))
    shifted = original.crop((0, 3, 32, 35))
    gray = np.asarray(inner.convert("L"))
    assert verify(gray, np.asarray(shifted.convert("L"))).is_copy
    for edit in ("mirror", "brightness_1.5", "rotate_90"):
        assert verify(gray, np.asarray(EDITS[edit](inner, random.Random(0)).convert("L"))).is_copy
    others = [photo(other).resize((32, 32)).convert("L") for other in PHOTOS if other != name]
    assert not any(verify(gray, np.asarray(other)).is_copy for other in others)


def test_flat_images_tell_nothing() -> None:
    flat = np.full((200, 256), 128, np.uint8)
    noise = np.random.default_rng(0).normal(128, 2, (200, 256)).astype(np.uint8)
    assert not verify(flat, flat).is_copy
    assert not verify(flat, noise).is_copy


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_any_shape_gets_a_verdict(h: int, w: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (h, w), dtype=np.uint8)
    other = rng.integers(0, 256, (w, h), dtype=np.uint8)
    verdict = verify(noise, other)
    assert np.isfinite([verdict.ncc, verdict.ssim, verdict.changed, verdict.region]).all()
    assert np.isfinite(verdict.transform).all()


@pytest.mark.parametrize("k", range(8))
def test_mirror_pose_undoes_mirrored(k: int) -> None:
    image = np.random.default_rng(k).random((16, 16)).astype(np.float32)
    turned = np.ascontiguousarray(poses.mirrored(image, k))
    back, covered = poses.laid_over(image, poses.mirror_pose(k))
    assert covered[1:-1, 1:-1].all()
    assert np.allclose(back[1:-1, 1:-1], turned[1:-1, 1:-1], atol=1e-4)


def test_pixel_maps_round_trip() -> None:
    pose = np.array([[0.9, 0.2, 0.1], [-0.3, 1.1, -0.2], [0, 0, 1]])
    assert np.allclose(poses.from_pixels(poses.to_pixels(pose, 37), 37), pose)


@pytest.mark.parametrize("edit", ["crop_0.6", "border_25", "rotate_10", "mirror", "rotate_90"])
def test_the_pose_found_is_the_pose_made(edit: str) -> None:
    """The pose takes pixels where they are the same: mean difference under it is small."""
    original = View(thumb(photo("astronaut")))
    edited = View(thumb(EDITS[edit](photo("astronaut"), random.Random(3))))
    verdict = verify(original, edited)
    warped, covered = poses.laid_over(edited.at(256), verdict.transform)
    error = np.abs(warped - original.at(256))[covered]
    assert covered.mean() > 0.3
    assert np.median(error) < 3


def test_features_find_what_scale_hides() -> None:
    """ORB and RANSAC: a pose with its inliers, and a verdict that counts them."""
    original = photo("astronaut")
    small = original.crop((120, 60, 340, 280)).rotate(25, Image.Resampling.BICUBIC)
    a, b = View(thumb(original)), View(thumb(small))
    n_inliers, pose = max(feature_poses(a, b), key=lambda found: found[0])
    assert n_inliers >= 20
    assert poses.agreement(a.at(64), b.at(64), pose) > 0.5 or not poses.is_plausible(pose)


def test_coarse_poses_rank_the_right_mirror_first() -> None:
    a = View(thumb(photo("coffee")))
    for k in range(8):
        b = View(np.ascontiguousarray(poses.mirrored(a.square, k)))
        _, pose = coarse_poses(a, b, 1)[0]
        assert np.abs(pose @ poses.mirror_pose(k) - np.eye(3)).max() < 0.1


def test_likeness_is_the_contrast_structure_term_of_ssim() -> None:
    """Where the means agree and no tone is fitted, SSIM with the same window and constant."""
    rng = np.random.default_rng(0)
    a = rng.normal(128, 40, (128, 128)).clip(5, 250).astype(np.float32)
    seen = compare(a, a, np.eye(3), 9)
    assert seen.ssim == pytest.approx(1)
    b = (0.7 * a + 0.3 * rng.normal(128, 40, a.shape)).astype(np.float32)
    b = (b - b.mean()) * (a.std() / b.std()) + a.mean()
    seen = compare(a, b, np.eye(3), 9)
    _, full = structural_similarity(
        seen.a, seen.b, win_size=9, data_range=255, full=True, use_sample_covariance=False,
        K1=1e3, K2=8 / 255,
    )  # fmt: skip
    inner = slice(16, -16)
    assert np.allclose(seen.likeness[inner, inner], full[inner, inner], atol=0.01)
