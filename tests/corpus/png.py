"""PNG: every layout, and every way to break it."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image as PilImage

from cvdata.errors import ErrorCode as E
from tests.corpus.base import Case, gray_of, photo, saved
from tests.corpus.jpeg import exif


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    """One PNG chunk, its CRC right unless given."""
    value = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", value)


def png(
    size: tuple[int, int],
    depth: int,
    color: int,
    rows: bytes,
    *,
    before: bytes = b"",
    interlace: int = 0,
) -> bytes:
    """A PNG of already filtered `rows`; `before` are chunks between IHDR and IDAT."""
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def unfiltered(rows: np.ndarray) -> bytes:
    """Rows of bytes with filter type 0 before each."""
    flat = rows.reshape(rows.shape[0], -1)
    return b"".join(b"\0" + row.tobytes() for row in flat)


def adam7(array: np.ndarray) -> bytes:
    """The seven passes of an interlaced image, unfiltered."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    passes.append((1, 0, 2, 1))
    parts = [array[y0::dy, x0::dx] for y0, x0, dy, dx in passes]
    return b"".join(unfiltered(np.ascontiguousarray(p)) for p in parts if p.size)


def packed(values: np.ndarray, depth: int) -> np.ndarray:
    """(H, W) values below 2**depth, packed big-endian into rows of bytes."""
    bits = ((values[:, :, None] >> np.arange(depth)[::-1]) & 1).reshape(len(values), -1)
    return np.packbits(bits.astype(np.uint8), axis=1)


def png_cases() -> Iterator[Case]:
    rgb = photo()
    good = saved("RGB", "PNG")
    size = (48, 32)
    gray = rgb[:, :, 1].astype(np.uint16)
    deep = gray * 257 + 13
    alpha = np.linspace(0, 255, 48).astype(np.uint8)[None, :].repeat(32, 0)
    white = (
        rgb.astype(int) * alpha[:, :, None] + 255 * (255 - alpha[:, :, None].astype(int))
    ) / 255
    over = np.floor(white + 0.5).astype(np.uint8)
    yield Case("good.png", good, pixels=rgb)
    yield Case("interlaced.png", png(size, 8, 2, adam7(rgb), interlace=1), pixels=rgb)
    for depth in (1, 2, 4):
        values = (gray >> (8 - depth)).astype(np.uint8)
        scaled = gray_of(values.astype(int) * 255 // ((1 << depth) - 1))
        yield Case(
            f"gray{depth}.png",
            png(size, depth, 0, unfiltered(packed(values, depth))),
            pixels=scaled,
        )
        key = chunk(b"tRNS", struct.pack(">H", (1 << depth) - 1))
        yield Case(
            f"gray{depth}-transparent.png",
            png(size, depth, 0, unfiltered(packed(values, depth)), before=key),
            pixels=np.where(scaled == 255, 255, scaled).astype(np.uint8),
            flags=("had_alpha",),
        )
    rows16 = unfiltered(deep.astype(">u2").view(np.uint8))
    yield Case(
        "gray16.png", png(size, 16, 0, rows16), pixels=gray_of(deep >> 8), flags=("was_16_bit",)
    )
    key16 = chunk(b"tRNS", struct.pack(">H", int(deep[5, 5])))
    seen = np.where(deep == deep[5, 5], 255, deep >> 8)
    yield Case(
        "gray16-transparent.png",
        png(size, 16, 0, rows16, before=key16),
        pixels=gray_of(seen),
        flags=("was_16_bit", "had_alpha"),
    )
    rgb16 = rgb.astype(np.uint16) * 257
    yield Case(
        "rgb16.png",
        png(size, 16, 2, unfiltered(rgb16.astype(">u2").view(np.uint8))),
        pixels=rgb,
        flags=("was_16_bit",),
    )
    rgba = np.dstack([rgb, alpha])
    yield Case("rgba.png", saved("RGBA", "PNG", rgba), pixels=over, flags=("had_alpha",))
    rgba16 = (rgba.astype(np.uint16) * 257).astype(">u2").view(np.uint8)
    yield Case("rgba16.png", png(size, 16, 6, unfiltered(rgba16)), pixels=over)
    la = np.dstack([rgb[:, :, 1], alpha])
    yield Case("la.png", png(size, 8, 4, unfiltered(la)), pixels=gray_of(over[:, :, 1]))
    palette = np.arange(48, dtype=np.uint8).reshape(16, 3) * 5
    index = (gray >> 4).astype(np.uint8)
    plte = chunk(b"PLTE", palette.tobytes())
    yield Case(
        "palette.png",
        png(size, 4, 3, unfiltered(packed(index, 4)), before=plte),
        pixels=palette[index],
    )
    some = chunk(b"tRNS", bytes([255, 255, 0]))
    colors = palette.copy()
    colors[2] = 255
    yield Case(
        "palette-transparent.png",
        png(size, 4, 3, unfiltered(packed(index, 4)), before=plte + some),
        pixels=colors[index],
        flags=("had_alpha",),
    )
    yield from _png_damage(good, rgb)


def _png_damage(good: bytes, rgb: np.ndarray) -> Iterator[Case]:
    at = good.index(b"IDAT")
    rows = unfiltered(rgb)
    size = (48, 32)
    bomb = zlib.compress(bytes(20 << 20), 9)
    yield Case("bad-crc-header.png", good[:29] + bytes([good[29] ^ 1]) + good[30:], E.CORRUPT)
    yield Case("bad-crc-pixels.png", good[: at + 30] + b"\xaa\x55" + good[at + 32 :], E.CORRUPT)
    yield Case("no-pixels.png", good[: at - 4] + chunk(b"IEND", b""), E.CORRUPT)
    yield Case("no-end.png", good[:-12], E.TRUNCATED)
    yield Case("few-rows.png", png(size, 8, 2, rows[: len(rows) // 2]), E.TRUNCATED)
    yield Case("bad-filter.png", png(size, 8, 2, b"\x09" + rows[1:]), E.CORRUPT)
    yield Case("bad-depth.png", png(size, 3, 2, rows), E.CORRUPT)
    yield Case("zero-width.png", png((0, 32), 8, 2, rows), E.CORRUPT)
    yield Case("bomb.png", png((65_000, 65_000), 8, 2, bytes(1000)), E.TOO_MANY_PIXELS)
    yield Case("long-side.png", png((70_000, 1), 8, 0, bytes(70_001)), E.TOO_MANY_PIXELS)
    yield Case("huge.png", png((0x7FFFFFFF, 0x7FFFFFFF), 8, 2, b""), E.TOO_MANY_PIXELS)
    text = chunk(b"zTXt", b"Comment\0\0" + bomb) + chunk(b"iTXt", b"a\0\1\0\0\0" + bomb)
    yield Case("text-bomb.png", png(size, 8, 2, rows, before=text), pixels=rgb)
    icc = chunk(b"iCCP", b"icc\0\0" + bomb)
    yield Case("icc-bomb.png", png(size, 8, 2, rows, before=icc), pixels=rgb, flags=("has_icc",))
    xmp = b'<x tiff:Orientation="3"/>'
    turned = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    yield Case("xmp-turned.png", png(size, 8, 2, rows, before=turned), pixels=rgb[::-1, ::-1])
    yield Case("exif-turned.png", png(size, 8, 2, rows, before=chunk(b"eXIf", exif(3))), None)
    raw = exif(3).hex().encode()
    profile = chunk(b"tEXt", b"Raw profile type exif\0\nexif\n      38\n" + raw + b"\n")
    yield Case("raw-profile.png", png(size, 8, 2, rows, before=profile), pixels=rgb[::-1, ::-1])
    yield Case("trailing.png", good + b"PK\x03\x04", pixels=rgb, flags=("trailing_bytes",))
    yield Case("named.jpg", good, pixels=rgb, flags=("wrong_extension",))
    frames = [PilImage.fromarray(photo(seed=i)) for i in range(3)]
    animated = io.BytesIO()
    frames[0].save(animated, "PNG", save_all=True, append_images=frames[1:])
    yield Case("animated.png", animated.getvalue(), pixels=rgb, flags=("multi_frame",))
