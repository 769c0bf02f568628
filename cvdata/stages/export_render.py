"""What runs in the sandbox for images that are written anew: decoded, turned, resized, encoded."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image as PilImage

from cvdata.errors import ErrorCode, ImageError
from cvdata.image import Limits, open_image
from cvdata.sources.headers import Stored

EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_OWN = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}
_NAMES = {
    "jpeg": frozenset({"jpg", "jpeg", "jpe", "jfif"}),
    "png": frozenset({"png", "apng"}),
    "webp": frozenset({"webp"}),
}


@dataclass(frozen=True)
class Rendering:
    """What is asked of the pixels. Nothing: every byte stays.

    `encode`: jpeg, png or webp, or "" for the image's own format (PNG where that is another).
    `max_side`: the longest side at most, 0 for any. `is_upright`: no EXIF orientation is left.
    `is_all`: also what is already as it is asked for.
    """

    encode: str = ""
    quality: int = 95
    max_side: int = 0
    is_upright: bool = False
    is_all: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether any image may be written anew."""
        return bool(self.encode or self.max_side or self.is_upright or self.is_all)

    def touches(self, stored: Stored, kind: str) -> bool:
        """Whether an image of this header and format (as sniffed) must be written anew."""
        return (
            self.is_all
            or (self.max_side > 0 and max(stored.width, stored.height) > self.max_side)
            or ((self.is_upright or bool(self.encode)) and stored.orientation != 1)
            or bool(self.encode and _OWN.get(kind) != self.encode)
        )

    def format_of(self, kind: str) -> str:
        """What an image of this sniffed format is encoded as."""
        return self.encode or _OWN.get(kind, "png")

    def extension_for(self, name: str, encoded: str) -> str:
        """The extension of a file: its own where that fits what it was encoded as."""
        return name if name.lower() in _NAMES[encoded] else EXTENSIONS[encoded]


class Rendered(NamedTuple):
    """An image written anew: its bytes, what they are, and its sides before and after."""

    data: bytes
    encoded: str
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True)
class Renderer:
    """bytes -> `Rendered`, as a plain tuple. Small; it travels. Metadata is not kept."""

    rendering: Rendering
    limits: Limits = field(default_factory=Limits)

    def __call__(self) -> Callable[[bytes, str], tuple[object, ...]]:
        """Build it where the pixels will be."""

        def render(data: bytes, name: str) -> tuple[object, ...]:
            image = open_image(data, self.limits, name)
            before = image.header.width, image.header.height
            after = fitted(*before, self.rendering.max_side)
            picture = PilImage.fromarray(image.rgb)
            if after != before:
                picture = picture.resize(after, PilImage.Resampling.LANCZOS, reducing_gap=None)
            encoded = self.rendering.format_of(image.header.format)
            return encode(picture, encoded, self.rendering.quality), encoded, before, after

        return render


def fitted(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Sides with the longest at most `max_side`, in proportion, none below 1."""
    longest = max(width, height)
    if not max_side or longest <= max_side:
        return width, height
    return max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))


def encode(picture: PilImage.Image, kind: str, quality: int) -> bytes:
    """The file of an RGB picture; JPEG without chroma subsampling from quality 90 on."""
    out = io.BytesIO()
    if kind == "jpeg":
        picture.save(out, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2)
    elif kind == "webp":
        picture.save(out, "WEBP", quality=quality, method=4)
    else:
        picture.save(out, "PNG", compress_level=6)
    return out.getvalue()


@dataclass(frozen=True)
class MaskRenderer:
    """A mask -> PNG of the size in `name` (`WIDTHxHEIGHT`), by nearest neighbour.

    Class numbers stay what they are: no mode is converted but those that PNG does not have.
    """

    limits: Limits = field(default_factory=Limits)

    def __call__(self) -> Callable[[bytes, str], bytes]:
        """Build it where the pixels will be."""

        def render(data: bytes, name: str) -> bytes:
            width, height = (int(side) for side in name.split("x"))
            try:
                with PilImage.open(io.BytesIO(data), formats=["PNG", "BMP", "TIFF", "GIF"]) as mask:
                    self.limits.check(*mask.size)
                    small = mask.resize((width, height), PilImage.Resampling.NEAREST)
                    out = io.BytesIO()
                    small.save(out, "PNG", compress_level=6)
            except (OSError, ValueError, SyntaxError) as error:
                raise ImageError(ErrorCode.CORRUPT, f"its mask: {error}") from error
            return out.getvalue()

        return render
