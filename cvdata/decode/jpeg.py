"""JPEG: one pass over the marker segments, and the quality that the quantisation tables tell."""

import contextlib
import re
import struct
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cvdata.decode.exif import Directory, byte_order
from cvdata.decode.facts import Facts, corrupt, truncated, unsupported
from cvdata.errors import ImageError

_EOI, _SOS, _DQT = 0xD9, 0xDA, 0xDB
_APP1, _APP2, _APP14, _COM = 0xE1, 0xE2, 0xEE, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_DECODED = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MP_ENTRY = 0xB002
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_NOT_FILL = re.compile(rb"[^\xff]")
_MAX_SEGMENTS = 50_000
_MAX_PICTURES = 64

# Table K.1 of ITU-T T.81, in zigzag order: what every IJG-style encoder scales by its quality.
_LUMINANCE = np.array(
    [16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
     26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
     56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
     95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99],
    dtype=np.int64,
)  # fmt: skip


@dataclass
class _Scan:
    """What the segments before the first scan said."""

    frame: int = 0
    size: tuple[int, int] = (0, 0)
    components: int = 0
    bits: int = 8
    luminance: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    has_icc: bool = False
    n_frames: int = 1
    pictures_end: int = 0
    segments: list[tuple[int, int, int]] = field(default_factory=list)


def scan(data: bytes) -> Facts:
    """Header facts of a JPEG; `truncated` without an end marker, `corrupt` without a frame."""
    found = _Scan()
    start = _segments(data, found)
    _check(found)
    end = max(_end_of_image(data, start) + 2, min(found.pictures_end, len(data)))
    return Facts(
        format="JPEG",
        width=found.size[0],
        height=found.size[1],
        mode=_MODES[found.components],
        bits=found.bits,
        n_frames=found.n_frames,
        has_icc=found.has_icc,
        exif=found.exif,
        xmp=found.xmp,
        jpeg_quality=quality(found.luminance) if found.luminance else None,
        is_progressive=found.frame in _PROGRESSIVE,
        trailing_bytes=len(data) - end,
    )


def _segments(data: bytes, found: _Scan) -> int:
    """Read segments up to the first scan; returns the offset of its entropy-coded data."""
    pos, size = 2, len(data)
    for _ in range(_MAX_SEGMENTS):
        pos = data.find(b"\xff", pos)
        if 0 <= pos < size - 1 and data[pos + 1] == 0xFF:
            match = _NOT_FILL.search(data, pos)
            pos = match.start() - 1 if match else -1
        if pos < 0 or pos + 4 > size:
            raise truncated("JPEG ends before its first scan")
        marker = data[pos + 1]
        if marker == 0 or marker in _BARE:
            pos += 2
            continue
        end = pos + 2 + _length(data, pos, marker)
        found.segments.append((marker, pos, end))
        if marker == _SOS:
            return end
        _segment(marker, data, pos + 4, end, found)
        pos = end
    raise corrupt(f"JPEG with more than {_MAX_SEGMENTS} segments")


def without_metadata(data: bytes) -> bytes:
    """A scanned JPEG without comments, junk between segments, and all but JFIF and Adobe's APPn."""
    parts, found = [data[:2]], _Scan()
    start = _segments(data, found)
    for marker, begin, end in found.segments:
        if not (marker == _COM or 0xE1 <= marker <= 0xEF) or marker == _APP14:
            parts.append(data[begin:end])
    return b"".join([*parts, data[start:]])


def _length(data: bytes, pos: int, marker: int) -> int:
    if marker == _EOI:
        raise corrupt("JPEG without a scan")
    length = (data[pos + 2] << 8) | data[pos + 3]
    if length < 2:
        raise corrupt(f"JPEG segment {marker:02X} of length {length}")
    if pos + 2 + length > len(data):
        raise truncated(f"JPEG ends within segment {marker:02X}")
    return length


def _segment(marker: int, data: bytes, start: int, end: int, found: _Scan) -> None:
    if marker in _FRAMES and not found.frame:
        _frame(marker, data, start, end, found)
    elif marker == _DQT:
        _tables(data[start:end], found)
    elif marker == _APP1:
        _app1(data, start, end, found)
    elif marker == _APP2:
        _app2(data, start, end, found)


def _frame(marker: int, data: bytes, start: int, end: int, found: _Scan) -> None:
    if end - start < 6:
        raise corrupt("JPEG frame header is too short")
    found.frame = marker
    found.bits, height, width, found.components = struct.unpack_from(">BHHB", data, start)
    found.size = (width, height)


def _check(found: _Scan) -> None:
    if not found.frame:
        raise corrupt("JPEG scan without a frame header")
    if found.frame not in _DECODED:
        raise unsupported(f"JPEG coding SOF{found.frame & 15} (lossless or hierarchical)")
    if found.bits != 8:
        raise unsupported(f"JPEG with {found.bits} bits per sample")
    if found.components not in _MODES:
        raise unsupported(f"JPEG with {found.components} components")


def _tables(body: bytes, found: _Scan) -> None:
    """Keep table 0, luminance by convention: 64 or 128 bytes, in zigzag order."""
    pos = 0
    while pos < len(body):
        wide, slot = body[pos] >> 4, body[pos] & 15
        end = pos + 1 + (128 if wide else 64)
        if slot == 0 and end <= len(body):
            found.luminance = body[pos + 1 : end]
        pos = end


def _app1(data: bytes, start: int, end: int, found: _Scan) -> None:
    if data.startswith(b"Exif\0\0", start):
        # EXIF longer than a segment is continued in the next one.
        found.exif = (found.exif or b"") + data[start + 6 : end]
    elif data.startswith(_XMP, start):
        found.xmp = data[start + len(_XMP) : end]


def _app2(data: bytes, start: int, end: int, found: _Scan) -> None:
    if data.startswith(b"ICC_PROFILE\0", start):
        found.has_icc = True
    elif data.startswith(b"MPF\0", start):
        _pictures(data, start + 4, end, found)


def _pictures(data: bytes, start: int, end: int, found: _Scan) -> None:
    """Multi-picture format (CIPA DC-007): count the pictures that lie behind the first."""
    body = data[start:end]
    order = byte_order(body)
    if order is None or len(body) < 8:
        return
    span = Directory(body, struct.unpack_from(order + "I", body, 4)[0], order).span(_MP_ENTRY)
    if span is None:
        return
    for i in range(1, min(span[1] // 16, _MAX_PICTURES)):
        (offset,) = struct.unpack_from(order + "I", body, span[2] + 16 * i + 8)
        begin = start + offset
        # Writers get the stated sizes wrong: the picture itself says where it ends.
        if offset and data.startswith(b"\xff\xd8\xff", begin):
            with contextlib.suppress(ImageError):
                found.pictures_end = max(found.pictures_end, _walk(data, begin + 2) + 2)
                found.n_frames += 1


def _end_of_image(data: bytes, start: int) -> int:
    """Offset of the end marker.

    Entropy-coded data never holds one, so a first candidate that is also the last two bytes of the
    file is it; only files with more behind are walked segment by segment.
    """
    first = _first_pair(data, start)
    if first < 0:
        raise truncated("JPEG without an end marker")
    return first if first == len(data) - 2 else _walk(data, start)


def _first_pair(data: bytes, start: int) -> int:
    """`data.find(FF D9, start)`, vectorised: eight times as fast as `bytes.find` here."""
    best = -1
    for shift in (0, 1):
        begin = start + shift
        count = (len(data) - begin) // 2
        if count <= 0:
            continue
        pairs: npt.NDArray[np.uint16] = np.frombuffer(data, "<u2", count, begin)
        hit = pairs == 0xD9FF
        at = int(hit.argmax())
        if hit[at] and (best < 0 or begin + 2 * at < best):
            best = begin + 2 * at
    return best


def _walk(data: bytes, pos: int) -> int:
    """The end marker, found by skipping over every segment between the scans."""
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, pos)
        if match is None:
            raise truncated("JPEG without an end marker")
        pos = match.start()
        if data[pos + 1] == _EOI:
            return pos
        pos += 2 + max(int.from_bytes(data[pos + 2 : pos + 4], "big"), 2)
    raise corrupt(f"JPEG with more than {_MAX_SEGMENTS} segments")


@lru_cache(maxsize=1)
def _standard() -> tuple[npt.NDArray[np.int64], dict[bytes, int]]:
    """The luminance table at every quality 1..100 (IJG scaling, baseline), and its inverse."""
    qualities = np.arange(1, 101)
    scale = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    tables = np.clip((_LUMINANCE[None, :] * scale[:, None] + 50) // 100, 1, 255)
    inverse = {
        table.astype(dtype).tobytes(): int(q)
        for q, table in zip(qualities, tables, strict=True)
        for dtype in ("u1", ">u2")
    }
    return tables, inverse


@lru_cache(maxsize=1024)
def quality(luminance: bytes) -> int:
    """Quality 1..100 whose IJG luminance table is `luminance`, or the nearest one to it in L1.

    `luminance`: 64 uint8 or big-endian uint16 in zigzag order. Exact for encoders that scale
    Annex K (libjpeg, Pillow, OpenCV); for others (Photoshop, cameras) the nearest coarseness.
    """
    tables, inverse = _standard()
    exact = inverse.get(luminance)
    if exact is not None:
        return exact
    table = np.frombuffer(luminance, "u1" if len(luminance) == 64 else ">u2").astype(np.int64)
    distance = np.abs(tables - table).sum(axis=1)
    return int(distance.argmin()) + 1
