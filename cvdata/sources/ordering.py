"""Tables of records in any order -> the same rows sorted by (uri, offset), in bounded memory."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.schema import RECORDS
from cvdata.sources.base import TABLE_ROWS

RUN_BYTES = 256 * 1024 * 1024
"""Bytes of records sorted at once; more go through temporary files."""

_BY_PLACE = [("uri", "ascending", "at_start"), ("offset", "ascending", "at_start")]


def sort_tables(tables: Iterable[pa.Table], *, run_bytes: int = RUN_BYTES) -> Iterator[pa.Table]:
    """The rows of `tables` sorted by (uri, offset), stable, at most `TABLE_ROWS` a table.

    Up to `run_bytes` are sorted in memory; beyond, sorted runs are kept in a temporary folder and
    merged, a few thousand rows of each at a time.
    """
    with ExitStack() as stack:
        runs: list[Path] = []
        folder: Path | None = None
        held: list[pa.Table] = []
        for table in tables:
            held.append(table)
            if sum(one.nbytes for one in held) > run_bytes:
                if folder is None:
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory("-cvdata")))
                runs.append(_write_run(folder / f"{len(runs)}.arrow", _sorted(held)))
                held = []
        if folder is None:
            yield from _slices(_sorted(held))
            return
        runs.append(_write_run(folder / f"{len(runs)}.arrow", _sorted(held)))
        yield from _merge([stack.enter_context(_Run(path)) for path in runs])


def _sorted(tables: list[pa.Table]) -> pa.Table:
    if not tables:
        return RECORDS.empty_table()
    table = pa.concat_tables(tables)
    # Arrow's sort is stable: rows of one place keep the order in which they were written down.
    return table.take(pc.sort_indices(table, sort_keys=_keys()))


def _keys() -> list[Any]:
    return [(name, order, nulls) for name, order, nulls in _BY_PLACE]


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, TABLE_ROWS):
        yield table.slice(start, TABLE_ROWS)


def _write_run(path: Path, table: pa.Table) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, RECORDS) as writer:
        writer.write_table(table, max_chunksize=4096)
    return path


class _Run:
    """A sorted run on disk: the batch at its head."""

    def __init__(self, path: Path) -> None:
        self.file = pa.OSFile(str(path), "rb")
        self.reader = pa.ipc.open_stream(self.file)
        self.head: pa.Table | None = None
        self.advance()

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def advance(self) -> None:
        """Load the next batch that has rows; None at the end."""
        self.head = None
        for batch in self.reader:
            if batch.num_rows:
                self.head = pa.Table.from_batches([batch])
                return

    def last(self) -> tuple[str, int]:
        """The place of the last row of the head."""
        assert self.head is not None  # noqa: S101  only asked of runs that have one
        row = self.head.select(["uri", "offset"]).slice(self.head.num_rows - 1).to_pylist()[0]
        return row["uri"], -1 if row["offset"] is None else row["offset"]

    def take(self, uri: str, offset: int) -> pa.Table:
        """Remove and return the rows up to and including a place."""
        assert self.head is not None  # noqa: S101
        at = pc.fill_null(self.head["offset"], -1)
        same = pc.and_(pc.equal(self.head["uri"], uri), pc.less_equal(at, offset))
        n = pc.sum(pc.or_(pc.less(self.head["uri"], uri), same)).as_py() or 0
        rows = self.head.slice(0, n)
        if n < self.head.num_rows:
            self.head = self.head.slice(n)
        else:
            self.advance()
        return rows


def _merge(runs: list[_Run]) -> Iterator[pa.Table]:
    """All rows up to the nearest end of a head can go out: nothing later is smaller."""
    ready: list[pa.Table] = []
    while any(run.head is not None for run in runs):
        bound = min((run.last() for run in runs if run.head is not None), key=_bytewise)
        taken = []
        for run in runs:
            while run.head is not None and _bytewise(_first(run.head)) <= _bytewise(bound):
                taken.append(run.take(*bound))
        ready.append(_sorted(taken))
        if sum(table.num_rows for table in ready) >= TABLE_ROWS:
            whole = pa.concat_tables(ready)
            yield whole.slice(0, TABLE_ROWS)
            ready = [whole.slice(TABLE_ROWS)]
    yield from _slices(pa.concat_tables(ready) if ready else RECORDS.empty_table())


def _first(table: pa.Table) -> tuple[str, int]:
    row = table.select(["uri", "offset"]).slice(0, 1).to_pylist()[0]
    return row["uri"], -1 if row["offset"] is None else row["offset"]


def _bytewise(place: tuple[str, int]) -> tuple[bytes, int]:
    return place[0].encode(), place[1]
