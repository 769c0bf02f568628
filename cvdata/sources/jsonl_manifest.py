"""A JSON Lines file that names images, one object a line."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sources.listing import display
from cvdata.sources.manifest import URI_COLUMNS, Columns, Line, pick_column
from cvdata.sources.manifest_options import ManifestOptions
from cvdata.sources.threads import world

_LINE_BYTES = 64 * 1024 * 1024
_LOOKED_AT = 100


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Jsonl(ManifestOptions):
    """Objects of a JSON Lines file; boxes are looked for in the field `boxes`.

    The key is the id field, or else the path as it is below the manifest's folder.
    """

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by uri."""
        name = self.place.file
        if name is None:
            raise ConfigError(f"{self.place.url}: format 'jsonl' reads one file; name it")
        with world(f"reading {display(name)}"), self.place.open(name) as file:
            present = _fields(file)
            file.seek(0)
            manifest = self.manifest(self._columns(present))
            yield from manifest.tables(self._lines(file, display(name)))

    def _columns(self, present: list[str]) -> Columns:
        uri = self.uri or pick_column(None, URI_COLUMNS, present)
        if uri is None:
            raise ConfigError(f"which field names the images? set uri to one of {present}")
        # a field that is asked for may first occur behind the lines that were looked at
        asked = (self.label, self.split_column, self.id, self.boxes, self.mask, *self.extra)
        columns = self.columns([*present, *(name for name in asked if name)], uri)
        return replace(columns, boxes=self.boxes or pick_column(None, ("boxes",), present))

    def _lines(self, file: Any, name: str) -> Iterator[Line]:
        number = 0
        while raw := file.readline(_LINE_BYTES):
            number += 1
            if len(raw) == _LINE_BYTES and not raw.endswith(b"\n"):
                self.problems.add(name, number, f"longer than {_LINE_BYTES} bytes")
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(_LINE_BYTES)
                continue
            if not raw.strip():
                continue
            values, problem = parse_object(raw)
            if problem is not None:
                self.problems.add(name, number, problem)
            else:
                yield Line(name, number, values)


def parse_object(raw: bytes) -> tuple[dict[str, Any], str | None]:
    """A JSON object, or {} and what is wrong with it."""
    try:
        # surrogateescape: a path that is not UTF-8 keeps its exact bytes
        value = json.loads(raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON: {error}"
    if not isinstance(value, dict):
        return {}, f"not an object but {type(value).__name__}"
    return value, None


def _fields(file: Any) -> list[str]:
    names: dict[str, None] = {}
    for _ in range(_LOOKED_AT):
        values, problem = parse_object(file.readline(_LINE_BYTES))
        if problem is None:
            names |= dict.fromkeys(values)
    return list(names)
