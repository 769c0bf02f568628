"""Every other finding, computed a second time: NumPy, SciPy, scikit-image and Pillow itself."""

import io
import json
import math
import os
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats
from skimage.restoration import estimate_sigma

from cvdata.errors import ImageError
from cvdata.image import open_image
from cvdata.sample import decode_path
from cvdata.sample.boxes import BOXES_NAME
from cvdata.sample.hostile import NAMES
from tests.sample.conftest import Made

ALLOWED = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


def brightness(rgb: np.ndarray) -> np.ndarray:
    return np.sqrt((rgb.astype(float) ** 2) @ [0.241, 0.691, 0.068]).ravel() / 255


def p(values: np.ndarray, percent: float) -> float:
    return float(stats.scoreatpercentile(values, percent))


def entropy_bits(rgb: np.ndarray) -> float:
    counts = np.concatenate([np.bincount(rgb[..., c].ravel(), minlength=256) for c in range(3)])
    return float(stats.entropy(counts, base=2))


def blurry_score(rgb: np.ndarray) -> float:
    image = Image.fromarray(rgb).convert("L")
    ratio = max(image.size) / 64
    if ratio > 1:
        image = image.resize(
            (max(int(image.width // ratio), 1), max(int(image.height // ratio), 1))
        )
    small = np.asarray(image).astype(float)
    kernel = -np.ones((3, 3))
    kernel[1, 1] = 8
    edges = small.copy()  # Pillow leaves the outermost pixels as they are
    edges[1:-1, 1:-1] = np.clip(ndimage.convolve(small, kernel), 0, 255)[1:-1, 1:-1]
    blur = 1 - math.exp(-0.01 * edges.std())
    spread = 1 - math.exp(-0.01 * np.std(np.bincount(np.asarray(image).ravel(), minlength=256)))
    return min(1.0, blur + (spread if spread > 0.18 else 0))


SCORES: dict[str, tuple[Callable[[np.ndarray], float], float]] = {
    "dark": (lambda rgb: p(brightness(rgb), 99), 0.32),
    "light": (lambda rgb: 1 - p(brightness(rgb), 5), 0.05),
    "low_information": (lambda rgb: 0.1 * entropy_bits(rgb), 0.3),
    "blurry": (blurry_score, 0.29),
    "odd_aspect_ratio": (lambda rgb: min(rgb.shape[:2]) / max(rgb.shape[:2]), 0.35),
    "grayscale": (lambda rgb: float(np.ptp(rgb.astype(int), axis=2).max()), 2.5),
}


@pytest.fixture(scope="session")
def scored(made: Made) -> dict[str, dict[str, float]]:
    """Scores of every readable file, from the pixels that the decode policy gives."""
    pixels = {name: open_image(made.data(name)).rgb for name in made.good}
    found = {
        issue: {name: score(rgb) for name, rgb in pixels.items()}
        for issue, (score, _) in SCORES.items()
    }
    found["side"] = {name: math.sqrt(rgb.shape[0] * rgb.shape[1]) for name, rgb in pixels.items()}
    return found


@pytest.mark.parametrize("issue", SCORES)
def test_expected_flags_are_exact(
    made: Made, scored: dict[str, dict[str, float]], issue: str
) -> None:
    limit = SCORES[issue][1]
    flagged = {name for name, score in scored[issue].items() if score < limit}
    assert flagged == set(made.truth.expected_flags[issue])
    assert set(made.truth.issues[issue]) <= flagged
    assert not flagged & set(made.clean)


def test_planted_scores_are_well_beyond_and_clean_ones_well_clear(
    made: Made, scored: dict[str, dict[str, float]]
) -> None:
    for issue in ("dark", "light", "low_information", "blurry", "odd_aspect_ratio"):
        limit = SCORES[issue][1]
        assert max(scored[issue][name] for name in made.truth.issues[issue]) < 0.96 * limit
        assert min(scored[issue][name] for name in made.clean) > 1.05 * limit


def test_odd_sizes(made: Made, scored: dict[str, dict[str, float]]) -> None:
    sides = scored["side"]
    q1, q3 = (p(np.array(list(sides.values())), percent) for percent in (25, 75))
    low, high = q1 - 3 * (q3 - q1), q3 + 3 * (q3 - q1)
    odd = {name for name, side in sides.items() if not low <= side <= high}
    assert odd == set(made.truth.expected_flags["odd_size"])
    assert set(made.truth.issues["odd_size"]) <= odd
    assert not odd & set(made.clean)


def test_noise_clipping_borders_and_compression(made: Made) -> None:
    issues = made.truth.issues
    for name in issues["noisy"]:
        gray = np.asarray(Image.fromarray(made.stored(name)).convert("L")).astype(float)
        assert estimate_sigma(gray) > 18, "a median of wavelets: below Immerkaer's mean"
        second = ndimage.convolve(gray, [[1, -2, 1], [-2, 4, -2], [1, -2, 1]])[1:-1, 1:-1]
        assert math.sqrt(math.pi / 2) / 6 * np.abs(second).mean() > 20
    for name in issues["clipped"]:
        gray = np.asarray(Image.fromarray(made.stored(name)).convert("L"))
        assert ((gray == 0) | (gray == 255)).mean() > 0.5
    for name in issues["bordered"]:
        rgb = made.stored(name).astype(int)
        frame = np.concatenate([rgb[:12].reshape(-1, 3), rgb[:, :12].reshape(-1, 3)])
        assert np.ptp(frame, axis=0).max() <= 8
    for name in issues["overcompressed"]:
        with Image.open(made.path(name)) as image:
            assert np.mean(image.quantization[0]) > 150  # type: ignore[attr-defined]


def test_orientations_and_extensions(made: Made) -> None:
    turned, misnamed = set(), set()
    families = {"JPEG": {"jpg"}, "TIFF": {"tif"}}
    for name in made.good:
        with Image.open(made.path(name)) as image:
            is_sound = "exif_invalid" not in made.truth.files[name].flags
            if is_sound and image.getexif().get(0x0112, 1) != 1:
                turned.add(name)
            kind = str(image.format)
        if name.rpartition(".")[2] not in families.get(kind, {kind.lower()}):
            misnamed.add(name)
    assert turned == set(made.truth.expected_flags["exif_rotated"])
    assert misnamed == set(made.truth.expected_flags["wrong_extension"])
    assert turned == set(made.truth.issues["exif_rotated"])
    assert misnamed == set(made.truth.issues["wrong_extension"])


def test_unreadable_files_are_bad_in_the_way_named(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for name, code in made.truth.errors.items():
        if code == "path_denied":
            assert made.path(name).is_symlink()
            assert not made.path(name).resolve().is_relative_to(made.root.resolve())
            continue
        data = made.data(name)
        if code == "too_many_pixels":
            with Image.open(io.BytesIO(data)) as image:
                assert image.width * image.height > 100e6 or max(image.size) > 65_500
        elif code == "empty":
            assert data == b""
        elif code in ("not_an_image", "format_denied"):
            with pytest.raises(Image.UnidentifiedImageError):
                Image.open(io.BytesIO(data), formats=ALLOWED)
        else:
            assert code in ("truncated", "corrupt")
            with pytest.raises((OSError, SyntaxError)):
                Image.open(io.BytesIO(data), formats=ALLOWED).load()


def test_the_decode_policy_agrees_on_codes_and_flags(made: Made) -> None:
    for name, file in made.truth.files.items():
        if file.sha256 is None:
            continue
        code, flags = None, None
        try:
            image = open_image(made.data(name), name=os.fsdecode(decode_path(name)))
            flags = set(image.header.flags)
        except ImageError as error:
            code = str(error.code)
        assert code == made.truth.errors.get(name), name
        assert flags is None or flags == set(file.flags), name


def test_issues_that_follow_from_codes(made: Made) -> None:
    errors = made.truth.errors
    for issue, codes in {
        "truncated": {"truncated"},
        "corrupt": {"corrupt", "empty", "not_an_image"},
        "refused": {"format_denied", "too_many_pixels", "path_denied"},
    }.items():
        expected = {name for name, code in errors.items() if code in codes}
        assert expected == set(made.truth.issues[issue]) == set(made.truth.expected_flags[issue])
        assert expected


def test_every_mode_and_format_is_there(made: Made) -> None:
    kinds, extras = set(), set()
    for name in made.good:
        with Image.open(made.path(name)) as image:
            kinds.add(f"{image.format} {image.mode}")
            info = image.info
            extras |= {k for k in ("progression", "interlace", "icc_profile") if info.get(k)}
            extras |= {"frames"} if getattr(image, "n_frames", 1) > 1 else set()
    assert kinds >= {
        *("JPEG RGB", "JPEG L", "JPEG CMYK", "WEBP RGB", "WEBP RGBA", "GIF P", "BMP RGB"),
        *("BMP P", "BMP 1", "PNG 1", "PNG L", "PNG LA", "PNG P", "PNG RGB", "PNG RGBA"),
        *("PNG I;16", "TIFF 1", "TIFF L", "TIFF P", "TIFF RGB", "TIFF RGBA", "TIFF CMYK"),
        *("TIFF YCbCr", "TIFF LAB", "TIFF I;16", "TIFF F"),
    }
    assert extras == {"progression", "interlace", "icc_profile", "frames"}
    flags = {flag for file in made.truth.files.values() for flag in file.flags}
    assert flags == {
        *("had_alpha", "was_cmyk", "was_16_bit", "multi_frame", "has_icc", "exif_invalid"),
        *("trailing_bytes", "wrong_extension"),
    }


def test_hostile_names_hold_good_images(made: Made) -> None:
    names = {decode_path(n).rpartition(b"/")[2] for n in made.good}
    assert set(NAMES) <= names
    hard = [name for name in names if any(c < 32 or c > 126 for c in name) or len(name) > 150]
    assert len(hard) >= 5


def test_exif_is_what_the_truth_says(made: Made) -> None:
    cameras, n_places = set(), 0
    for name, file in made.truth.files.items():
        if file.exif is None or "make" not in file.exif:
            continue
        with Image.open(made.path(name)) as image:
            exif = image.getexif()
        for tag, key in {0x010F: "make", 0x0110: "model", 0x0131: "software"}.items():
            assert exif[tag] == file.exif[key]
        assert exif[0x0132] == exif.get_ifd(0x8769)[0x9003] == file.exif["datetime"]
        assert bool(exif.get_ifd(0x8825)) == file.exif["has_gps"]
        cameras.add(exif[0x0110])
        n_places += bool(file.exif["has_gps"])
    assert len(cameras) == 4
    assert n_places >= 10


def test_boxes_are_of_coins_and_four_are_wrong(made: Made) -> None:
    document = json.loads((made.root / BOXES_NAME).read_text())
    flaws = {paths[0]: flaw for flaw, paths in made.truth.box_errors.items()}
    assert sorted(flaws.values()) == ["box_duplicate", "box_empty", "box_outside", "tiny_object"]
    assert len(document["images"]) >= 6
    for image in document["images"]:
        rgb = made.stored(image["file_name"])
        assert rgb.shape[:2] == (image["height"], image["width"])
        own = [a["bbox"] for a in document["annotations"] if a["image_id"] == image["id"]]
        sound = own[:-1] if image["file_name"] in flaws else own
        inside = np.zeros(rgb.shape[:2], bool)
        for x, y, w, h in sound:
            assert x >= 0 <= y
            assert x + w <= image["width"] + 0.01
            assert y + h <= image["height"] + 0.01
            inside[round(y) : round(y + h), round(x) : round(x + w)] = True
        gray = rgb.mean(axis=2)
        assert gray[inside].mean() > 1.3 * gray[~inside].mean(), "coins are brighter than the cloth"
