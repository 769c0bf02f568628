"""How a name, a number, a share, a size and a table cell are shown."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cvdata.errors import printable

Cell = str | float | int | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_ACRONYMS = frozenset({"exif", "gps", "jpeg", "rgb", "icc"})
NONE = "–"


@dataclass(frozen=True)
class DataTable:
    """The numbers under a plot: `rows` of cells, one name in `head` per column."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def numeric(self, column: int) -> bool:
        """True when every cell of `column` is a number or absent: it is then right-aligned."""
        cells = [row[column] for row in self.rows if row[column] is not None]
        return bool(cells) and not any(isinstance(cell, str) for cell in cells)


def file_of(key: str) -> str:
    """The last part of a key."""
    return key.rpartition("/")[2] or key


def folder_of(key: str) -> str:
    """What comes before the last part of a key; "" where nothing does."""
    return key.rpartition("/")[0]


def name(raw: bytes | str, limit: int = 120) -> str:
    """A file name or label on one line: undecodable bytes, control and bidi characters escaped.

    The middle is cut beyond `limit` characters, so that the extension stays.
    """
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    safe = printable(text, limit=max(len(text) * 10, 1))
    if len(safe) <= limit:
        return safe
    tail = limit // 3
    return f"{safe[: limit - tail - 1]}…{safe[-tail:]}"


def count(n: float) -> str:
    """`12,345`: a whole number with thousands separated."""
    return f"{round(n):,}"


def share(n: float, total: float) -> str:
    """`8.4 %`: never `0.0 %` for something nor `100.0 %` for less than all. No break inside."""
    if not total:
        return NONE
    percent = 100 * n / total
    if 0 < percent < 0.05:
        return "< 0.1\u00a0%"
    if 99.95 <= percent < 100:
        return "> 99.9\u00a0%"
    return f"{percent:.0f}\u00a0%" if percent in (0, 100) else f"{percent:.1f}\u00a0%"


def size(n_bytes: float) -> str:
    """`3.2 MB`: decimal units, as disks and networks count."""
    value = float(n_bytes)
    for unit in _UNITS:
        if abs(value) < 999.5 or unit == _UNITS[-1]:
            return f"{value:.0f}\u00a0B" if unit == "B" else f"{value:.3g}\u00a0{unit}"
        value /= 1000
    raise AssertionError("unreachable: the last unit takes everything")


def number(value: Cell, digits: int = 4) -> str:
    """A number at `digits` significant digits, whole numbers with thousands separated."""
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return NONE
    if abs(value) < 1e15 and (value == round(value) or abs(value) >= 1000):
        return f"{round(value):,}"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa} × 10^{int(exponent)}" if exponent else mantissa


def plural(n: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def heading(identifier: str) -> str:
    """`odd_aspect_ratio` -> `Odd aspect ratio`."""
    words = name(identifier).replace("_", " ").split(" ")
    text = " ".join(word.upper() if word in _ACRONYMS else word for word in words)
    return text[:1].upper() + text[1:]


def csv_cell(cell: Cell) -> str:
    """A cell that a spreadsheet shows rather than runs: a leading = + - @ gets an apostrophe."""
    text = "" if cell is None else str(cell)
    return "'" + text if isinstance(cell, str) and text.lstrip(" ").startswith(_FORMULA) else text


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """RFC 4180 CSV of `rows`, formula-safe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([csv_cell(cell) for cell in head])
    writer.writerows([[csv_cell(cell) for cell in row] for row in rows])
    return out.getvalue()
