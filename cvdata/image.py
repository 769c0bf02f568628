"""Bytes -> Image: the one decode policy.

docs/decode.md states each rule and each error code; this file is where they are applied.
"""

import importlib.util
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

from cvdata.decode import bmp, boxed, gif, jpeg, png, tiff, webp
from cvdata.decode.exif import Exif, from_directory, read_exif
from cvdata.decode.facts import Facts
from cvdata.decode.raster import Raster, decode_jpeg, decode_pillow
from cvdata.decode.sniff import DECODABLE, is_wrong_extension, sniff
from cvdata.errors import ConfigError, ErrorCode, ImageError

DECODE_VERSION = 1
"""Moves whenever decoded pixels or header facts can change; part of every fingerprint."""

T = TypeVar("T")

_SCANNERS: dict[str, Callable[[bytes], Facts]] = {
    "JPEG": jpeg.scan,
    "PNG": png.scan,
    "GIF": gif.scan,
    "WEBP": webp.scan,
    "BMP": bmp.scan,
    "TIFF": tiff.scan,
}


@dataclass(frozen=True)
class Limits:
    """What is decoded at all; anything beyond is an error row.

    `formats` may also name AVIF, JPEG2000 and, with pillow-heif installed, HEIF. Raises
    `ConfigError` for a format that cannot be decoded here.
    """

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_side: int = 65_500
    formats: frozenset[str] = frozenset({"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"})

    def __post_init__(self) -> None:
        unknown = sorted(set(self.formats) - DECODABLE)
        if unknown:
            raise ConfigError(f"formats {unknown} are not among {sorted(DECODABLE)}")
        if "HEIF" in self.formats and importlib.util.find_spec("pillow_heif") is None:
            raise ConfigError("format HEIF needs the package pillow-heif: pip install pillow-heif")

    def check(self, width: int, height: int) -> None:
        """Raise `too_many_pixels` or, for a side below one, `corrupt`."""
        if width <= 0 or height <= 0:
            raise ImageError(ErrorCode.CORRUPT, f"{width} x {height} pixels")
        if max(width, height) > self.max_side or width * height > self.max_pixels:
            raise ImageError(
                ErrorCode.TOO_MANY_PIXELS,
                f"{width} x {height} pixels, limit {self.max_pixels} and {self.max_side} a side",
            )


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
        """(H, W) uint8: Pillow's `convert("L")` of `rgb`, to the bit; read-only."""
        return np.asarray(PilImage.fromarray(self.rgb).convert("L"))

    def thumb(self, n: int) -> npt.NDArray[np.uint8]:
        """(h, w, 3) uint8 view of longest side <= n, read-only; `rgb` itself where it fits.

        Area average (OpenCV INTER_AREA); each side is `max(1, round(side * n / longest))`.
        """
        return self.memo(("thumb", n), lambda: _shrink(self.rgb, n))

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        """`compute()` once per image and key: how measures share a pass over the pixels."""
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]  # type: ignore[no-any-return]


DEFAULT_LIMITS = Limits()


def open_image(data: bytes, limits: Limits = DEFAULT_LIMITS, name: str = "") -> Image:
    """Decode `data` by the policy; raises `ImageError`. `name` is only used for its extension."""
    fmt = _admit(data, limits)
    facts, raster = _decode(data, fmt, limits)
    exif = _exif(data, facts)
    rgb = raster.rgb if raster.is_oriented else _orient(raster.rgb, exif.orientation)
    rgb.flags.writeable = False
    return Image(data, _header(facts, raster, exif, rgb, is_wrong_extension(name, fmt)), rgb)


def _admit(data: bytes, limits: Limits) -> str:
    """The format of `data`, if it is one that may be decoded."""
    if not data:
        raise ImageError(ErrorCode.EMPTY)
    if len(data) > limits.max_bytes:
        detail = f"{len(data)} bytes, limit {limits.max_bytes}"
        raise ImageError(ErrorCode.TOO_LARGE_FILE, detail)
    fmt = sniff(data)
    if fmt is None:
        raise ImageError(ErrorCode.NOT_AN_IMAGE, f"starts with {data[:16]!r}")
    if fmt not in limits.formats:
        raise ImageError(ErrorCode.FORMAT_DENIED, f"{fmt} is not among the formats decoded")
    return fmt


def _decode(data: bytes, fmt: str, limits: Limits) -> tuple[Facts, Raster]:
    scanner = _SCANNERS.get(fmt)
    if scanner is None:
        boxed.check(data)
        raster = decode_pillow(data, fmt, None, limits.check)
        assert raster.facts is not None  # noqa: S101 - for the type checker
        return raster.facts, raster
    facts = scanner(data)
    limits.check(facts.width, facts.height)
    if fmt == "JPEG":
        return facts, decode_jpeg(data, facts)
    encoded = data if facts.clean is None else facts.clean
    return facts, decode_pillow(encoded, fmt, facts, limits.check)


def _exif(data: bytes, facts: Facts) -> Exif:
    if facts.format == "TIFF":
        return from_directory(*tiff.open_directory(data))
    return read_exif(facts.exif, facts.xmp)


def _header(
    facts: Facts, raster: Raster, exif: Exif, rgb: npt.NDArray[np.uint8], is_wrong: bool
) -> Header:
    flags = (
        ("wrong_extension", is_wrong),
        ("exif_invalid", exif.is_invalid),
        ("multi_frame", facts.n_frames > 1),
        ("had_alpha", raster.has_alpha),
        ("was_cmyk", raster.mode == "CMYK"),
        ("was_16_bit", facts.bits > 8),
        ("has_icc", facts.has_icc),
        ("trailing_bytes", facts.trailing_bytes > 0),
    )
    return Header(
        format=facts.format,
        mode=raster.mode,
        width=rgb.shape[1],
        height=rgb.shape[0],
        bits=facts.bits,
        n_frames=facts.n_frames,
        has_alpha=raster.has_alpha,
        has_icc=facts.has_icc,
        exif_orientation=exif.orientation,
        exif_datetime=exif.datetime,
        exif_make=exif.make,
        exif_model=exif.model,
        exif_software=exif.software,
        has_gps=exif.has_gps,
        jpeg_quality=facts.jpeg_quality,
        is_progressive=facts.is_progressive,
        trailing_bytes=facts.trailing_bytes,
        flags=tuple(name for name, is_set in flags if is_set),
    )


def _orient(rgb: npt.NDArray[np.uint8], orientation: int | None) -> npt.NDArray[np.uint8]:
    """Turn the stored pixels upright (EXIF 2.32, tag 0x0112); other values than 2..8 do nothing."""
    if orientation is None or not 2 <= orientation <= 8:
        return rgb
    if orientation >= 5:
        rgb = rgb.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)


def _shrink(rgb: npt.NDArray[np.uint8], n: int) -> npt.NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    longest = max(height, width)
    if longest <= n:
        return rgb
    size = (max(1, round(width * n / longest)), max(1, round(height * n / longest)))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    small.flags.writeable = False
    return small
