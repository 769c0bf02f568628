"""One record, and tables of many."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from itertools import islice
from typing import Any

import pyarrow as pa

from cvdata.errors import ErrorCode, printable
from cvdata.schema import RECORDS
from cvdata.sources.base import TABLE_ROWS

Box = dict[str, Any]
"""`{"label": str | None, "xyxy": [x0, y0, x1, y1]}`, pixels of the oriented image."""


@dataclass(slots=True)
class Record:
    """A row of `schema.RECORDS` before it gets its id; `key` and `uri` as TABLES.md says."""

    key: bytes
    uri: str
    revision: str
    size_bytes: int | None = None
    offset: int | None = None
    length: int | None = None
    split: str | None = None
    label: str | None = None
    boxes: list[Box] | None = None
    mask_uri: str | None = None
    extra: str | None = None
    error: str | None = None
    error_detail: str | None = None


def denied(record: Record, code: ErrorCode, detail: str) -> Record:
    """The same record, never to be read, and why."""
    return replace(record, error=str(code), error_detail=printable(detail))


def storable(text: str) -> str:
    r"""The text as UTF-8 can hold it: raw bytes become `\xe9`, other lone surrogates `\ud800`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_escaped(c) if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def _escaped(surrogate: str) -> str:
    code = ord(surrogate)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def unique(records: Iterable[Record]) -> Iterator[Record]:
    """Each key once: the second `k` becomes `k#2` with `duplicate_key`, the third `k#3`, …"""
    seen: dict[bytes, int] = {}
    for record in records:
        key, n = record.key, 1
        while record.key in seen:
            n = max(n, seen[key]) + 1
            seen[key] = n
            record = denied(
                replace(record, key=key + b"#%d" % n),
                ErrorCode.DUPLICATE_KEY,
                f"key number {n} of this name: {printable(key.decode(errors='backslashreplace'))}",
            )
        seen[record.key] = 1
        yield record


def tables_of(source_name: str, records: Iterable[Record]) -> Iterator[pa.Table]:
    """Tables of `schema.RECORDS` of at most `TABLE_ROWS` rows, in the order of `records`."""
    iterator = iter(records)
    while rows := list(islice(iterator, TABLE_ROWS)):
        yield record_table(source_name, rows)


def record_table(source_name: str, rows: list[Record]) -> pa.Table:
    """One table of `schema.RECORDS` of these rows."""
    return column_table(source_name, {name: [getattr(r, name) for r in rows] for name in _NAMES})


def column_table(source_name: str, columns: Mapping[str, Any]) -> pa.Table:
    """One table of `schema.RECORDS` from its columns (lists or arrays); null where not given.

    `key`, `uri` and `revision` are needed; every row gets its id and the name of its source.
    """
    keys = columns["key"]
    name = source_name.encode()
    head = len(name).to_bytes(4, "big") + name  # as schema.image_id, without a call a row
    made = {
        "image_id": [blake2b(head + key, digest_size=16).digest() for key in keys],
        "source": pa.repeat(source_name, len(keys)),
        **columns,
    }
    arrays = [
        _array(made[column.name], column.type)
        if column.name in made
        else pa.nulls(len(keys), column.type)
        for column in RECORDS
    ]
    return pa.Table.from_arrays(arrays, schema=RECORDS)


def _array(values: Any, dtype: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, dtype)


_NAMES = tuple(field.name for field in fields(Record))
