"""Copies: what people and pipelines do to an image that still shows the same."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from cvdata.sample.encode import decode, encode, jpeg, png, with_segment

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Edit:
    """How a copy is made: `make(JPEG bytes of the base, rng)` returns its bytes.

    `suits` says whether a base stays recognisable under it.
    """

    name: str
    extension: str
    make: Callable[[bytes, np.random.Generator], bytes]
    suits: Callable[[bytes], bool] = lambda _: True


def _resaved(fmt: str, extension: str, **options: object) -> Edit:
    name = f"resaved_{extension}"
    return Edit(name, extension, lambda data, _: encode(decode(data), fmt, **options))


def _reencoded(quality: int) -> Edit:
    return Edit(f"reencoded_q{quality}", "jpg", lambda data, _: jpeg(decode(data), quality))


def _changed(name: str, change: Change, suits: Callable[[bytes], bool] = lambda _: True) -> Edit:
    return Edit(name, "jpg", lambda data, rng: jpeg(change(decode(data), rng)), suits)


def _has_headroom(data: bytes) -> bool:
    """Whether 1.5 times as bright leaves nine tenths of the pixels below white."""
    return float(np.percentile(np.asarray(decode(data).convert("L")), 90)) < 255 / 1.5


def _resized(across: float, down: float) -> Change:
    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        size = (round(image.width * across), round(image.height * down))
        return image.resize(size, Image.Resampling.LANCZOS)

    return change


def _cropped(side: float) -> Change:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = round(image.width * side), round(image.height * side)
        x = int(rng.integers(image.width - width + 1))
        y = int(rng.integers(image.height - height + 1))
        return image.crop((x, y, x + width, y + height))

    return change


def _turned(method: Image.Transpose) -> Change:
    return lambda image, _: image.transpose(method)


def _tilted(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.rotate(10, Image.Resampling.BICUBIC)


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Change:
    return lambda image, _: kind(image).enhance(factor)


def _gamma(image: Image.Image, _: np.random.Generator) -> Image.Image:
    curve = [round(255 * (value / 255) ** 1.8) for value in range(256)]
    return image.point(curve * 3)


def _hue(image: Image.Image, _: np.random.Generator) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(step + 21) % 256 for step in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _gray(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.convert("L")


def _text_bar(image: Image.Image, _: np.random.Generator) -> Image.Image:
    height = image.height // 7
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height - height, image.width, image.height), fill=(16, 16, 16))
    for place in range(6, image.width - 12, 9):  # strokes, so that no font is needed
        top = image.height - height + 6 + (place * 7) % 5
        draw.rectangle((place, top, place + 4, image.height - 7), fill=(236, 236, 236))
    return image


def _bordered(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.expand(image, round(0.25 * min(image.size)), (255, 255, 255))


def _grainy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image) + np.rint(rng.normal(0, 10, (image.height, image.width, 1)))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _softened(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2)).resize(image.size)


_TURNS = Image.Transpose
BYTE_COPY = Edit("byte_copy", "jpg", lambda data, _: data)
SAME_PIXELS = (
    Edit("resaved_png", "png", lambda data, _: png(decode(data))),
    _resaved("BMP", "bmp"),
    _resaved("TIFF", "tif", compression="tiff_lzw"),
    _resaved("WEBP", "webp", lossless=True, exact=True),
    Edit("commented", "jpg", lambda data, _: with_segment(data, 0xFE, b"a comment, no pixel")),
)
"""Other bytes, the same pixels."""

REENCODED = (
    *(_reencoded(quality) for quality in (20, 35, 50, 70, 90)),
    Edit("reencoded_webp", "webp", lambda data, _: encode(decode(data), "WEBP", quality=75)),
)
CHANGED = (
    _changed("resized_50", _resized(0.5, 0.5)),
    _changed("resized_75", _resized(0.75, 0.75)),
    _changed("resized_150", _resized(1.5, 1.5)),
    _changed("squeezed_70", _resized(0.7, 1.0)),
    _changed("cropped_90", _cropped(0.9)),
    _changed("cropped_80", _cropped(0.8)),
    _changed("cropped_60", _cropped(0.6)),
    _changed("mirrored", _turned(_TURNS.FLIP_LEFT_RIGHT)),
    _changed("flipped", _turned(_TURNS.FLIP_TOP_BOTTOM)),
    _changed("rotated_90", _turned(_TURNS.ROTATE_90)),
    _changed("rotated_180", _turned(_TURNS.ROTATE_180)),
    _changed("rotated_270", _turned(_TURNS.ROTATE_270)),
    _changed("rotated_10", _tilted),
    _changed("recoloured_brighter", _enhanced(ImageEnhance.Brightness, 1.5), _has_headroom),
    _changed("recoloured_darker", _enhanced(ImageEnhance.Brightness, 0.6)),
    _changed("recoloured_contrast", _enhanced(ImageEnhance.Contrast, 1.5)),
    _changed("recoloured_saturated", _enhanced(ImageEnhance.Color, 2.0)),
    _changed("recoloured_gamma", _gamma),
    _changed("recoloured_hue", _hue),
    _changed("recoloured_gray", _gray),
    _changed("text_bar", _text_bar),
    _changed("border_25", _bordered),
    _changed("grainy", _grainy),
    _changed("softened", _softened),
)
EDITS = (BYTE_COPY, *SAME_PIXELS, *REENCODED, *CHANGED)
BY_NAME = {edit.name: edit for edit in EDITS}
