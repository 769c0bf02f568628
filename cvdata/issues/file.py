"""Issues of the file and of its size."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ErrorCode
from cvdata.issues.base import Columns, Context, Floats

_ERRORS: tuple[str, ...] = ("error",)
_YES_OR_NO = "Yes or no."

CORRUPT_CODES = (
    ErrorCode.CORRUPT,
    ErrorCode.EMPTY,
    ErrorCode.NOT_AN_IMAGE,
    ErrorCode.DECODER_CRASHED,
    ErrorCode.TIMEOUT,
    ErrorCode.OUT_OF_MEMORY,
)
TRUNCATED_CODES = (ErrorCode.TRUNCATED,)
REFUSED_CODES = (
    ErrorCode.TOO_LARGE_FILE,
    ErrorCode.TOO_MANY_PIXELS,
    ErrorCode.FORMAT_DENIED,
    ErrorCode.PATH_DENIED,
    ErrorCode.ARCHIVE_DENIED,
    ErrorCode.DUPLICATE_KEY,
)
UNREACHABLE_CODES = (ErrorCode.NOT_FOUND, ErrorCode.CHANGED, ErrorCode.ACCESS_DENIED)


def _has_code(columns: Columns, codes: tuple[ErrorCode, ...]) -> Floats:
    """(N,) 1 where the row's error is one of `codes`, else 0."""
    known = pa.array([str(code) for code in codes])
    found = pc.is_in(columns.text("error"), value_set=known)
    return np.asarray(found.cast(pa.float64()).to_numpy(), dtype=np.float64)


@dataclass(frozen=True)
class Corrupt:
    """The decoder failed."""

    name: ClassVar[str] = "corrupt"
    doc: ClassVar[str] = "The file is not an image that any decoder here can read."
    definition: ClassVar[str] = (
        f"1 where the error is one of {', '.join(CORRUPT_CODES)}; the code stays in `measures`"
    )
    reason: ClassVar[str] = _YES_OR_NO
    columns: ClassVar[tuple[str, ...]] = _ERRORS
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1."""
        return _has_code(columns, CORRUPT_CODES)


@dataclass(frozen=True)
class Truncated:
    """The end is missing."""

    name: ClassVar[str] = "truncated"
    doc: ClassVar[str] = "The file ends before the picture does: an interrupted download or copy."
    definition: ClassVar[str] = "1 where the error is truncated"
    reason: ClassVar[str] = _YES_OR_NO
    columns: ClassVar[tuple[str, ...]] = _ERRORS
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1."""
        return _has_code(columns, TRUNCATED_CODES)


@dataclass(frozen=True)
class Refused:
    """The policy says no."""

    name: ClassVar[str] = "refused"
    doc: ClassVar[str] = "Not read on purpose: too large, a format or path that is not allowed."
    definition: ClassVar[str] = f"1 where the error is one of {', '.join(REFUSED_CODES)}"
    reason: ClassVar[str] = _YES_OR_NO
    columns: ClassVar[tuple[str, ...]] = _ERRORS
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1."""
        return _has_code(columns, REFUSED_CODES)


@dataclass(frozen=True)
class Unreachable:
    """The file was not there."""

    name: ClassVar[str] = "unreachable"
    doc: ClassVar[str] = "Listed, but gone, changing or forbidden when it was to be read."
    definition: ClassVar[str] = f"1 where the error is one of {', '.join(UNREACHABLE_CODES)}"
    reason: ClassVar[str] = _YES_OR_NO
    columns: ClassVar[tuple[str, ...]] = _ERRORS
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1."""
        return _has_code(columns, UNREACHABLE_CODES)


@dataclass(frozen=True)
class WrongExtension:
    """The name lies about the format."""

    name: ClassVar[str] = "wrong_extension"
    doc: ClassVar[str] = "The extension names another format than the bytes hold."
    definition: ClassVar[str] = "1 where wrong_extension, else 0"
    reason: ClassVar[str] = _YES_OR_NO
    columns: ClassVar[tuple[str, ...]] = ("wrong_extension",)
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1."""
        return columns.number("wrong_extension")


@dataclass(frozen=True)
class ExifRotated:
    """Stored lying down."""

    name: ClassVar[str] = "exif_rotated"
    doc: ClassVar[str] = "Stored turned or mirrored: a reader that ignores EXIF sees it so."
    definition: ClassVar[str] = "1 where exif_orientation is 2..8, 0 where it is 1 or absent"
    reason: ClassVar[str] = _YES_OR_NO
    columns: ClassVar[tuple[str, ...]] = ("exif_orientation", "width")
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1; NaN where the image was not read."""
        if "exif_orientation" not in columns.measures.column_names:
            return np.full(len(columns), np.nan)
        orientation = columns.number("exif_orientation")
        turned = ((orientation >= 2) & (orientation <= 8)).astype(np.float64)
        return np.where(np.isnan(columns.number("width")), np.nan, turned)


@dataclass(frozen=True)
class OddAspectRatio:
    """Far from square."""

    name: ClassVar[str] = "odd_aspect_ratio"
    doc: ClassVar[str] = "Extremely wide or tall: a banner, a strip, a panorama."
    definition: ClassVar[str] = "1 − min(width / height, height / width)"
    reason: ClassVar[str] = "CleanVision 0.3.7's default: a side almost three times the other."
    columns: ClassVar[tuple[str, ...]] = ("width", "height")
    threshold: float = 0.65

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        width, height = columns.number("width"), columns.number("height")
        return 1.0 - np.minimum(width, height) / np.maximum(width, height)


@dataclass(frozen=True)
class OddSize:
    """Far larger or smaller than the others.

    Where the quartiles coincide, a severity of 0.5 is the smallest difference and not one end of
    a range: CleanVision moves its threshold there, we keep ours and flag the same images.
    """

    name: ClassVar[str] = "odd_size"
    doc: ClassVar[str] = "Much larger or smaller than the rest of the dataset."
    definition: ClassVar[str] = (
        "s = √(width · height); range = Q1 − 3 IQR … Q3 + 3 IQR of s over the dataset; "
        "min(1, |s − middle| / (high − low)); where IQR = 0: 0 for s = Q1, "
        "else 0.5 + 0.5 · min(1, |s − Q1| / Q1)"
    )
    reason: ClassVar[str] = "CleanVision 0.3.7's default: 0.5 is the end of the range."
    columns: ClassVar[tuple[str, ...]] = ("width", "height")
    threshold: float = 0.5
    spread: float = 3.0

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        size = np.sqrt(columns.number("width") * columns.number("height"))
        if context.size_q1 is None or context.size_q3 is None:
            return np.full(len(columns), np.nan)
        reach = self.spread * (context.size_q3 - context.size_q1)
        low, high = context.size_q1 - reach, context.size_q3 + reach
        middle = (low + high) / 2
        if high > low:
            return np.minimum(np.abs(size - middle) / (high - low), 1.0)
        far = np.minimum(np.abs(size - middle) / middle, 1.0)
        return np.where(far == 0, far, 0.5 + 0.5 * far)
