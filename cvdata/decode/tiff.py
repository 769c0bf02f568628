"""TIFF and BigTIFF: the first directory, the chain of the others, whether the strips are there."""

import struct

from cvdata.decode.exif import Directory, byte_order
from cvdata.decode.facts import Facts, corrupt, truncated

MAX_FRAMES = 100_000
"""Directories followed at most; beyond, `n_frames` is this number."""

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _ICC, _XMP = 256, 257, 258, 259, 34675, 700
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def scan(data: bytes) -> Facts:
    """Header facts of a TIFF's first page; `truncated` where its pixel data runs past the end."""
    ifd, _, big = open_directory(data)
    width, height = ifd.integer(_WIDTH), ifd.integer(_LENGTH)
    if width is None or height is None:
        raise corrupt("TIFF without a width or a length")
    bits = max(ifd.ints(_BITS, 16) or (1,))
    _check_data(ifd, len(data))
    span = ifd.span(_XMP)
    return Facts(
        format="TIFF",
        width=width,
        height=height,
        bits=bits,
        n_frames=_frames(data, ifd, big),
        has_icc=_ICC in ifd.entries,
        xmp=None if span is None else data[span[2] : span[2] + span[1]],
    )


def open_directory(data: bytes) -> tuple[Directory, str, bool]:
    """(first directory, byte order, whether BigTIFF)."""
    order = byte_order(data)
    big = b"\x2b" in data[2:4]
    if order is None or len(data) < (16 if big else 8):
        raise truncated("TIFF ends within its header")
    first = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    if first < 8:
        raise corrupt(f"TIFF whose first directory is at {first}")
    ifd = Directory(data, first, order, big)
    if not ifd.entries:
        if first + 2 > len(data):
            raise truncated("TIFF ends before its first directory")
        raise corrupt("TIFF with an empty directory")
    if ifd.is_damaged:
        raise truncated("TIFF ends within its first directory")
    return ifd, order, big


def _check_data(ifd: Directory, size: int) -> None:
    """Strips and tiles must lie inside the file."""
    offsets = ifd.ints(_STRIPS) or ifd.ints(_TILES)
    lengths = ifd.ints(_STRIP_BYTES) or ifd.ints(_TILE_BYTES)
    if ifd.is_damaged:
        raise truncated("TIFF ends before its table of strips")
    if offsets is None:
        raise corrupt("TIFF without strips or tiles")
    if max(offsets) >= size:
        raise truncated(f"TIFF of {size} bytes has pixel data at {max(offsets)}")
    # Raw strips are read by their computed size: a wrong byte count alone loses no pixel.
    is_raw = (ifd.integer(_COMPRESSION) or 1) == 1
    if not is_raw and lengths is not None and len(lengths) == len(offsets):
        end = max(o + n for o, n in zip(offsets, lengths, strict=True))
        if end > size:
            raise truncated(f"TIFF of {size} bytes has pixel data up to {end}")


def tile_size(ifd: Directory) -> tuple[int, int]:
    """(width, length) of a tile, zeros where the page has strips."""
    return ifd.integer(_TILE_WIDTH) or 0, ifd.integer(_TILE_LENGTH) or 0


def _frames(data: bytes, ifd: Directory, big: bool) -> int:
    """Pages in the chain of directories: loops end it, a page outside the file is not counted."""
    order = byte_order(data) or "<"
    count_format, count_size, step = ("Q", 8, 20) if big else ("H", 2, 12)
    next_format, next_size = ("Q", 8) if big else ("I", 4)
    frames, pos, seen = 1, ifd.next, {0}
    while pos not in seen and frames < MAX_FRAMES and pos + count_size <= len(data):
        seen.add(pos)
        (count,) = struct.unpack_from(order + count_format, data, pos)
        end = pos + count_size + count * step
        if count == 0 or end + next_size > len(data):
            break
        frames += 1
        (pos,) = struct.unpack_from(order + next_format, data, end)
    return frames
