"""The planted edits of the duplicate benchmarks: Pillow image -> edited Pillow image."""

import io
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

Edit = Callable[[Image.Image, random.Random], Image.Image]


def _jpeg(image: Image.Image, rng: random.Random) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=20)
    return Image.open(buffer).convert("RGB")


def _crop(share: float) -> Edit:
    def crop(image: Image.Image, rng: random.Random) -> Image.Image:
        w, h = round(image.width * share), round(image.height * share)
        x, y = rng.randint(0, image.width - w), rng.randint(0, image.height - h)
        return image.crop((x, y, x + w, y + h))

    return crop


def _resize(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.resize((max(1, round(image.width * 0.4)), max(1, round(image.height * 0.4))))


def _text_bar(image: Image.Image, rng: random.Random) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    height = round(image.height * 0.15)
    top = rng.choice([0, image.height - height])
    draw.rectangle((0, top, image.width, top + height), fill=rng.choice(["white", "black"]))
    for x in range(10, image.width - 10, 90):
        draw.text((x, top + height // 3), "SAMPLE TEXT", fill="red")
    return image


def _border(image: Image.Image, rng: random.Random) -> Image.Image:
    width = round(min(image.size) * 0.25)
    return ImageOps.expand(image, width, rng.choice(["white", "black", "gray"]))


def _squeeze(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.resize((round(image.width * 0.7), image.height))


def _recolor(image: Image.Image, rng: random.Random) -> Image.Image:
    gains = [0.7, 1.0, 1.25]
    rng.shuffle(gains)
    bands = [
        band.point(lambda v, g=g: min(255, int(v * g)))
        for band, g in zip(image.split(), gains, strict=True)
    ]
    return Image.merge("RGB", bands)


EDITS: dict[str, Edit] = {
    "jpeg_q20": _jpeg,
    "resize_0.4": _resize,
    "crop_0.8": _crop(0.8),
    "crop_0.6": _crop(0.6),
    "mirror": lambda image, rng: ImageOps.mirror(image),
    "rotate_90": lambda image, rng: image.transpose(Image.Transpose.ROTATE_90),
    "rotate_10": lambda image, rng: image.rotate(10, Image.Resampling.BICUBIC),
    "rotate_10_expand": lambda image, rng: image.rotate(10, Image.Resampling.BICUBIC, expand=True),
    "brightness_1.5": lambda image, rng: ImageEnhance.Brightness(image).enhance(1.5),
    "grey": lambda image, rng: image.convert("L").convert("RGB"),
    "text_bar": _text_bar,
    "border_25": _border,
    "squeeze": _squeeze,
    "recolor": _recolor,
}
