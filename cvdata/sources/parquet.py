"""Parquet files with a row per image: its bytes in a column, or its path."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError, ErrorCode, StorageError
from cvdata.sources.listing import Entry, display
from cvdata.sources.manifest import (
    URI_COLUMNS,
    Columns,
    Line,
    Manifest,
    boxes_of,
    extra_of,
    mask_uri,
    pick_column,
    scalar,
)
from cvdata.sources.manifest_options import ManifestOptions
from cvdata.sources.ordering import sort_tables
from cvdata.sources.parquet_file import BadParquet, class_names, decoding, open_parquet
from cvdata.sources.record import Record, denied, tables_of, unique
from cvdata.sources.references import References
from cvdata.sources.uris import Inside, ParquetRow

BYTES_COLUMNS = ("bytes", "image", "image_bytes", "img", "jpg", "jpeg", "png", "content", "data")
_BATCH_ROWS = 4096
_MASK_ROWS = 64
"""Rows read at once where masks stand in them: their bytes are looked at."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Parquet(ManifestOptions):
    """Rows of Parquet files. Image bytes are not read at ingest, later row by row.

    The bytes column is binary, or a struct with a binary field `bytes`. The key is the id column;
    without one `file#row` (which moves when files are rewritten), or for paths the path itself.
    """

    bytes: Annotated[
        str | None, Field(description=f"column of image bytes; default: one of {BYTES_COLUMNS}")
    ] = None

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by (uri, offset)."""
        files = self.place.entries(is_parquet_name)
        first = next(files, None)
        if first is None:
            raise ConfigError(f"{self.place.url}: no .parquet files here")
        files = chain([first], files)
        if self._bytes_column(first) is None:
            manifest = self._manifest(first)
            return manifest.tables(line for file in files for line in self._lines(file, manifest))
        records = unique(record for file in files for record in self._byte_rows(file))
        return sort_tables(tables_of(self.source_name, records))

    def _bytes_column(self, entry: Entry) -> str | None:
        """The bytes column of the first file; `ConfigError` where it can be no image table."""
        with self.place.open(entry.path) as raw:
            try:
                schema = open_parquet(raw, entry.size_bytes).schema_arrow
            except BadParquet as error:
                raise ConfigError(f"{display(entry.path)}: {error}") from error
        self.columns(schema.names, "")
        if self.uri is not None and self.bytes is None:
            return None
        asked = (self.bytes,) if self.bytes is not None else BYTES_COLUMNS
        found = next((name for name in asked if bytes_path(schema, name) is not None), None)
        if self.bytes is not None and found is None:
            raise ConfigError(
                f"{display(entry.path)}: column {self.bytes!r} holds no bytes; "
                f"there are {', '.join(f'{f.name} ({f.type})' for f in schema)}"
            )
        return found

    def _manifest(self, entry: Entry) -> Manifest:
        with self.place.open(entry.path) as raw:
            schema = open_parquet(raw, entry.size_bytes).schema_arrow
        texts = [f.name for f in schema if _is_text(f.type)]
        uri = pick_column(self.uri, URI_COLUMNS, texts)
        if uri is None:
            raise ConfigError(
                f"{display(entry.path)}: which column names the images, or holds their bytes? "
                f"set uri or bytes to one of {schema.names}"
            )
        return self.manifest(self.columns(schema.names, uri))

    def _lines(self, entry: Entry, manifest: Manifest) -> Iterator[Line]:
        used = manifest.columns
        names = [used.uri, used.label, used.split, used.id, used.boxes, used.mask, *used.extra]
        wanted = list(dict.fromkeys(name for name in names if name is not None))
        file = display(entry.path)
        try:
            for row, values in self._rows(entry, wanted):
                yield Line(file, row + 1, values)
        except BadParquet as error:
            self.problems.add(file, 0, str(error))

    def _byte_rows(self, entry: Entry) -> Iterator[Record]:
        if entry.error is not None:
            yield denied(self._whole(entry), entry.error, entry.detail or "")
            return
        file, row = display(entry.path), -1
        try:
            column, columns, masks = self._open_columns(entry)
            uri = ParquetRow(self.place.uri(entry.path), column).uri
            inside = ParquetRow(self.place.uri(entry.path), masks or "").uri
            told = replace(columns, mask=None) if masks else columns
            rows = _MASK_ROWS if masks else _BATCH_ROWS
            names = [columns.label, columns.split, columns.id, columns.boxes, columns.mask]
            wanted = [name for name in (*names, *columns.extra) if name is not None]
            for row, values in self._rows(entry, list(dict.fromkeys(wanted)), rows):
                notes: list[str] = []
                record = self._byte_row(entry, uri, (row, told, values), notes)
                if masks and _holds_bytes(values[str(columns.mask)]):
                    record.mask_uri = Inside(inside, row).text
                yield record
                for note in notes:
                    self.problems.add(file, row + 1, note)
        except (BadParquet, ConfigError) as error:
            self.problems.add(file, 0, str(error))
            whole = self._whole(entry)
            whole.key += b"#!"
            whole.offset = row + 1
            yield denied(whole, ErrorCode.ARCHIVE_DENIED, str(error))

    def _whole(self, entry: Entry) -> Record:
        uri = ParquetRow(self.place.uri(entry.path), "").uri
        return Record(entry.path, uri, entry.revision)

    def _open_columns(self, entry: Entry) -> tuple[str, Columns, str | None]:
        """The path of the bytes, the columns, and the path of masks where these are bytes too."""
        with self._open(entry) as raw:
            schema = open_parquet(raw, entry.size_bytes).schema_arrow
        asked = (self.bytes,) if self.bytes is not None else BYTES_COLUMNS
        paths = (bytes_path(schema, name) for name in asked)
        column = next((path for path in paths if path is not None), None)
        if column is None:
            raise BadParquet(f"no column of image bytes among {', '.join(schema.names)}")
        columns = self.columns(schema.names, "")
        return column, columns, bytes_path(schema, columns.mask) if columns.mask else None

    def _byte_row(
        self,
        entry: Entry,
        uri: str,
        found: tuple[int, Columns, Mapping[str, Any]],
        notes: list[str],
    ) -> Record:
        row, columns, values = found
        key = scalar(values, columns.id, notes)
        references = References(self.place, self.roots)
        return Record(
            key=entry.path + b"#%d" % row if key is None else key.encode(),
            uri=uri,
            revision=f"{entry.revision}:{row}",
            offset=row,
            label=scalar(values, columns.label, notes),
            split=scalar(values, columns.split, notes) or self.split,
            boxes=boxes_of(values.get(columns.boxes), notes) if columns.boxes else None,
            mask_uri=mask_uri(references, values, columns, notes),
            extra=extra_of(values, columns.extra),
        )

    def _open(self, entry: Entry) -> Any:
        try:
            return self.place.open(entry.path)
        except OSError as error:
            raise StorageError(f"reading {display(entry.path)} failed: {error}") from error

    def _rows(
        self, entry: Entry, columns: list[str], batch_rows: int = _BATCH_ROWS
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Row numbers and values of these columns; class numbers become their names."""
        with self._open(entry) as raw:
            file = open_parquet(raw, entry.size_bytes)
            names = class_names(file.schema_arrow.metadata, self.label or "label")
            label = self.label or "label"
            row = 0
            for batch in _batches(file, columns, batch_rows):
                values = batch.to_pylist() if columns else [{}] * batch.num_rows
                for value in values:
                    number = value.get(label)
                    if names and isinstance(number, int) and 0 <= number < len(names):
                        value[label] = names[number]
                    yield row, value
                    row += 1


def _batches(file: pq.ParquetFile, columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(batch_size=batch_rows, columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise decoding(error) from error


def bytes_path(schema: pa.Schema, name: str) -> str | None:
    """The dotted path of the binary column `name` or of its field `bytes`; None if neither."""
    at = schema.get_field_index(name)
    if at < 0:
        return None
    dtype = schema.field(at).type
    if _is_binary(dtype):
        return name
    if pa.types.is_struct(dtype):
        inner = dtype.get_field_index("bytes")
        if inner >= 0 and _is_binary(dtype.field(inner).type):
            return f"{name}.bytes"
    return None


def _holds_bytes(value: Any) -> bool:
    """Whether a binary value, or a struct with `bytes`, is there."""
    return (value.get("bytes") if isinstance(value, dict) else value) is not None


def is_parquet_name(name: bytes) -> bool:
    """Whether a file's name is that of a Parquet file."""
    return name.lower().endswith((b".parquet", b".pq", b".parq"))


def _is_binary(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype))


def _is_text(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):  # a category of pandas
        dtype = dtype.value_type
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(dtype) for is_kind in kinds)
