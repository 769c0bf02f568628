"""A CSV file that names images, one a row."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sources.listing import display
from cvdata.sources.manifest import URI_COLUMNS, Columns, Line, pick_column
from cvdata.sources.manifest_options import ManifestOptions
from cvdata.sources.threads import world

_FIELD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Csv(ManifestOptions):
    """Rows of a CSV file with a header.

    The key is the id column, or else the path as it is below the manifest's folder.
    """

    delimiter: Annotated[
        str | None, Field(description="what separates columns, or `tab`; default: by extension")
    ] = None

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by uri."""
        name = self.place.file
        if name is None:
            raise ConfigError(f"{self.place.url}: format 'csv' reads one file; name it")
        with world(f"reading {display(name)}"), self.place.open(name) as raw:
            # surrogateescape: a path that is not UTF-8 keeps its exact bytes
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
            rows = csv.reader(text, delimiter=self._delimiter(name), strict=True)
            csv.field_size_limit(_FIELD_BYTES)
            header = _header(rows, display(name))
            manifest = self.manifest(self._columns(header))
            yield from manifest.tables(self._lines(rows, header, display(name)))

    def _delimiter(self, name: bytes) -> str:
        chosen = self.delimiter or ("tab" if name.lower().endswith(b".tsv") else ",")
        chosen = "\t" if chosen in ("tab", "\\t") else chosen
        if len(chosen) != 1 or chosen in '"\r\n':
            raise ConfigError(f"delimiter {chosen!r}: one character, no quote, or tab")
        return chosen

    def _columns(self, header: list[str]) -> Columns:
        uri = pick_column(self.uri, URI_COLUMNS, header)
        if uri is None:
            raise ConfigError(f"which column names the images? set uri to one of {header}")
        return self.columns(header, uri)

    def _lines(self, rows: Any, header: list[str], file: str) -> Iterator[Line]:
        while True:
            line = rows.line_num + 1  # a row may span lines: name its first
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                self.problems.add(file, line, str(error))
                continue
            if not row:
                continue
            if len(row) != len(header):
                self.problems.add(file, line, f"{len(row)} columns where {len(header)} were named")
            yield Line(file, line, dict(zip(header, row, strict=False)))


def _header(rows: Any, file: str) -> list[str]:
    try:
        header: list[str] = next(rows, [])
    except csv.Error as error:
        raise ConfigError(f"{file}:1: {error}") from error
    repeated = {name for name in header if header.count(name) > 1}
    if not header or repeated:
        what = f"names columns twice: {sorted(repeated)}" if repeated else "is missing"
        raise ConfigError(f"{file}:1: the header {what}")
    return header
