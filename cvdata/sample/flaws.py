"""Tiles made bad on purpose: one flaw each, well beyond its threshold."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from cvdata.sample.encode import jpeg, png
from cvdata.sample.looks import CLIPPED, NOISY, THRESHOLDS, clipped_share, noise_sigma, scores

Pixels = npt.NDArray[np.uint8]

BEYOND = 1.1
"""A planted score is below its threshold divided by this."""


@dataclass(frozen=True)
class Flaw:
    """`make(tile, variant, rng)` returns the bytes, or None where the tile does not lend itself.

    `count` images are planted, `variant` runs over them.
    """

    issue: str
    extension: str
    count: int
    make: Callable[[Image.Image, int, np.random.Generator], bytes | None]


def is_beyond(issue: str, image: Image.Image) -> bool:
    """Whether the pixels have the issue with a margin."""
    return scores(np.asarray(image))[issue] < THRESHOLDS[issue] / BEYOND


def _dark(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes | None:
    return _strengthen("dark", image, 0.30 - 0.03 * variant, _dimmed)


def _light(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes | None:
    return _strengthen("light", image, 0.08 - 0.01 * variant, _faded)


def _strengthen(
    issue: str, image: Image.Image, start: float, make: Callable[[Image.Image, float], Image.Image]
) -> bytes | None:
    for step in range(8):
        flawed = make(image, start * 0.8**step)
        if is_beyond(issue, flawed):
            return jpeg(flawed, 95)
    return None


def _dimmed(image: Image.Image, share: float) -> Image.Image:
    return image.point([round(value * share) for value in range(256)] * 3)


def _faded(image: Image.Image, share: float) -> Image.Image:
    return image.point([255 - round((255 - value) * share) for value in range(256)] * 3)


def _blurry(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes | None:
    """Blurred, and stretched to the full range as cameras do where that alone is not enough.

    CleanVision takes a narrow histogram for sharpness, so a dull blur can pass for sharp.
    """
    for radius in (5, 7, 9, 12, 15):
        smeared = image.filter(ImageFilter.GaussianBlur(radius))
        for flawed in (smeared, ImageOps.autocontrast(smeared)):
            if is_beyond("blurry", flawed):
                return jpeg(flawed, 95)
    return None


def _noisy(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes | None:
    """Noise in each channel; half of it is lost where the picture is black, so not on the night."""
    sigma = 40 + 4 * variant
    noise = np.rint(rng.normal(0, sigma, (image.height, image.width, 3)))
    flawed = _picture(np.asarray(image) + noise)
    return jpeg(flawed, 95) if noise_sigma(np.asarray(flawed)) > NOISY * BEYOND else None


def _low_information(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes | None:
    pixels = np.asarray(image)
    if variant % 2 == 0:
        return png(Image.new("RGB", image.size, _mean_color(pixels)))
    gray = np.asarray(image.convert("L"))
    is_bright = gray > np.median(gray)
    two = np.empty_like(pixels)
    two[is_bright] = _mean_color(pixels[is_bright])
    two[~is_bright] = _mean_color(pixels[~is_bright])
    flawed = Image.fromarray(two)
    return png(flawed) if is_beyond("low_information", flawed) else None


def _mean_color(pixels: Pixels) -> tuple[int, int, int]:
    red, green, blue = (round(float(v)) for v in pixels.reshape(-1, 3).mean(axis=0))
    return red, green, blue


def _odd_size(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes:
    longest = (28, 40, 16, 900, 1100, 760)[variant % 6]
    scale = longest / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return jpeg(image.resize(size, Image.Resampling.LANCZOS), 90)


def _odd_aspect_ratio(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes:
    thin = 32 + 4 * (variant // 2)
    if variant % 2 == 0:
        strip = image.crop((0, 60, image.width, 60 + thin))
    else:
        strip = image.crop((60, 0, 60 + thin, image.height))
    size = (strip.width * 2, strip.height * 2)
    return jpeg(strip.resize(size, Image.Resampling.LANCZOS))


def _grayscale(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes:
    gray = image.convert("L")
    return jpeg(gray if variant % 2 == 0 else gray.convert("RGB"))


def _clipped(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes | None:
    pixels = np.array(image)
    gray = np.asarray(image.convert("L"))
    low, high = np.percentile(gray, [(20, 60), (35, 70), (5, 40), (50, 80), (30, 65)][variant % 5])
    pixels[gray >= high] = 255
    pixels[gray <= low] = 0
    return png(Image.fromarray(pixels)) if clipped_share(pixels) > CLIPPED * BEYOND else None


def _bordered(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes:
    color = ((0, 0, 0), (255, 255, 255), (200, 30, 40), (128, 128, 128), (12, 40, 96))[variant % 5]
    width = round((0.12 + 0.03 * (variant % 5)) * min(image.size))
    inner = image.resize((image.width - 2 * width, image.height - 2 * width))
    return jpeg(ImageOps.expand(inner, width, color), 95)


def _overcompressed(image: Image.Image, variant: int, rng: np.random.Generator) -> bytes:
    return jpeg(image, 4 + 2 * (variant % 5), subsampling=2)


def _picture(values: npt.NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


FLAWS = (
    Flaw("blurry", "jpg", 6, _blurry),
    Flaw("dark", "jpg", 6, _dark),
    Flaw("light", "jpg", 5, _light),
    Flaw("low_information", "png", 5, _low_information),
    Flaw("noisy", "jpg", 6, _noisy),
    Flaw("odd_size", "jpg", 6, _odd_size),
    Flaw("odd_aspect_ratio", "jpg", 5, _odd_aspect_ratio),
    Flaw("grayscale", "jpg", 6, _grayscale),
    Flaw("clipped", "png", 5, _clipped),
    Flaw("bordered", "jpg", 5, _bordered),
    Flaw("overcompressed", "jpg", 5, _overcompressed),
)
