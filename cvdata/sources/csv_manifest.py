"""A CSV file that names images, one a row."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sources.base import Names, Problems
from cvdata.sources.listing import display
from cvdata.sources.manifest import (
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    URI_COLUMNS,
    Columns,
    Line,
    Manifest,
    pick_column,
)
from cvdata.sources.place import Place
from cvdata.sources.references import References
from cvdata.sources.threads import world

_FIELD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Csv:
    """Rows of a CSV file with a header.

    The key is the id column, or else the path as it is below the manifest's folder.
    """

    place: Place
    source_name: str
    uri: Annotated[
        str | None, Field(description=f"column of paths; default: the first of {URI_COLUMNS}")
    ] = None
    label: Annotated[
        str | None, Field(description=f"column of labels; default: the first of {LABEL_COLUMNS}")
    ] = None
    split_column: Annotated[
        str | None, Field(description=f"column of splits; default: the first of {SPLIT_COLUMNS}")
    ] = None
    id: Annotated[str | None, Field(description="column of stable row ids, used as keys")] = None
    boxes: Annotated[
        str | None, Field(description='column of boxes: JSON [{"label": …, "xyxy": […]}]')
    ] = None
    mask: Annotated[str | None, Field(description="column of paths of masks")] = None
    extra: Annotated[Names, Field(description="columns kept in extra")] = ()
    split: Annotated[str | None, Field(description="the split of rows without one")] = None
    roots: Annotated[Names, Field(description="other folders that paths may lead into")] = ()
    delimiter: Annotated[
        str | None, Field(description="what separates columns; default: by extension")
    ] = None
    problems: Problems = Field(default_factory=Problems, init=False)

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
            manifest = Manifest(
                References(self.place, self.roots),
                self._columns(header),
                self.source_name,
                self.split,
                self.problems,
            )
            yield from manifest.tables(self._lines(rows, header, display(name)))

    def _delimiter(self, name: bytes) -> str:
        return self.delimiter or ("\t" if name.lower().endswith(b".tsv") else ",")

    def _columns(self, header: list[str]) -> Columns:
        uri = pick_column(self.uri, URI_COLUMNS, header)
        if uri is None:
            raise ConfigError(f"which column names the images? set uri to one of {header}")
        for name in (self.id, self.boxes, self.mask, *self.extra):
            pick_column(name, (), header)
        return Columns(
            uri=uri,
            label=pick_column(self.label, LABEL_COLUMNS, header),
            split=pick_column(self.split_column, SPLIT_COLUMNS, header),
            id=self.id,
            boxes=self.boxes,
            mask=self.mask,
            extra=self.extra,
        )

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
