"""EXIF: the few facts that curation asks for, read straight from the TIFF structure.

Nothing here can fail: whatever does not fit sets `is_invalid` and is left out. Reading it by hand
costs a twentieth of Pillow's reader, and a hostile directory costs at most `_ENTRIES` steps.
"""

import re
import struct
from dataclasses import dataclass

from cvdata.errors import printable

_ENTRIES = 512
_TEXT = 100
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES_BIG = _SIZES | {16: 8, 17: 8, 18: 8}
_INTS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_DATE = re.compile(
    r"(\d{4})[:\-/.](0[1-9]|1[0-2])[:\-/.](0[1-9]|[12]\d|3[01])"
    r"[ T]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)"
)
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')

ORIENTATION, MAKE, MODEL, SOFTWARE, DATETIME = 0x0112, 0x010F, 0x0110, 0x0131, 0x0132
EXIF_IFD, GPS_IFD, ORIGINAL, DIGITIZED = 0x8769, 0x8825, 0x9003, 0x9004


@dataclass(frozen=True)
class Exif:
    """What is known of an image's origin. `orientation` is as stored, `datetime` ISO 8601 text."""

    orientation: int | None = None
    datetime: str | None = None
    make: str | None = None
    model: str | None = None
    software: str | None = None
    has_gps: bool = False
    is_invalid: bool = False


NO_EXIF = Exif()


class Directory:
    """One image file directory of a TIFF structure; entries are read when asked for.

    `is_damaged` turns true when an entry points outside `data` or the directory is cut off.
    """

    __slots__ = ("_big", "_order", "count", "data", "entries", "has_next", "is_damaged", "next")

    def __init__(self, data: bytes, offset: int, order: str, big: bool = False) -> None:
        self.data, self._order, self._big = data, order, big
        self.entries: dict[int, tuple[int, int, int]] = {}
        self.next, self.has_next, self.count = 0, False, 0
        count_size, step, layout = (8, 20, "HHQ") if big else (2, 12, "HHI")
        self.is_damaged = not 0 < offset <= len(data) - count_size
        if self.is_damaged:
            return
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
        self.count = count
        start = offset + count_size
        fits = min(count, (len(data) - start) // step)
        self.is_damaged = fits < count or count == 0 or count > 0xFFFF
        entry = struct.Struct(order + layout)
        for i in range(min(fits, _ENTRIES)):
            tag, kind, n = entry.unpack_from(data, start + i * step)
            self.entries.setdefault(tag, (kind, n, start + i * step + entry.size))
        end = start + count * step
        if not self.is_damaged and end + (8 if big else 4) <= len(data):
            self.has_next = True
            (self.next,) = struct.unpack_from(order + ("Q" if big else "I"), data, end)

    def span(self, tag: int) -> tuple[int, int, int] | None:
        """(kind, count, offset of the value) of `tag`, or None where absent or out of bounds."""
        entry = self.entries.get(tag)
        if entry is None:
            return None
        kind, count, offset = entry
        size = (_SIZES_BIG if self._big else _SIZES).get(kind, 0) * count
        if size > (8 if self._big else 4):
            pointer = self._order + ("Q" if self._big else "I")
            (offset,) = struct.unpack_from(pointer, self.data, offset)
        if size == 0 or offset + size > len(self.data):
            self.is_damaged = True
            return None
        return kind, count, offset

    def ints(self, tag: int, limit: int = 1 << 22) -> tuple[int, ...] | None:
        """The integers of `tag`, at most `limit` of them; None where absent or not integers."""
        span = self.span(tag)
        if span is None or span[0] not in _INTS:
            return None
        count = min(span[1], limit)
        return struct.unpack_from(f"{self._order}{count}{_INTS[span[0]]}", self.data, span[2])

    def integer(self, tag: int) -> int | None:
        """The first integer of `tag`."""
        found = self.ints(tag, 1)
        return found[0] if found else None

    def text(self, tag: int) -> str | None:
        """The text of `tag` up to its NUL, on one line, escaped, at most 100 characters."""
        span = self.span(tag)
        if span is None or span[0] not in (1, 2, 7):
            return None
        raw = self.data[span[2] : span[2] + min(span[1], 4 * _TEXT)].split(b"\0", 1)[0].strip()
        return printable(raw.decode("utf-8", "replace"), _TEXT) or None


def byte_order(data: bytes) -> str | None:
    """`<` or `>` where `data` starts as a TIFF structure, else None."""
    return {b"II": "<", b"MM": ">"}.get(data[:2])


def iso_datetime(text: str | None) -> str | None:
    """`2021:03:04 05:06:07` as `2021-03-04T05:06:07`; None where it is not such a text."""
    match = _DATE.match(text or "")
    if match is None:
        return None
    year, month, day, hour, minute, second = match.groups()
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}"


def read_exif(data: bytes | None, xmp: bytes | None = None) -> Exif:
    """The facts of an EXIF blob; XMP is asked for the orientation where EXIF has none."""
    exif = NO_EXIF if data is None else _read(data)
    if exif.orientation is None and xmp is not None:
        match = _XMP_ORIENTATION.search(xmp)
        if match is not None:
            return Exif(**{**vars(exif), "orientation": int(match[1])})
    return exif


def _read(data: bytes) -> Exif:
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    order = byte_order(data)
    if order is None or len(data) < 8:
        return Exif(is_invalid=True)
    magic, first = struct.unpack_from(order + "HI", data, 2)
    if magic not in (42, 43):
        return Exif(is_invalid=True)
    return from_directory(Directory(data, first, order), order)


def from_directory(ifd: Directory, order: str, big: bool = False) -> Exif:
    """The facts of the main directory of an EXIF blob or of a TIFF file."""
    taken, sub_damaged = None, False
    pointer = ifd.integer(EXIF_IFD)
    if pointer is not None:
        sub = Directory(ifd.data, pointer, order, big)
        taken = iso_datetime(sub.text(ORIGINAL)) or iso_datetime(sub.text(DIGITIZED))
        sub_damaged = sub.is_damaged
    orientation = ifd.integer(ORIENTATION)
    facts = Exif(
        orientation=orientation,
        datetime=taken or iso_datetime(ifd.text(DATETIME)),
        make=ifd.text(MAKE),
        model=ifd.text(MODEL),
        software=ifd.text(SOFTWARE),
        has_gps=GPS_IFD in ifd.entries,
        is_invalid=sub_damaged or (orientation is not None and not 0 <= orientation <= 8),
    )
    return facts if not ifd.is_damaged else Exif(**{**vars(facts), "is_invalid": True})
