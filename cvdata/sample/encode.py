"""Pixels -> bytes, with every encoder's parameters pinned; and surgery on encoded bytes."""

import io
import struct
import zlib
from typing import Any

import numpy.typing as npt
from PIL import Image

_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
           (1, 0, 2, 1))  # fmt: skip
"""Adam7: first row, first column, row step, column step."""


def encode(image: Image.Image, fmt: str, **options: Any) -> bytes:
    """`image` written by Pillow."""
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def jpeg(image: Image.Image, quality: int = 92, **options: Any) -> bytes:
    """A baseline JPEG, 4:4:4 unless `subsampling` says otherwise."""
    return encode(image, "JPEG", **{"quality": quality, "subsampling": 0, **options})


def png(image: Image.Image, **options: Any) -> bytes:
    """A PNG of compression level 6."""
    return encode(image, "PNG", compress_level=6, **options)


def decode(data: bytes) -> Image.Image:
    """The pixels of `data` as RGB, as stored: no orientation is applied."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk: length, kind, body, CRC."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(samples: npt.NDArray[Any], *, bits: int = 8, is_interlaced: bool = False) -> bytes:
    """A PNG that Pillow cannot write: 16-bit RGB, Adam7.

    `samples` is (H, W, 3) or (H, W), uint8 or uint16 as `bits` says; every row has filter 0.
    """
    height, width = samples.shape[:2]
    kind = 2 if samples.ndim == 3 else 0
    ordered = samples.astype(f">u{bits // 8}")
    passes = _PASSES if is_interlaced else ((0, 0, 1, 1),)
    rows = [
        b"\0" + row.tobytes()
        for top, left, down, right in passes
        for row in ordered[top::down, left::right]
        if row.size
    ]
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, is_interlaced)
    body = zlib.compress(b"".join(rows), 6)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment behind its start: the pixels stay, the bytes do not."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    return data[:33] + chunk(kind, body) + data[33:]
