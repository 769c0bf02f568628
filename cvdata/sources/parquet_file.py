"""Opening Parquet files of strangers."""

import base64
import json
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TAIL = struct.Struct("<I4s")
_MAX_FOOTER_BYTES = 256 * 1024 * 1024
_EXTENSION = b"ARROW:extension:name"


class BadParquet(ValueError):
    """The file is not to be read, or cannot be."""


def open_parquet(file: Any, size_bytes: int) -> pq.ParquetFile:
    """The Parquet file open as `file` (seekable, binary); raises `BadParquet`, or OSError.

    Files with Arrow extension types are refused before Arrow sees their schema: merely opening
    them can run code of the extension.
    """
    refuse_extensions(file, size_bytes)
    file.seek(0)
    try:
        return pq.ParquetFile(
            file,
            pre_buffer=False,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )
    except (pa.ArrowException, OSError) as error:
        raise decoding(error) from error


def decoding(error: Exception) -> Exception:
    """`BadParquet` where Arrow could not decode; the error itself where the storage failed.

    Arrow reports both as OSError; only that of the storage carries an errno.
    """
    if isinstance(error, OSError) and error.errno:
        return error
    return BadParquet(f"{type(error).__name__}: {error}")


def refuse_extensions(file: Any, size_bytes: int) -> None:
    """Raise `BadParquet` where the footer speaks of an Arrow extension type, or there is none."""
    if size_bytes < 12:
        raise BadParquet("not a Parquet file: too short")
    file.seek(size_bytes - _TAIL.size)
    length, magic = _TAIL.unpack(file.read(_TAIL.size))
    if magic != b"PAR1":
        what = "its footer is encrypted" if magic == b"PARE" else "no magic at its end"
        raise BadParquet(f"not a Parquet file that can be read: {what}")
    if length > min(_MAX_FOOTER_BYTES, size_bytes - 12):
        raise BadParquet(f"a footer of {length} bytes")
    file.seek(size_bytes - _TAIL.size - length)
    footer = file.read(length)
    if any(mark in footer for mark in _MARKS):
        raise BadParquet(
            "it has an Arrow extension type, which can run code when it is read; rewrite the "
            "file with plain columns (e.g. column.cast(column.type.storage_type))"
        )


def _marks() -> tuple[bytes, ...]:
    """The name in clear, and as base64 at each of the three alignments, without the ragged ends."""
    marks = [_EXTENSION]
    for lead in range(3):
        text = base64.b64encode(b"\0" * lead + _EXTENSION)
        marks.append(text[(0, 2, 3)[lead] : (len(_EXTENSION) + lead) // 3 * 4])
    return tuple(marks)


_MARKS = _marks()


def class_names(metadata: dict[bytes, bytes] | None, column: str) -> list[str] | None:
    """The names behind the numbers of a label column, as Hugging Face datasets write them."""
    try:
        known = json.loads((metadata or {}).get(b"huggingface", b"{}"))
        feature = known["info"]["features"][column]
        names = feature["names"] if feature.get("_type") == "ClassLabel" else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None
