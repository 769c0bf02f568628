"""Bytes -> Image: the one decode policy."""

import io
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage
from PIL import ImageOps

DECODE_VERSION = 1
"""Moves whenever decoded pixels or header facts can change; part of every fingerprint."""

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What is decoded at all; anything beyond is an error row."""

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_side: int = 65_500
    formats: frozenset[str] = frozenset({"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"})


@dataclass(frozen=True)
class Header:
    """Facts known before any pixel is decoded. Width and height are those after orientation."""

    format: str
    mode: str
    width: int
    height: int
    bits: int = 8
    n_frames: int = 1
    has_alpha: bool = False
    has_icc: bool = False
    exif_orientation: int | None = None
    exif_datetime: str | None = None
    exif_make: str | None = None
    exif_model: str | None = None
    exif_software: str | None = None
    has_gps: bool = False
    jpeg_quality: int | None = None
    is_progressive: bool = False
    trailing_bytes: int = 0
    flags: tuple[str, ...] = ()


@dataclass
class Image:
    """One decoded image and its cached views.

    `data` are the encoded bytes, `rgb` is (H, W, 3) uint8, C-contiguous, oriented, read-only.
    """

    data: bytes
    header: Header
    rgb: npt.NDArray[np.uint8]
    _memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def gray(self) -> npt.NDArray[np.uint8]:
        """(H, W) uint8: Pillow's `convert("L")` of `rgb`, to the bit."""
        return np.asarray(PilImage.fromarray(self.rgb).convert("L"))

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        """`compute()` once per image and key: how measures share a pass over the pixels."""
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]  # type: ignore[no-any-return]


def open_image(data: bytes, limits: Limits = Limits(), name: str = "") -> Image:
    """Decode `data` by the policy; raises `ImageError`. `name` is only used for its extension."""
    pil = ImageOps.exif_transpose(PilImage.open(io.BytesIO(data)))
    rgb = np.asarray(pil.convert("RGB"))
    header = Header(format=pil.format or "", mode=pil.mode, width=pil.width, height=pil.height)
    return Image(data, header, rgb)
