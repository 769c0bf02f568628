"""Thumbnails: encoded without metadata, embedded as data URIs, within a budget."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 176
"""Longest side of a thumbnail in pixels."""

PAGE_BUDGET = 9_000_000
"""Bytes of all data URIs on one page: the budgets of its sections add up to no more."""


@dataclass(frozen=True)
class Picture:
    """A data URI and its size in pixels."""

    uri: str
    width: int
    height: int


def encode_thumb(rgb: npt.NDArray[np.uint8], side: int = SIDE) -> bytes:
    """(H, W, 3) uint8 -> JPEG bytes, longest side at most `side`, no metadata.

    Made from pixels alone, so nothing of the file (GPS, embedded previews) can come along.
    """
    image = Image.fromarray(np.ascontiguousarray(rgb))
    # thumbnail() keeps the ratio but may round a side of an extreme ratio down to 0 or up to 1
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=78, optimize=True)
    return out.getvalue()


@dataclass
class Album:
    """Hands out pictures until its budget is spent."""

    thumbs: Mapping[bytes, bytes]
    budget: int = PAGE_BUDGET
    spent: int = field(default=0, init=False)

    def picture(self, image_id: bytes) -> Picture | None:
        """The image's data URI, or None where there is no thumbnail or its budget is spent."""
        data = self.thumbs.get(image_id)
        if data is None:
            return None
        uri = f"data:{_media_type(data)};base64,{base64.b64encode(data).decode()}"
        if self.spent + len(uri) > self.budget:
            return None
        self.spent += len(uri)
        width, height = Image.open(io.BytesIO(data)).size
        return Picture(uri, width, height)


def _media_type(data: bytes) -> str:
    """By magic bytes; raises ValueError for anything that `encode_thumb` would not make."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("a thumbnail must be re-encoded JPEG or WebP bytes")
