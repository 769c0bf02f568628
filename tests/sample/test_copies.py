"""Copies are copies, tiles are not: checked with hashlib, imagehash and OpenCV."""

import hashlib
import io
from collections import defaultdict
from itertools import combinations

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from cvdata.image import open_image
from cvdata.sample.edits import EDITS, SAME_PIXELS
from tests.sample.conftest import Made

RESAVED = {edit.name for edit in SAME_PIXELS}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(((a.astype(float) - b) ** 2).mean())
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of the gray images, both at 64 x 64."""
    views = [np.asarray(Image.fromarray(x).convert("L").resize((64, 64)), float) for x in (a, b)]
    return float(np.corrcoef(views[0].ravel(), views[1].ravel())[0, 1])


def test_every_edit_is_planted(made: Made) -> None:
    planted = {c.edit for g in made.truth.duplicates for c in g.copies}
    assert planted == {e.name for e in EDITS} | {f"exif_{k}" for k in range(1, 9)}


def test_equal_bytes_are_exactly_the_byte_copies(made: Made) -> None:
    by_digest = defaultdict(set)
    for name in made.truth.files:
        if not made.path(name).is_symlink() and made.data(name):
            by_digest[hashlib.sha256(made.data(name)).digest()].add(name)
    found = {frozenset(names) for names in by_digest.values() if len(names) > 1}
    assert found == {frozenset(pair) for pair in made.copies(lambda edit: edit == "byte_copy")}


def test_equal_pixels_are_exactly_the_resaved(made: Made) -> None:
    by_pixels = defaultdict(set)
    for name in made.good:
        pixels = made.stored(name)
        by_pixels[pixels.shape, pixels.tobytes()].add(name)
    found = {pair for names in by_pixels.values() for pair in combinations(sorted(names), 2)}
    planted = made.copies(lambda edit: edit in RESAVED | {"byte_copy"})
    bases = defaultdict(set)
    for base, copy in planted:
        bases[base] |= {base, copy}
    assert found == {pair for names in bases.values() for pair in combinations(sorted(names), 2)}
    for base, copy in made.copies(lambda edit: edit in RESAVED):
        assert made.data(base) != made.data(copy)


@pytest.mark.parametrize(
    ("edit", "back"),
    [
        ("mirrored", Image.Transpose.FLIP_LEFT_RIGHT),
        ("flipped", Image.Transpose.FLIP_TOP_BOTTOM),
        ("rotated_90", Image.Transpose.ROTATE_270),
        ("rotated_180", Image.Transpose.ROTATE_180),
        ("rotated_270", Image.Transpose.ROTATE_90),
    ],
)
def test_turned_copies_turn_back(made: Made, edit: str, back: Image.Transpose) -> None:
    pairs = made.copies(lambda name: name == edit)
    assert pairs
    for base, copy in pairs:
        turned = Image.fromarray(made.stored(copy)).transpose(back)
        assert psnr(made.stored(base), np.asarray(turned)) > 27


def test_exif_versions_are_upright_after_exif(made: Made) -> None:
    pairs = made.copies(lambda edit: edit.startswith("exif_"))
    assert len(pairs) == 8
    stored = set()
    for base, copy in pairs:
        assert psnr(made.upright(base), made.upright(copy)) > 30
        with Image.open(made.path(copy)) as image:
            assert image.getexif()[0x0112] == made.truth.files[copy].exif["orientation"]  # type: ignore[index]
        stored.add(made.stored(copy).tobytes())
    assert len(stored) == 8


@pytest.mark.parametrize("edit", ["cropped_90", "cropped_80", "cropped_60"])
def test_crops_lie_in_their_base(made: Made, edit: str) -> None:
    for base, copy in made.copies(lambda name: name == edit):
        whole, part = made.stored(base), made.stored(copy)
        share = int(edit[-2:]) / 100
        assert np.allclose(part.shape[:2], np.multiply(whole.shape[:2], share), atol=1)
        assert cv2.matchTemplate(whole, part, cv2.TM_CCOEFF_NORMED).max() > 0.96


def test_resized_copies_have_the_size_and_the_picture(made: Made) -> None:
    scales = {"resized_50": (0.5, 0.5), "resized_75": (0.75, 0.75), "resized_150": (1.5, 1.5),
              "squeezed_70": (0.7, 1.0)}  # fmt: skip
    for edit, (across, down) in scales.items():
        for base, copy in made.copies(lambda name, e=edit: name == e):  # type: ignore[misc]
            whole, other = made.stored(base), made.stored(copy)
            expected = np.multiply(whole.shape[:2], (down, across))
            assert np.allclose(other.shape[:2], expected, atol=1)
            assert correlation(whole, other) > 0.96


def test_other_copies_still_show_the_same(made: Made) -> None:
    kinds = ("reencoded", "recoloured", "grainy", "softened")
    pairs = made.copies(lambda edit: edit.startswith(kinds))
    assert len(pairs) > 40
    for base, copy in pairs:
        assert made.stored(base).shape == made.stored(copy).shape
        assert made.data(base) != made.data(copy)
        assert correlation(made.stored(base), made.stored(copy)) > 0.8, copy
    for base, copy in made.copies(lambda edit: edit == "text_bar"):
        top = made.stored(base).shape[0] * 5 // 6
        assert correlation(made.stored(base)[:top], made.stored(copy)[:top]) > 0.98
    for base, copy in made.copies(lambda edit: edit == "border_25"):
        height, width, _ = made.stored(base).shape
        edge = round(0.25 * min(width, height))
        inner = made.stored(copy)[edge:-edge, edge:-edge]
        assert inner.shape == (height, width, 3)
        assert correlation(made.stored(base), inner) > 0.98
    for base, copy in made.copies(lambda edit: edit == "rotated_10"):
        back = Image.fromarray(made.stored(copy)).rotate(-10, Image.Resampling.BICUBIC)
        middle = (slice(50, -50), slice(50, -50))
        assert correlation(made.stored(base)[middle], np.asarray(back)[middle]) > 0.95


def test_nothing_else_is_a_near_duplicate(made: Made) -> None:
    """Over all readable pairs of different groups, in the eight orientations.

    A flat image has no hash to speak of (one bit is set): those are left out, as a matcher must.
    """
    group = {name: name for name in made.good}
    for planted in made.truth.duplicates:
        group |= {copy.path: planted.base for copy in planted.copies}
    hashes, names = [], []
    for name in made.good:
        image = Image.fromarray(open_image(made.data(name)).rgb)
        turns = [image, *(image.transpose(method) for method in Image.Transpose)]
        bits = np.stack([imagehash.phash(turn).hash.ravel() for turn in turns])
        if bits[0].sum() > 1:
            names.append(name)
            hashes.append(bits)
    table = np.stack(hashes).astype(np.int8)
    assert len(names) >= len(made.good) - 3
    for i, own in enumerate(names):
        distances = (table[i + 1 :] != table[i, 0]).sum(axis=2).min(axis=1, initial=64)
        near = [names[i + 1 + int(j)] for j in np.flatnonzero(distances <= 10)]
        assert [other for other in near if group[other] != group[own]] == [], own


def test_clean_tiles_do_not_correlate(made: Made) -> None:
    """The best of eight orientations and 81 shifts at 32 x 32, for each pair."""
    views = []
    for name in made.clean:
        gray = Image.fromarray(made.stored(name)).convert("L")
        views.append(np.asarray(gray.resize((32, 32), Image.Resampling.BOX)))
    worst = 0.0
    for i, view in enumerate(views):
        turns = [np.rot90(side, k) for side in (view, view.T) for k in range(4)]
        for turn in turns:
            core = np.ascontiguousarray(turn[4:-4, 4:-4])
            for other in views[i + 1 :]:
                worst = max(
                    worst, float(cv2.matchTemplate(other, core, cv2.TM_CCOEFF_NORMED).max())
                )
    assert worst < 0.95


def test_tiles_of_a_photograph_do_not_overlap(made: Made) -> None:
    boxes = defaultdict(set)
    for file in made.truth.files.values():
        if file.photo is not None and file.base is None and file.box is not None:
            boxes[file.photo].add(file.box)
    for cuts in boxes.values():
        for a, b in combinations(cuts, 2):
            across = min(a[2], b[2]) - max(a[0], b[0])
            assert across <= 0 or min(a[3], b[3]) - max(a[1], b[1]) <= 0


def test_leaks_are_all_pairs_of_a_group_in_different_splits(made: Made) -> None:
    files = made.truth.files
    expected = set()
    for group in made.truth.duplicates:
        members = [group.base, *(copy.path for copy in group.copies)]
        for a, b in combinations(sorted(members), 2):
            if files[a].split != files[b].split:
                expected.add((a, b))
        for copy in group.copies:
            assert copy.is_cross_split == (files[copy.path].split != files[group.base].split)
            assert copy.is_label_conflict == (files[copy.path].label != files[group.base].label)
            assert files[copy.path].base == group.base
    assert set(made.truth.leaks) == expected
    assert len(expected) >= 20
    assert {frozenset((files[a].split, files[b].split)) for a, b in expected} >= {
        frozenset(("train", "val")),
        frozenset(("train", "test")),
    }


def test_label_errors_are_the_files_of_another_photograph(made: Made) -> None:
    wrong = {
        name: {"given": file.label, "true": file.photo}
        for name, file in made.truth.files.items()
        if file.photo is not None and file.photo != file.label
    }
    assert wrong == made.truth.label_errors
    assert set(made.truth.issues["mismatched_label"]) == set(wrong)
    conflicts = [c for g in made.truth.duplicates for c in g.copies if c.is_label_conflict]
    assert {c.path for c in conflicts} < set(wrong)


def test_one_image_has_many_copies(made: Made) -> None:
    assert max(len(group.copies) for group in made.truth.duplicates) >= 10


def test_jpeg_qualities_are_those_named(made: Made) -> None:
    for quality in (20, 35, 50, 70, 90):
        reference = io.BytesIO()
        Image.new("RGB", (8, 8)).save(reference, "JPEG", quality=quality)
        with Image.open(reference) as image:
            tables = image.quantization  # type: ignore[attr-defined]
        for _, copy in made.copies(lambda edit, q=quality: edit == f"reencoded_q{q}"):  # type: ignore[misc]
            with Image.open(made.path(copy)) as image:
                assert image.quantization == tables  # type: ignore[attr-defined]
