"""One chunk in a worker: its rows are read, its files written, and a piece says what was done.

A piece is the receipt of a chunk, named by all that can change its files; one that is there, and
whose files have their sizes, is a finished chunk. Pieces also hold what the files of the whole are
made of, so that those are written without a look at any image.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cvdata.engine.allocator import keep_freed_memory
from cvdata.runs.export_chunks import PlannedChunk
from cvdata.runs.export_rows import Paths, part_rows, with_merged
from cvdata.sinks.base import ChunkPlace
from cvdata.sinks.behind import Written
from cvdata.sinks.output import Output
from cvdata.sinks.text import compact
from cvdata.stages.export import Export, Exported
from cvdata.storage import Store

STATE = ".cvdata-export"
"""Folder of the pieces below the target; it goes when the export is whole."""

PIECE = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("path", pa.string()),
        pa.field("size_bytes", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("text", pa.string()),
    ]
)
"""Rows of a piece: a `receipt`, then `file`s, `line`s of the sink, `image`s and `error`s."""


@dataclass(frozen=True)
class Receipt:
    """What a worker reports of a chunk."""

    ordinal: int
    split: str | None
    piece: str
    n_images: int
    n_files: int
    n_bytes: int
    n_turned: int
    n_rendered: int
    is_found: bool
    classes: Counter[tuple[str | None, str | None]]
    objects: Counter[tuple[str | None, str | None]]
    left_out: Counter[str]
    errors: Counter[str]


@dataclass(frozen=True)
class ExportTask:
    """A planned chunk -> its receipt. `fingerprint` is that of the whole plan's options."""

    store: Store
    target: Store
    export: Export
    fingerprint: str
    merged: Paths = ()

    def __call__(self, chunk: PlannedChunk) -> Receipt:
        """Write the chunk, or find it written."""
        keep_freed_memory()
        rows = self._rows(chunk)
        piece = f"{STATE}/{self._name(chunk, rows)}.parquet"
        out = Output(self.target.url, STATE)
        try:
            found = self._found(piece, out)
            if found is not None:
                return _receipt(chunk, piece, found, is_found=True)
            apart = np.frombuffer(chunk.is_apart, np.bool_).tolist()
            at = ChunkPlace(chunk.split, chunk.number)
            done, lines = self.export(rows, at, apart, out)
            table = _piece(done, lines, out.finish())
        finally:
            out.close()
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.target.put(piece, sink.getvalue().to_pybytes())
        return _receipt(chunk, piece, table, is_found=False)

    def _rows(self, chunk: PlannedChunk) -> pa.Table:
        """The rows of the chunk, in their order."""
        tables = [
            part_rows(self.store, path).take(pa.array(np.frombuffer(rows, np.uint32)))
            for path, rows in zip(chunk.parts, chunk.rows, strict=True)
        ]
        rows = pa.concat_tables(tables).take(pa.array(np.frombuffer(chunk.order, np.uint32)))
        rows = with_merged(self.store, self.merged, rows)
        at = rows.schema.get_field_index("split")
        split = pa.repeat(pa.scalar(chunk.split, pa.string()), len(rows))
        weights = pa.array(np.frombuffer(chunk.weights, np.float32))
        return rows.set_column(at, "split", split).append_column("weight", weights).combine_chunks()

    def _name(self, chunk: PlannedChunk, rows: pa.Table) -> str:
        """A digest of the options, the place of the chunk and every value of its rows."""
        hasher = hashlib.blake2b(self.fingerprint.encode(), digest_size=16)
        hasher.update(f"{chunk.split!r} {chunk.number} ".encode() + chunk.is_apart)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema.remove_metadata()) as writer:
            writer.write_table(rows)
        hasher.update(sink.getvalue())
        return hasher.hexdigest()

    def _found(self, piece: str, out: Output) -> pa.Table | None:
        """The piece of a chunk whose files are all there, whole; None where it is to be done."""
        try:
            table = read_piece(self.target, piece)
        except (FileNotFoundError, pa.ArrowInvalid):
            return None
        files = files_of(table)
        return table if all(out.size(f.path) == f.size_bytes for f in files) else None


def _piece(done: Exported, lines: list[str], files: list[Written]) -> pa.Table:
    facts = {
        "n_images": done.n_images,
        "n_bytes": done.n_bytes,
        "n_turned": done.n_turned,
        "n_rendered": done.n_rendered,
        "classes": [[*key, n] for key, n in done.classes.items()],
        "objects": [[*key, n] for key, n in done.objects.items()],
        "left_out": dict(done.left_out),
    }
    rows = [{"kind": "receipt", "text": compact(facts)}]
    rows += [{"kind": "file", **file._asdict()} for file in files]
    rows += [{"kind": "line", "text": line} for line in lines]
    rows += [{"kind": "image", "text": line} for line in done.images]
    rows += [{"kind": "error", "text": json.dumps(error)} for error in done.errors]
    return pa.Table.from_pylist(rows, PIECE)


def _receipt(chunk: PlannedChunk, piece: str, table: pa.Table, *, is_found: bool) -> Receipt:
    facts = json.loads(next(texts(table, "receipt")))
    errors = Counter(json.loads(text)[1] for text in texts(table, "error"))
    files = files_of(table)
    return Receipt(
        chunk.ordinal,
        chunk.split,
        piece,
        facts["n_images"],
        len(files),
        sum(file.size_bytes for file in files),
        facts["n_turned"],
        facts["n_rendered"],
        is_found,
        Counter({(split, label): n for split, label, n in facts["classes"]}),
        Counter({(split, label): n for split, label, n in facts["objects"]}),
        Counter(facts["left_out"]),
        errors,
    )


def read_piece(target: Store, piece: str) -> pa.Table:
    """A piece; `FileNotFoundError` where there is none."""
    return pq.read_table(pa.BufferReader(target.get(piece)), schema=PIECE)


def texts(table: pa.Table, kind: str) -> Iterator[str]:
    """The texts of one kind, in order."""
    rows = table.filter(pa.compute.equal(table["kind"], kind))
    yield from rows["text"].to_pylist()


def files_of(table: pa.Table) -> list[Written]:
    """The files that a piece names."""
    rows = table.filter(pa.compute.equal(table["kind"], "file"))
    return [Written(r["path"], r["size_bytes"], r["sha256"]) for r in rows.to_pylist()]
