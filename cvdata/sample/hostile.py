"""Files that cannot be read, and names that are hard to write down."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cvdata.errors import ErrorCode
from cvdata.sample.encode import chunk, encode, jpeg, png


@dataclass(frozen=True)
class Bad:
    """A file `name` whose row must bear `code`; `make(tile)` returns its bytes."""

    name: str
    code: ErrorCode
    make: Callable[[Image.Image], bytes]


def _cut(whole: Callable[[Image.Image], bytes], share: float) -> Callable[[Image.Image], bytes]:
    def make(image: Image.Image) -> bytes:
        data = whole(image)
        return data[: int(len(data) * share)]

    return make


def _bytes(data: bytes) -> Callable[[Image.Image], bytes]:
    return lambda _: data


def _png_bomb(_: Image.Image) -> bytes:
    """144 million pixels, all of them there, in some 18 kB."""
    return encode(Image.new("1", (12_000, 12_000)), "PNG", compress_level=9)


def _wide_png(_: Image.Image) -> bytes:
    return png(Image.new("L", (70_000, 3), 128))


def _huge_jpeg(image: Image.Image) -> bytes:
    """A small scan under a frame header of 65,500 x 65,500 pixels."""
    data = jpeg(image)
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 65_500, 65_500) + data[at + 4 :]


def _huge_gif(image: Image.Image) -> bytes:
    data = encode(image.convert("P"), "GIF")
    return data[:6] + struct.pack("<HH", 65_500, 65_500) + data[10:]


def _flipped_crc(image: Image.Image) -> bytes:
    data = bytearray(png(image))
    data[29] ^= 0xFF  # the first byte of the header's CRC
    return bytes(data)


def _broken_stream(image: Image.Image) -> bytes:
    """Sound chunks around what is no zlib stream."""
    header = png(image)[:33]
    return header + chunk(b"IDAT", b"no zlib stream " * 20) + chunk(b"IEND", b"")


def _broken_tables(image: Image.Image) -> bytes:
    """A Huffman table that counts more codes than there can be."""
    data = jpeg(image)
    at = data.index(b"\xff\xc4") + 6
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


_HTML = b"<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>\n"
_SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\n'
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
_PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"
_GARBAGE = b"\x01\x9c" + np.random.default_rng(2024).bytes(3_000)
_BMP = (lambda image: encode(image, "BMP"), 0.6)

BAD = (
    Bad("half.jpg", ErrorCode.TRUNCATED, _cut(jpeg, 0.5)),
    Bad("tailless.jpg", ErrorCode.TRUNCATED, _cut(jpeg, 0.97)),
    Bad("half.png", ErrorCode.TRUNCATED, _cut(png, 0.5)),
    Bad("half.webp", ErrorCode.TRUNCATED, _cut(lambda i: encode(i, "WEBP"), 0.5)),
    Bad("half.gif", ErrorCode.TRUNCATED, _cut(lambda i: encode(i.convert("P"), "GIF"), 0.5)),
    Bad("half.bmp", ErrorCode.TRUNCATED, _cut(*_BMP)),
    Bad("empty.jpg", ErrorCode.EMPTY, _bytes(b"")),
    Bad("empty.png", ErrorCode.EMPTY, _bytes(b"")),
    Bad("text.jpg", ErrorCode.NOT_AN_IMAGE, _bytes(b"This was meant to be a photograph.\n")),
    Bad("page.png", ErrorCode.NOT_AN_IMAGE, _bytes(_HTML)),
    Bad("garbage.jpg", ErrorCode.NOT_AN_IMAGE, _bytes(_GARBAGE)),
    Bad("drawing_svg.png", ErrorCode.FORMAT_DENIED, _bytes(_SVG)),
    Bad("figure_eps.jpg", ErrorCode.FORMAT_DENIED, _bytes(_EPS)),
    Bad("paper_pdf.jpg", ErrorCode.FORMAT_DENIED, _bytes(_PDF)),
    Bad("pixmap.ppm", ErrorCode.FORMAT_DENIED, lambda i: encode(i.resize((40, 40)), "PPM")),
    Bad("bomb.png", ErrorCode.TOO_MANY_PIXELS, _png_bomb),
    Bad("wide.png", ErrorCode.TOO_MANY_PIXELS, _wide_png),
    Bad("huge_frame.jpg", ErrorCode.TOO_MANY_PIXELS, _huge_jpeg),
    Bad("huge_screen.gif", ErrorCode.TOO_MANY_PIXELS, _huge_gif),
    Bad("crc.png", ErrorCode.CORRUPT, _flipped_crc),
    Bad("stream.png", ErrorCode.CORRUPT, _broken_stream),
    Bad("tables.jpg", ErrorCode.CORRUPT, _broken_tables),
)

LINK = b"link_outside.jpg"
LINK_TARGET = b"../../../outside.jpg"
"""Leads out of the folder of the sample, to nothing."""

NAMES = (
    b"line\nbreak.jpg",
    "right\u202egpj.to.left.jpg".encode(),
    b"not\xff\xfeutf8\x80.jpg",
    b"n" * 246 + b".jpg",
    b'=HYPERLINK("x",A1).jpg',
    b"<img src=x onerror=alert(1)>.jpg",
    b"-rf --no-preserve.jpg",
    b"100%25 and %2e%2e.jpg",
    b"tab\tand 'quotes\" & spaces .jpg",
    "\u0438\u043c\u044f \U0001f9ea e\u0301.jpg".encode(),
    b"back\\slash..jpg",
)
"""Good images under these names."""
