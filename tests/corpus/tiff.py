"""TIFF: layouts, compressions, and every way to break it."""

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image as PilImage

from cvdata.errors import ErrorCode as E
from tests.corpus.base import Case, gray_of, photo, saved
from tests.corpus.jpeg import ifd


def tiff(tags: dict[int, tuple[int, list[int]]], body: bytes, *, order: str = "<") -> bytes:
    """A TIFF of SHORT (3) and LONG (4) tags with `body` at offset 8; lists that do not fit inline
    go behind the directory."""
    start = 8 + len(body)
    beyond = start + 2 + 12 * len(tags) + 4
    entries, tail = [], b""
    for tag, (kind, values) in sorted(tags.items()):
        value = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(value) > 4:
            place = struct.pack(order + "I", beyond + len(tail))
            tail += value
            value = place
        entries.append((tag, kind, len(values), value))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return head + body + ifd(entries, order) + tail


def _gray_tags(size: tuple[int, int], body: bytes, **more: tuple[int, list[int]]) -> dict[int, Any]:
    tags = {
        256: (4, [size[0]]), 257: (4, [size[1]]), 258: (3, [8]), 259: (3, [1]), 262: (3, [1]),
        273: (4, [8]), 277: (3, [1]), 278: (4, [size[1]]), 279: (4, [len(body)]),
    }  # fmt: skip
    return tags | {int(k[1:]): v for k, v in more.items()}


def tiff_cases() -> Iterator[Case]:
    rgb = photo()
    gray = rgb[:, :, 1]
    raw = gray.tobytes()
    size = (48, 32)
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield Case(f"{name}.tif", saved("RGB", "TIFF", compression=name), pixels=rgb)
    yield Case("jpeg.tif", saved("RGB", "TIFF", compression="jpeg"))
    yield Case("group4.tif", saved("1", "TIFF", compression="group4"))
    yield Case("big.tif", saved("RGB", "TIFF", big_tiff=True), pixels=rgb)
    yield Case("motorola.tif", tiff(_gray_tags(size, raw), raw, order=">"), pixels=gray_of(gray))
    inverted = tiff(_gray_tags(size, raw, t262=(3, [0])), raw)
    yield Case("white-is-zero.tif", inverted, pixels=255 - gray_of(gray))
    deep = gray.astype(np.uint16) * 257
    yield Case(
        "16-bit.tif", saved("I;16", "TIFF", deep), pixels=gray_of(gray), flags=("was_16_bit",)
    )
    whole = gray.astype(np.int32)
    yield Case("int32.tif", saved("I", "TIFF", whole), pixels=gray_of(gray))
    yield Case("int32-wide.tif", saved("I", "TIFF", whole * 256), pixels=gray_of(gray))
    yield Case("float.tif", saved("F", "TIFF", gray.astype(np.float32)), pixels=gray_of(gray))
    unit = gray.astype(np.float32) / 255
    yield Case("float-unit.tif", saved("F", "TIFF", unit), pixels=gray_of(np.floor(unit * 255.0)))
    odd = np.array([[np.nan, np.inf], [-np.inf, 300.5]], np.float32)
    yield Case(
        "float-odd.tif", saved("F", "TIFF", odd), pixels=gray_of(np.array([[0, 255], [0, 1]]))
    )
    yield Case("cmyk.tif", saved("CMYK", "TIFF"), flags=("was_cmyk",))
    yield Case("lab.tif", lab_tiff())
    frames = [PilImage.fromarray(photo(seed=i)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    yield Case("pages.tif", buffer.getvalue(), pixels=rgb, flags=("multi_frame",))
    tiles = np.zeros((32, 64), np.uint8)
    tiles[:, :48] = gray
    body = b"".join(
        tiles[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in range(0, 64, 16)
    )
    tiled = {k: v for k, v in _gray_tags(size, body).items() if k not in (273, 278, 279)}
    tiled |= {322: (3, [16]), 323: (3, [16])}
    places = [8 + 256 * i for i in (0, 1, 2, 4, 5, 6)]
    tiled |= {324: (4, places), 325: (4, [256] * 6)}
    yield Case("tiled.tif", tiff(tiled, body), pixels=gray_of(gray))
    planes = np.moveaxis(rgb, 2, 0).tobytes()
    planar = _gray_tags(size, planes, t262=(3, [2]), t277=(3, [3]), t284=(3, [2]))
    planar |= {258: (3, [8, 8, 8]), 273: (4, [8, 8 + 1536, 8 + 3072]), 279: (4, [1536] * 3)}
    yield Case("planar.tif", tiff(planar, planes), pixels=rgb)
    turned = _gray_tags(size, raw, t274=(3, [6]))
    yield Case("turned.tif", tiff(turned, raw), pixels=gray_of(np.rot90(gray, -1)))
    yield from _tiff_damage(size, raw, gray)


def lab_tiff() -> bytes:
    """CIELab, D50: white, black, mid grey and a strong red."""
    body = bytes([255, 0, 0, 0, 0, 0, 128, 0, 0, 139, 80, 67])
    tags = _gray_tags((2, 2), body, t258=(3, [8, 8, 8]), t262=(3, [8]), t277=(3, [3]))
    return tiff(tags, body)


def _tiff_damage(size: tuple[int, int], raw: bytes, gray: np.ndarray) -> Iterator[Case]:
    good = tiff(_gray_tags(size, raw), raw)
    loop = good[:-4] + struct.pack("<I", 8 + len(raw))
    yield Case("loop.tif", loop, pixels=gray_of(gray))
    yield Case("bomb.tif", tiff(_gray_tags((60_000, 60_000), raw), raw), E.TOO_MANY_PIXELS)
    yield Case("zero.tif", tiff(_gray_tags((0, 32), raw), raw), E.CORRUPT)
    yield Case("no-size.tif", tiff({258: (3, [8])}, raw), E.CORRUPT)
    yield Case("no-strips.tif", tiff({256: (4, [4]), 257: (4, [4])}, raw), E.CORRUPT)
    far = _gray_tags(size, raw, t273=(4, [1 << 30]))
    yield Case("far-strip.tif", tiff(far, raw), E.TRUNCATED)
    taller = _gray_tags((48, 3200), raw, t278=(4, [3200]))
    yield Case("taller-than-data.tif", tiff(taller, raw), E.TRUNCATED)
    yield Case("far-directory.tif", b"II*\0\xff\xff\0\0" + raw, E.TRUNCATED)
    yield Case("first-directory.tif", b"II*\0\x03\0\0\0" + raw, E.CORRUPT)
    odd = _gray_tags(size, raw, t258=(3, [7]))
    yield Case("7-bit.tif", tiff(odd, raw), E.FORMAT_DENIED)
    unknown = _gray_tags(size, raw, t259=(3, [60_000]))
    yield Case("unknown-compression.tif", tiff(unknown, raw), E.FORMAT_DENIED)
    lzw = saved("RGB", "TIFF", compression="tiff_lzw")
    yield Case("bad-lzw.tif", lzw[:40] + b"\xff" * 400 + lzw[440:], E.CORRUPT)
    huge = _gray_tags(size, raw) | {322: (4, [1 << 20]), 323: (4, [1 << 20]), 259: (3, [5])}
    del huge[273], huge[279]
    huge |= {324: (4, [8]), 325: (4, [len(raw)])}
    yield Case("tile-bomb.tif", tiff(huge, raw), E.CORRUPT)
