"""BMP: every depth, and every way to break it."""

import struct
from collections.abc import Iterator

import numpy as np

from cvdata.errors import ErrorCode as E
from tests.corpus.base import Case, photo, saved
from tests.corpus.png import packed


def bmp(
    size: tuple[int, int], bits: int, body: bytes, *, compression: int = 0, extra: bytes = b""
) -> bytes:
    """A BMP with a 40-byte header; `extra` is the palette or the masks."""
    start = 54 + len(extra)
    info = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, compression, len(body), 0, 0, 0, 0)
    return struct.pack("<2sIII", b"BM", start + len(body), 0, start) + info + extra + body


def bmp_cases() -> Iterator[Case]:
    rgb = photo()
    bgr = rgb[::-1, :, ::-1]
    good = saved("RGB", "BMP")
    gray = rgb[:, :, 1]
    palette = b"".join(bytes([i, 255 - i, 7, 0]) for i in range(256))
    colors = np.array([[7, 255 - i, i] for i in range(256)], np.uint8)
    yield Case("good.bmp", good, pixels=rgb)
    yield Case("top-down.bmp", bmp((48, -32), 24, bgr[::-1].tobytes()), pixels=rgb)
    yield Case("1-bit.bmp", saved("1", "BMP"))
    yield Case(
        "palette8.bmp", bmp((48, 32), 8, gray[::-1].tobytes(), extra=palette), pixels=colors[gray]
    )
    four = packed(gray[::-1] >> 4, 4).tobytes()
    yield Case("palette4.bmp", bmp((48, 32), 4, four, extra=palette[:64]), pixels=colors[gray >> 4])
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    yield Case("565.bmp", bmp((2, 1), 16, b"\xff\xff\0\xf8", compression=3, extra=masks))
    wide = np.dstack([bgr, np.full((32, 48), 9, np.uint8)])
    yield Case("32-bit.bmp", bmp((48, 32), 32, wide.tobytes()), pixels=rgb)
    runs = b"".join(bytes([48, row % 7]) + b"\0\0" for row in range(32)) + b"\0\1"
    index = np.repeat((np.arange(32) % 7)[::-1][:, None], 48, axis=1)
    yield Case(
        "rle8.bmp", bmp((48, 32), 8, runs, compression=1, extra=palette), pixels=colors[index]
    )
    yield Case("rle4.bmp", bmp((4, 1), 4, b"\4\x12\0\1", compression=2, extra=palette[:64]))
    os2 = struct.pack("<2sIII", b"BM", 26 + 24, 0, 26) + struct.pack("<IHHHH", 12, 2, 3, 1, 24)
    yield Case("os2.bmp", os2 + bytes(24), pixels=np.zeros((3, 2, 3), np.uint8))
    yield Case(
        "bomb.bmp", bmp((60_000, 60_000), 8, runs, compression=1, extra=palette), E.TOO_MANY_PIXELS
    )
    yield Case("zero.bmp", bmp((0, 32), 24, b""), E.CORRUPT)
    yield Case("negative.bmp", bmp((-48, 32), 24, bgr.tobytes()), E.CORRUPT)
    yield Case("huge-height.bmp", bmp((48, -(2**31)), 24, bgr.tobytes()), E.TRUNCATED)
    yield Case("2-bit.bmp", bmp((48, 32), 2, bytes(600)), E.FORMAT_DENIED)
    yield Case("jpeg-inside.bmp", bmp((48, 32), 24, bytes(5000), compression=4), E.FORMAT_DENIED)
    yield Case("header-size.bmp", good[:14] + b"\x63\0\0\0" + good[18:], E.FORMAT_DENIED)
    yield Case("trailing.bmp", good + b"more", pixels=rgb, flags=("trailing_bytes",))
