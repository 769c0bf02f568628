"""Every pixel mode and every allowed format, one tile each, and the warnings they must raise."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from cvdata.sample.encode import encode, jpeg, png, raw_png, with_chunk, with_segment

ALPHA, CMYK, DEEP = "had_alpha", "was_cmyk", "was_16_bit"
FRAMES, ICC, EXIF, AFTER = "multi_frame", "has_icc", "exif_invalid", "trailing_bytes"
WRONG = "wrong_extension"


@dataclass(frozen=True)
class Layout:
    """`make(tile)` returns the bytes of a file named `<tile>_<name>.<extension>`."""

    name: str
    extension: str
    make: Callable[[Image.Image], bytes]
    flags: tuple[str, ...] = ()


def _saved(mode: str, fmt: str, **options: object) -> Callable[[Image.Image], bytes]:
    return lambda image: encode(image.convert(mode), fmt, **options)


def _palette(image: Image.Image) -> Image.Image:
    return image.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def stretched(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(H, W) uint8 gray from 0 to 255: every rule that narrows 16 bits gives these pixels back."""
    gray = np.asarray(image.convert("L"), dtype=np.float64)
    return np.asarray(np.rint((gray - gray.min()) * (255 / np.ptp(gray))), dtype=np.uint8)


def _gray_16(image: Image.Image) -> Image.Image:
    return Image.fromarray(stretched(image).astype(np.uint16) * 257)


def _rgb_16(image: Image.Image) -> bytes:
    return raw_png(np.asarray(image).astype(np.uint16) * 257, bits=16)


def _interlaced(image: Image.Image) -> bytes:
    return raw_png(np.asarray(image), is_interlaced=True)


def _float_tiff(image: Image.Image) -> bytes:
    return encode(Image.fromarray(stretched(image).astype(np.float32)), "TIFF")


def _lab_tiff(image: Image.Image) -> bytes:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    turned = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert turned is not None  # noqa: S101 - only an in-place transform returns None
    turned.info.pop("icc_profile", None)
    return encode(turned, "TIFF")


def _faded(mode: str) -> Callable[[Image.Image], Image.Image]:
    """The tile with an alpha that falls from left to right."""

    def make(image: Image.Image) -> Image.Image:
        ramp = np.linspace(255, 40, image.width).astype(np.uint8)
        faded = image.convert(mode)
        faded.putalpha(Image.fromarray(np.tile(ramp, (image.height, 1))))
        return faded

    return make


def _palette_hole(image: Image.Image, fmt: str) -> bytes:
    """The commonest colour of the palette is transparent."""
    indexed = _palette(image)
    commonest = int(np.bincount(np.asarray(indexed).ravel()).argmax())
    return encode(indexed, fmt, transparency=commonest)


def _animated(fmt: str, **options: object) -> Callable[[Image.Image], bytes]:
    def make(image: Image.Image) -> bytes:
        frames = [image.rotate(90 * turn) for turn in range(3)]
        if fmt == "GIF":
            frames = [_palette(frame) for frame in frames]
        return encode(frames[0], fmt, save_all=True, append_images=frames[1:], duration=80,
                      **options)  # fmt: skip

    return make


def _with_icc(image: Image.Image) -> bytes:
    """An ICC profile of a fixed date: littleCMS writes the time of day into bytes 24 to 36."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = (2024).to_bytes(2, "big") + b"\0\x01" * 2 + b"\0" * 6
    return jpeg(image, icc_profile=bytes(profile))


def _broken_exif(image: Image.Image) -> bytes:
    return with_segment(jpeg(image), 0xE1, b"Exif\0\0" + b"\x13\x37" * 40)


def _jpeg(**options: object) -> Callable[[Image.Image], bytes]:
    return lambda image: jpeg(image, **options)  # type: ignore[arg-type]


def _oriented_png(image: Image.Image) -> bytes:
    """Stored upside down, with an eXIf chunk that says so: lossless, unlike the JPEG versions."""
    exif = Image.Exif()
    exif[0x0112] = 3
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    return with_chunk(png(image.transpose(Image.Transpose.ROTATE_180)), b"eXIf", body)


def _multi_page(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    pages = [image.transpose(Image.Transpose.ROTATE_90)]
    image.save(stream, "TIFF", save_all=True, append_images=pages)
    return stream.getvalue()


LAYOUTS = (
    Layout("mode_1", "png", _saved("1", "PNG")),
    Layout("mode_l", "png", _saved("L", "PNG")),
    Layout("mode_la", "png", lambda i: png(_faded("L")(i)), (ALPHA,)),
    Layout("mode_p", "png", lambda i: png(_palette(i))),
    Layout("mode_p_hole", "png", lambda i: _palette_hole(i, "PNG"), (ALPHA,)),
    Layout("mode_rgba", "png", lambda i: png(_faded("RGB")(i)), (ALPHA,)),
    Layout("mode_i16", "png", lambda i: png(_gray_16(i)), (DEEP,)),
    Layout("rgb_48_bit", "png", _rgb_16, (DEEP,)),
    Layout("interlaced", "png", _interlaced),
    Layout("animated", "png", _animated("PNG"), (FRAMES,)),
    Layout("junk_after", "png", lambda i: png(i) + b"junk" * 64, (AFTER,)),
    Layout("turned", "png", _oriented_png),
    Layout("tiff_1", "tif", _saved("1", "TIFF", compression="group4")),
    Layout("tiff_l", "tif", _saved("L", "TIFF")),
    Layout("tiff_p", "tif", lambda i: encode(_palette(i), "TIFF")),
    Layout("tiff_deflate", "tif", _saved("RGB", "TIFF", compression="tiff_adobe_deflate")),
    Layout("tiff_rgba", "tif", lambda i: encode(_faded("RGB")(i), "TIFF"), (ALPHA,)),
    Layout("tiff_cmyk", "tif", _saved("CMYK", "TIFF"), (CMYK,)),
    Layout("tiff_ycbcr", "tif", _saved("YCbCr", "TIFF")),
    Layout("tiff_lab", "tif", _lab_tiff),
    Layout("tiff_i16", "tif", lambda i: encode(_gray_16(i), "TIFF"), (DEEP,)),
    Layout("tiff_float", "tif", _float_tiff, (DEEP,)),
    Layout("tiff_pages", "tif", _multi_page, (FRAMES,)),
    Layout("gray", "jpg", lambda i: jpeg(i.convert("L"))),
    Layout("cmyk", "jpg", lambda i: jpeg(i.convert("CMYK")), (CMYK,)),
    Layout("rgb_coded", "jpg", _jpeg(keep_rgb=True)),
    Layout("baseline_422", "jpg", _jpeg(subsampling=1)),
    Layout("baseline_420", "jpg", _jpeg(subsampling=2)),
    Layout("progressive", "jpg", _jpeg(progressive=True)),
    Layout("restarts", "jpg", _jpeg(restart_marker_blocks=4)),
    Layout("icc", "jpg", _with_icc, (ICC,)),
    Layout("broken_exif", "jpg", _broken_exif, (EXIF,)),
    Layout("junk_after", "jpg", lambda i: jpeg(i) + b"PK\3\4" + bytes(300), (AFTER,)),
    Layout("gif", "gif", lambda i: encode(_palette(i), "GIF")),
    Layout("gif_hole", "gif", lambda i: _palette_hole(i, "GIF"), (ALPHA,)),
    Layout("gif_animated", "gif", _animated("GIF"), (FRAMES,)),
    Layout("bmp", "bmp", _saved("RGB", "BMP")),
    Layout("bmp_p", "bmp", lambda i: encode(_palette(i), "BMP")),
    Layout("bmp_1", "bmp", _saved("1", "BMP")),
    Layout("webp", "webp", _saved("RGB", "WEBP", quality=85)),
    Layout("webp_lossless", "webp", _saved("RGB", "WEBP", lossless=True)),
    Layout("webp_alpha", "webp", lambda i: encode(_faded("RGB")(i), "WEBP", quality=85), (ALPHA,)),
    Layout("webp_animated", "webp", _animated("WEBP", quality=80), (FRAMES,)),
    Layout("really_png", "jpg", png, (WRONG,)),
    Layout("really_jpeg", "png", jpeg, (WRONG,)),
    Layout("really_webp", "jpg", _saved("RGB", "WEBP", quality=85), (WRONG,)),
    Layout("really_gif", "png", lambda i: encode(_palette(i), "GIF"), (WRONG,)),
    Layout("really_tiff", "jpg", _saved("RGB", "TIFF"), (WRONG,)),
)
