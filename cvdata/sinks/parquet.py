"""Parquet with the bytes of the images: plain columns, one file a chunk."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.schema import BOX
from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.behind import BehindFile
from cvdata.sinks.output import Output
from cvdata.sinks.text import compact, key_text

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("key", pa.string()),
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("bytes", pa.binary(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("label", pa.string()),
        pa.field("labels", pa.list_(pa.struct([("label", pa.string()), ("weight", pa.float32())]))),
        pa.field("boxes", pa.list_(BOX)),
        pa.field("mask_bytes", pa.binary()),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("extra", pa.string()),
    ]
)
_BYTES = ("bytes", "mask_bytes", "image.bytes", "mask.bytes")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Parquet:
    """A row an image: its bytes, split, label, boxes, mask, weight, and `extra` as JSON."""

    row_group_bytes: Annotated[
        int, Field(ge=1, description="image bytes in a row group: what a reader holds at once")
    ] = 32 * 1024 * 1024

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        label=True, mixed=True, boxes=True, masks=True, apart=("split",)
    )

    def check(self, facts: Facts) -> None:
        """Nothing more is asked."""

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """One file."""
        name = facts.split_folders[at.split] or "data"
        with out.stream(f"{name}-{at.number:06d}.parquet") as file:
            write_rows(file, SCHEMA, map(_row, images), self.row_group_bytes)
        yield from ()

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """The files say it all."""
        return [
            "duckdb.sql(\"select label, count(*) from 'TARGET/*.parquet' group by label\")",
            "cvdata ingest TARGET --workspace W --format parquet "
            "--source-options id=image_id --source-options boxes=boxes",
        ]


def write_rows(
    file: BehindFile, schema: pa.Schema, rows: Iterable[tuple[int, dict[str, Any]]], group: int
) -> None:
    """Rows, each with the bytes it holds, as Parquet; a row group holds about `group` bytes.

    Images are stored as they are: they do not shrink, and readers can map them.
    """
    names = [path for path in _leaves(schema) if path not in _BYTES]
    options: dict[str, Any] = {
        "compression": dict.fromkeys(names, "zstd"),
        "use_dictionary": names,
        "write_statistics": names,
        "write_page_checksum": True,
    }
    with pq.ParquetWriter(file, schema, **options) as writer:
        held: list[dict[str, Any]] = []
        n_bytes = 0
        for size, row in chain(rows, [(0, {})]):
            if held and (not row or n_bytes + size > group):
                writer.write_table(pa.Table.from_pylist(held, schema))
                held, n_bytes = [], 0
            if row:
                held.append(row)
                n_bytes += size


def _leaves(schema: pa.Schema) -> list[str]:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema) as writer:
        writer.write_table(schema.empty_table())
    leaves = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [leaves.column(n).path for n in range(len(leaves))]


def _row(image: Outgoing) -> tuple[int, dict[str, Any]]:
    mask = image.mask[0] if image.mask else None
    labels = [{"label": label, "weight": share} for label, share in image.labels or ()]
    row = {
        "image_id": image.image_id.hex(),
        "source": image.record.get("source"),
        "key": key_text(image),
        "file_name": image.name,
        "bytes": image.data,
        "split": image.split,
        "label": image.label,
        "labels": labels or None,
        "boxes": image.boxes,
        "mask_bytes": mask,
        "weight": image.weight,
        "extra": compact(image.extra) if image.extra else None,
    }
    return len(image.data) + len(mask or b""), row
