"""TIFF and BigTIFF: the first directory, the chain of the others, whether the strips are there."""

import struct

from cvdata.decode.exif import Directory, byte_order
from cvdata.decode.facts import Facts, corrupt, truncated, unsupported

MAX_FRAMES = 100_000
"""Directories followed at most; beyond, `n_frames` is this number."""

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _ICC, _XMP = 256, 257, 258, 259, 34675, 700
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_SMALL_TILE = 1 << 22
_RAW = 1
_COMPRESSIONS = frozenset(
    {_RAW, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000, 50001}
)


def scan(data: bytes) -> Facts:
    """Header facts of a TIFF's first page; `truncated` where its pixel data runs past the end."""
    ifd, _, big = open_directory(data)
    width, height = ifd.integer(_WIDTH), ifd.integer(_LENGTH)
    if width is None or height is None:
        raise corrupt("TIFF without a width or a length")
    bits = max(ifd.ints(_BITS, 16) or (1,))
    compression = ifd.integer(_COMPRESSION) or _RAW
    if compression not in _COMPRESSIONS:
        raise unsupported(f"TIFF compression {compression}")
    _check_tiles(ifd, width, height)
    _check_data(ifd, len(data), compression == _RAW)
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
    if not ifd.count and first + 2 <= len(data):
        raise corrupt("TIFF with an empty directory")
    if ifd.is_damaged or not ifd.has_next:
        raise truncated("TIFF ends within its first directory")
    return ifd, order, big


def _check_data(ifd: Directory, size: int, is_raw: bool) -> None:
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
    if not is_raw and lengths is not None and len(lengths) == len(offsets):
        end = max(o + n for o, n in zip(offsets, lengths, strict=True))
        if end > size:
            raise truncated(f"TIFF of {size} bytes has pixel data up to {end}")


def _check_tiles(ifd: Directory, width: int, height: int) -> None:
    """A tile is allocated whole before a byte of it is read: it must suit its image."""
    tile = (ifd.integer(_TILE_WIDTH) or 0) * (ifd.integer(_TILE_LENGTH) or 0)
    if tile > max(_SMALL_TILE, 4 * width * height):
        raise corrupt(f"TIFF tile of {tile} pixels in an image of {width * height}")


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
