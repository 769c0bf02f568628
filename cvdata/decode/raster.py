"""Decoders and the rule by which each pixel layout becomes RGB8."""

import contextlib
import importlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image as PilImage
from PIL import ImageCms, ImageFile

from cvdata.decode import jpeg, png
from cvdata.decode.facts import Facts, corrupt, truncated
from cvdata.errors import ErrorCode, ImageError

RGB = npt.NDArray[np.uint8]

_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]+)")
_MAX_LEFT_OVER = 64
_SHORT = (
    "truncat",
    "not enough",
    "premature end",
    "unexpected end",
    "end of file",
    "no more images",
    "buffer is not large enough",
)


@dataclass(frozen=True)
class Raster:
    """Decoded pixels: `rgb` is (H, W, 3) uint8, not yet oriented unless `is_oriented`."""

    rgb: RGB
    mode: str
    has_alpha: bool = False
    is_oriented: bool = False
    facts: Facts | None = None


class _Quiet:
    """Silence Python warnings and Pillow's own pixel limit (ours is checked first) while decoding.

    Counted, because both are process-wide: the first thread in sets, the last one out restores.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._saved: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                scope = warnings.catch_warnings()
                scope.__enter__()
                warnings.simplefilter("ignore")
                self._saved = scope, PilImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
                PilImage.MAX_IMAGE_PIXELS = None
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._depth += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                scope, PilImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self._saved
                scope.__exit__(None, None, None)


_quiet = _Quiet()


def image_error(error: BaseException, fmt: str) -> ImageError:
    """The one place where what a decoder raises becomes a code."""
    text = f"{fmt}: {error}" if str(error) else f"{fmt}: {type(error).__name__}"
    if isinstance(error, ImageError):
        return error
    if isinstance(error, MemoryError):
        return ImageError(ErrorCode.OUT_OF_MEMORY, text)
    if isinstance(error, PilImage.DecompressionBombError):
        return ImageError(ErrorCode.TOO_MANY_PIXELS, text)
    if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
        return ImageError(ErrorCode.OUT_OF_MEMORY, text)
    lower = str(error).lower()
    if isinstance(error, EOFError) or any(sign in lower for sign in _SHORT):
        return ImageError(ErrorCode.TRUNCATED, text)
    if "out of memory" in lower:
        return ImageError(ErrorCode.OUT_OF_MEMORY, text)
    if "unknown pixel mode" in lower or "unsupported" in lower or "not supported" in lower:
        return ImageError(ErrorCode.FORMAT_DENIED, text)
    return ImageError(ErrorCode.CORRUPT, text)


@contextlib.contextmanager
def decoding(fmt: str) -> Iterator[None]:
    """Around third-party decoders only: all that they raise is about this image."""
    with _quiet:
        try:
            yield
        except Exception as error:
            raise image_error(error, fmt) from error


def decode_jpeg(data: bytes, facts: Facts) -> Raster:
    """A JPEG through libjpeg-turbo, or through Pillow where simplejpeg has no word for it.

    Both give the same pixels. libjpeg conceals damage with a warning and a grey remainder; here the
    warning is an error, save for a few bytes, or padding, left over behind the last pixel.
    """
    colorspace = {"L": "GRAY", "RGB": "RGB"}.get(facts.mode, "CMYK")
    try:
        pixels = simplejpeg.decode_jpeg(data, colorspace)
    except MemoryError as error:
        raise image_error(error, "JPEG") from error
    except ValueError as error:
        _raise_damage(error, data, facts)
        try:
            # libjpeg names only its first complaint: ask again without the metadata.
            pixels = simplejpeg.decode_jpeg(jpeg.without_metadata(data), colorspace)
        except ValueError as again:
            _raise_damage(again, data, facts)
            return _jpeg_by_pillow(jpeg.without_metadata(data))
    if pixels.shape[:2] != (facts.height, facts.width):
        raise corrupt("JPEG frame is not of the size in its header")
    if facts.mode == "L":
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    elif facts.mode == "CMYK":
        size = (facts.width, facts.height)
        cmyk = PilImage.frombuffer("CMYK", size, pixels, "raw", "CMYK;I", 0, 1)
        pixels = np.asarray(cmyk.convert("RGB"))
    return Raster(pixels, facts.mode)


def _raise_damage(error: ValueError, data: bytes, facts: Facts) -> None:
    """Raise where a complaint of libjpeg means lost pixels; there are harmless ones."""
    text = str(error)
    if not text.startswith(("Corrupt JPEG data", "Premature end")) or "bad ICC marker" in text:
        return
    match = _LEFT_OVER.search(text)
    if match is not None:
        count, is_last = int(match[1]), match[2] == "d9"
        end = data.rfind(b"\xff\xd9", 0, len(data) - facts.trailing_bytes)
        is_padding = len(set(data[end - count : end])) <= 1
        if not is_last or count <= _MAX_LEFT_OVER or is_padding:
            return
    raise image_error(error, "JPEG") from error


def _jpeg_by_pillow(data: bytes) -> Raster:
    from PIL.JpegImagePlugin import JpegImageFile

    with decoding("JPEG"):
        image = JpegImageFile(io.BytesIO(data))
        image.load()
        return Raster(np.asarray(image.convert("RGB")), image.mode)


def decode_pillow(
    data: bytes, fmt: str, facts: Facts | None, check: Callable[[int, int], None]
) -> Raster:
    """Any other format through Pillow's own plugin for it; first frame only.

    `check(width, height)` is called with the plugin's idea of the size before a pixel is decoded.
    """
    with decoding(fmt):
        image = _plugin(fmt)(io.BytesIO(data))
        check(*image.size)
        if facts is None:
            facts = _facts_of(image, fmt)
        image.load()
        if fmt == "PNG":
            _check_rows(image, data, facts)
            _scale_transparency(image, facts.bits)
        rgb, has_alpha = to_rgb8(image, facts.bits)
        mode = facts.mode if fmt == "PNG" else image.mode
        return Raster(rgb, mode, has_alpha, is_oriented=fmt in ("TIFF", "HEIF"), facts=facts)


def _plugin(fmt: str) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    """Pillow's class for a format: no other plugin ever sees the bytes."""
    if fmt == "HEIF":
        name, module = "Heif", importlib.import_module("pillow_heif")
    else:
        name = {"JPEG2000": "Jpeg2K", "WEBP": "WebP"}.get(fmt, fmt.capitalize())
        module = importlib.import_module(f"PIL.{name}ImagePlugin")
    if fmt == "AVIF":
        # One image, one thread: the workers are the parallelism.
        vars(module)["DEFAULT_MAX_THREADS"] = 1
    plugin: Callable[[io.BytesIO], ImageFile.ImageFile] = getattr(module, f"{name}ImageFile")
    return plugin


def _facts_of(image: ImageFile.ImageFile, fmt: str) -> Facts:
    """Header facts of the formats that have no scanner here, from their plugin."""
    info = image.info
    return Facts(
        format=fmt,
        width=image.width,
        height=image.height,
        n_frames=getattr(image, "n_frames", 1),
        bits=16 if image.mode.startswith("I;16") else 8,
        has_icc=bool(info.get("icc_profile")),
        exif=info.get("exif"),
        xmp=info.get("xmp"),
    )


def _check_rows(image: PilImage.Image, data: bytes, facts: Facts) -> None:
    """Pixels that were never written are zero: only where the last one is, count the rows."""
    last = image.getpixel((image.width - 1, image.height - 1))
    is_blank = not (any(last) if isinstance(last, tuple) else last)
    if (is_blank or facts.is_progressive) and not png.has_all_rows(data):
        raise truncated("PNG has fewer rows than its header says")


def _scale_transparency(image: PilImage.Image, bits: int) -> None:
    """Transparent colours count in the file's own depth, Pillow's pixels in 8 bits."""
    value = image.info.get("transparency")
    if isinstance(value, int) and image.mode in ("1", "L") and bits < 8:
        image.info["transparency"] = min(value * 255 // ((1 << bits) - 1), 255)
    elif isinstance(value, tuple) and bits == 16:
        image.info["transparency"] = tuple(v >> 8 for v in value)


def to_rgb8(image: PilImage.Image, bits: int) -> tuple[RGB, bool]:
    """(H, W, 3) uint8 of a loaded image by the one rule of its mode, and whether it has alpha.

    Integers deeper than 8 bits keep their high byte; alpha goes over white; Lab goes through
    littleCMS to sRGB; CMYK and YCbCr by Pillow's formulas; I and F are scaled by `_wide`.
    """
    mode = image.mode
    if mode.startswith("I;16"):
        return _sixteen(image, bits)
    if mode in ("I", "F"):
        return _wide(np.asarray(image)), False
    if image.has_transparency_data:
        if mode == "La":
            image = image.convert("LA")
        rgba = image.convert("RGBA")
        canvas = PilImage.new("RGB", rgba.size, (255, 255, 255))
        canvas.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
        return np.asarray(canvas), True
    if mode == "LAB":
        image = PilImage.frombytes("RGB", image.size, _lab_bytes(image))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB")), False


def _sixteen(image: PilImage.Image, bits: int) -> tuple[RGB, bool]:
    values = np.asarray(image)
    gray = (values >> ((bits if 8 < bits < 16 else 16) - 8)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray[values == transparent] = 255
    return np.repeat(gray[:, :, None], 3, axis=2), isinstance(transparent, int)


def _wide(values: npt.NDArray[Any]) -> RGB:
    """32-bit integers and floats -> gray.

    The smallest of the ranges 0..1 (floats only), 0..255 and 0..65535 that holds the largest value
    is mapped on 0..255; what lies below is 0, above 255, NaN 0.
    """
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=65535.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    is_float = not np.array_equal(values, np.floor(values))
    if top > 255:
        values = values / 256.0
    elif top <= 1 and is_float:
        values = values * 255.0
    gray = np.clip(np.floor(values), 0, 255).astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)


def _lab_bytes(image: PilImage.Image) -> bytes:
    rgb = ImageCms.applyTransform(image, _lab_to_srgb())
    return b"" if rgb is None else rgb.tobytes()


@lru_cache(maxsize=1)
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
