"""Odd, broken and hostile files: each ends as its pixels or as exactly one code, and quickly."""

import collections
import contextlib
import io
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageOps

from cvdata.errors import ErrorCode, ImageError
from cvdata.image import Image, open_image
from tests.corpus import Case, cases, mutate, resealed
from tests.corpus.tiff import lab_tiff

CASES = cases()

DECODED = {"JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF"}

DIFFERENT = {
    "apng/chunk_no_fctl.png": "ok: the still image is sound, the animation's chunks are not read",
    "png_decompression_dos.png": "ok: text is never inflated, so it cannot hurt",
}
"""odd_images whose outcome is not Pillow's, and why; formats outside the list do not count."""

DIFFERENT_PIXELS = {
    "12bit.cropped.tif": "16-bit: the high byte, where Pillow clips at 255",
    "12in16bit.tif": "16-bit",
    "16_bit_noise.tif": "16-bit",
    "16bit.MM.cropped.tif": "16-bit",
    "16bit.MM.deflate.tif": "16-bit",
    "16bit.cropped.tif": "16-bit",
    "16bit.deflate.tif": "16-bit",
    "16bit.r.tif": "16-bit",
    "imagedraw_rectangle_I.tiff": "16-bit",
    "uint16_1_4660.tif": "16-bit",
    "16_bit_binary_pgm.tiff": "32-bit integers over 255 keep the high byte of 16",
    "16bit.s.tif": "32-bit integers",
    "i_trns.png": "16-bit with a transparent value: compared at 16 bits, then the high byte",
}
"""odd_images whose pixels are not those of Pillow's conversion, and why."""


def outcome(data: bytes, name: str = "") -> Image | ErrorCode:
    try:
        image = open_image(data, name=name)
    except ImageError as error:
        return error.code
    assert image.rgb.dtype == np.uint8
    assert image.rgb.shape == (image.header.height, image.header.width, 3)
    return image


def test_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)
    assert {c.code for c in CASES} >= {
        *(ErrorCode.EMPTY, ErrorCode.NOT_AN_IMAGE, ErrorCode.FORMAT_DENIED),
        *(ErrorCode.TRUNCATED, ErrorCode.CORRUPT, ErrorCode.TOO_MANY_PIXELS),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus(case: Case) -> None:
    started = time.process_time()
    result = outcome(case.data, case.name)
    assert time.process_time() - started < 2.0
    if case.code is not None:
        assert result is case.code
        return
    assert isinstance(result, Image), f"{result} instead of pixels"
    assert set(case.flags) <= set(result.header.flags)
    if case.pixels is not None:
        np.testing.assert_array_equal(result.rgb, case.pixels)


def test_lab_is_device_independent_colour() -> None:
    image = open_image(lab_tiff())
    white, black, gray, red = image.rgb.reshape(4, 3).astype(int)
    assert white.min() >= 254
    assert black.max() <= 1
    assert np.ptp(gray) <= 1
    assert abs(int(gray[0]) - 119) <= 1
    assert red[0] > 200
    assert red[1] < 60


def pillow(data: bytes) -> tuple[str | None, np.ndarray] | None:
    """Pillow's format and its own pixels over white, upright; None where it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with PilImage.open(io.BytesIO(data)) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
                if upright.has_transparency_data:
                    rgba = upright.convert("RGBA")
                    white = PilImage.new("RGBA", rgba.size, "white")
                    upright = PilImage.alpha_composite(white, rgba)
                return image.format, np.asarray(upright.convert("RGB"))
        except Exception:  # noqa: BLE001 - any refusal of Pillow's is one
            return None


def test_odd_images_end_as_pillow_has_them(shared_data: Path) -> None:
    root = shared_data / "odd_images"
    counts: collections.Counter[str] = collections.Counter()
    different, pixels = set(), set()
    for file in sorted(p for p in root.rglob("*") if p.is_file()):
        name = file.relative_to(root).as_posix()
        data = file.read_bytes()
        result = outcome(data, name)
        counts["ok" if isinstance(result, Image) else str(result)] += 1
        theirs = pillow(data)
        if result is ErrorCode.FORMAT_DENIED:
            assert theirs is None or theirs[0] not in DECODED, f"{name} could be decoded"
        elif isinstance(result, Image) != (theirs is not None):
            different.add(name)
        elif isinstance(result, Image) and not np.array_equal(theirs[1], result.rgb):
            pixels.add(name)
    assert different == set(DIFFERENT)
    assert pixels == set(DIFFERENT_PIXELS)
    assert counts["ok"] >= 280
    assert sum(counts.values()) >= 570


def test_fuzz_two_thousand_mutants() -> None:
    """Bits flipped, stretches cut, doubled, spliced: an Image or an ImageError, no warning."""
    rng = np.random.default_rng(20_240_601)
    seeds = [c.data for c in CASES if 0 < len(c.data) < 50_000]
    counts: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    for _ in range(2000):
        donor = seeds[rng.integers(len(seeds))]
        data = mutate(seeds[rng.integers(len(seeds))], rng, donor)
        if data.startswith(b"\x89PNG") and rng.random() < 0.7:
            data = resealed(data)
        started = time.process_time()
        result = outcome(data)
        slowest = max(slowest, time.process_time() - started)
        counts["ok" if isinstance(result, Image) else str(result)] += 1
    assert slowest < 2.0
    assert sum(counts.values()) == 2000
    assert min(counts["ok"], counts["truncated"], counts["corrupt"]) > 50
    assert counts["out_of_memory"] == 0


@pytest.mark.slow
def test_fuzz_fifty_thousand_mutants() -> None:
    rng = np.random.default_rng(7)
    seeds = [c.data for c in CASES if 0 < len(c.data) < 50_000]
    for _ in range(50_000):
        data = seeds[rng.integers(len(seeds))]
        for _ in range(int(rng.integers(1, 5))):
            data = mutate(data, rng, seeds[rng.integers(len(seeds))]) or b"x"
        if data.startswith(b"\x89PNG"):
            data = resealed(data)
        with contextlib.suppress(ImageError):
            open_image(data)


def test_any_prefix_of_a_file_is_an_error() -> None:
    """No cut, however late, passes for a whole image, save where only padding is missing."""
    for case in CASES:
        if case.name not in {"good.png", "good.jpg", "good.gif", "lossless.webp", "good.bmp"}:
            continue
        for size in range(len(case.data)):
            assert outcome(case.data[:size]) in (
                ErrorCode.EMPTY,
                ErrorCode.NOT_AN_IMAGE,
                ErrorCode.TRUNCATED,
            ), f"{case.name} cut at {size}"
