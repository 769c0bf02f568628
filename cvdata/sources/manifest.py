"""Rows that name images, whatever they were written in -> records."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

import pyarrow as pa

from cvdata.errors import ConfigError, printable
from cvdata.sources.base import Problems
from cvdata.sources.boxes import box_problem, box_warning
from cvdata.sources.ordering import sort_tables
from cvdata.sources.record import Box, Record, storable, tables_of, unique
from cvdata.sources.references import References
from cvdata.sources.threads import ordered_map

URI_COLUMNS = (
    "uri", "path", "file_name", "filename", "file", "filepath", "image_path", "image_uri",
    "image", "img", "url",
)  # fmt: skip
LABEL_COLUMNS = ("label", "class", "class_name", "category")
SPLIT_COLUMNS = ("split", "subset")
_FIRST_ROWS = 1000


class Line(NamedTuple):
    """One row of a manifest and where it was written."""

    file: str
    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """Which columns mean what; None where there is none."""

    uri: str
    label: str | None = None
    split: str | None = None
    id: str | None = None
    boxes: str | None = None
    mask: str | None = None
    extra: tuple[str, ...] = ()


def pick_column(asked: str | None, usual: tuple[str, ...], present: list[str]) -> str | None:
    """The column asked for, or the first usual one that is present."""
    if asked is not None:
        if asked not in present:
            raise ConfigError(f"no column {asked!r}; there are {', '.join(present) or 'none'}")
        return asked
    return next((name for name in usual if name in present), None)


@dataclass(frozen=True)
class Manifest:
    """Turns rows into records: reads no image, only sizes and times of files."""

    references: References
    columns: Columns
    source_name: str
    split: str | None
    problems: Problems

    def tables(self, lines: Iterable[Line]) -> Iterator[pa.Table]:
        """Tables of `schema.RECORDS`, sorted by (uri, offset)."""
        return sort_tables(tables_of(self.source_name, unique(self._records(lines))))

    def _records(self, lines: Iterable[Line]) -> Iterator[Record]:
        threads = self.references.place.threads
        found = ordered_map(self._record, lines, threads=threads, ahead=8)
        records = (self._noted(line, record, notes) for line, record, notes in found)
        named = (record for record in records if record is not None)
        first = list(islice(named, _FIRST_ROWS))
        if first and all(self.references.is_outside(record) for record in first):
            raise ConfigError(
                f"every image of the manifest lies outside its folder {self.references.place.url} "
                f"(the first is {printable(first[0].uri)}); name where they lie in the option "
                "roots, or move the manifest"
            )
        return chain(first, named)

    def _noted(self, line: Line, record: Record | None, notes: list[str]) -> Record | None:
        for note in notes:  # in the order of the lines, not of the threads
            self.problems.add(line.file, line.line, note)
        return record

    def _record(self, line: Line) -> tuple[Line, Record | None, list[str]]:
        columns, values = self.columns, line.values
        text = values.get(columns.uri)
        if not isinstance(text, str) or not text:
            kind = "no value" if text in (None, "") else f"not text but {type(text).__name__}"
            return line, None, [f"column {columns.uri!r}: {kind}"]
        try:
            record = self.references.record(text)
        except (ValueError, UnicodeError) as error:
            return line, None, [f"column {columns.uri!r}: {error}"]
        notes = [f"{record.uri}: {record.error_detail}"] if record.error == "not_found" else []
        return line, self._with_facts(record, values, notes), notes

    def _with_facts(self, record: Record, values: Mapping[str, Any], notes: list[str]) -> Record:
        columns = self.columns
        key = scalar(values, columns.id, notes)
        return replace(
            record,
            key=record.key if key is None else key.encode("utf-8", "surrogateescape"),
            label=scalar(values, columns.label, notes),
            split=scalar(values, columns.split, notes) or self.split,
            boxes=boxes_of(values.get(columns.boxes), notes) if columns.boxes else None,
            mask_uri=mask_uri(self.references, values, columns, notes),
            extra=extra_of(values, columns.extra),
        )


def scalar(values: Mapping[str, Any], column: str | None, notes: list[str]) -> str | None:
    """A value as text; None where it is absent, or (with a note) where it is no plain value."""
    value = values.get(column) if column is not None else None
    if value is None or value == "":
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        notes.append(f"column {column!r}: {value}")
        return None
    if isinstance(value, str | int | float):
        return storable(str(value))
    notes.append(f"column {column!r}: wrong type {type(value).__name__}")
    return None


def mask_uri(
    references: References, values: Mapping[str, Any], columns: Columns, notes: list[str]
) -> str | None:
    """Where the mask that a row names lies; None where it names none, or (noted) no path."""
    mask = scalar(values, columns.mask, notes)
    try:
        return None if mask is None else references.record(mask).uri
    except ValueError as error:
        notes.append(f"column {columns.mask!r}: {error}")
        return None


def boxes_of(value: Any, notes: list[str]) -> list[Box] | None:
    """`[{"label": …, "xyxy": […]}, …]`, or the same as JSON text; bad ones are noted and left."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            notes.append(f"boxes are not JSON: {error}")
            return None
    if not isinstance(value, list):
        notes.append("boxes are not a list")
        return None
    boxes: list[Box] = []
    for n, box in enumerate(value):
        label = box.get("label") if isinstance(box, dict) else None
        xyxy = box.get("xyxy") if isinstance(box, dict) else None
        problem = "no xyxy" if xyxy is None else box_problem(xyxy)
        if xyxy is None or problem is not None:
            notes.append(f"box {n + 1}: {problem}")
            continue
        warning = box_warning(xyxy)
        if warning is not None:
            notes.append(f"box {n + 1}: {warning}")
        boxes.append({"label": None if label is None else storable(str(label)), "xyxy": xyxy})
    return boxes


def extra_of(values: Mapping[str, Any], columns: tuple[str, ...]) -> str | None:
    """The named columns as compact JSON."""
    if not columns:
        return None
    return compact({name: values.get(name) for name in columns})


def compact(value: Any) -> str:
    """Compact JSON with sorted keys; NaN and infinities are null, other foreign values text."""
    try:
        return _json(value)
    except ValueError:
        return _json(_finite(value))


_json = partial(json.dumps, separators=(",", ":"), sort_keys=True, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
