"""The verb shuffle: rows go to partitions by what they hold; one local task for each partition."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from cvdata.engine.session import Session
from cvdata.engine.verbs import TableReader
from cvdata.reading import IdRange
from cvdata.storage import Store

R = TypeVar("R")
SPILL = "_tmp"
Split = Callable[[pa.Table], Iterable[tuple[int, pa.Table]]]
Work = Callable[[int, pa.Table], R]


@dataclass(frozen=True)
class _Scatter:
    """Reads a range, splits its rows, writes one Arrow file for each partition it feeds."""

    store: Store
    folder: str
    reader: TableReader
    split: Split

    def __call__(self, item: tuple[int, IdRange]) -> list[int]:
        number, id_range = item
        fed = []
        for partition, rows in self.split(self.reader.read(id_range)):
            if len(rows):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_file(sink, rows.schema) as writer:
                    writer.write_table(rows)
                path = f"{self.folder}/{partition:06d}/{number:06d}.arrow"
                self.store.put(path, sink.getvalue().to_pybytes())
                fed.append(partition)
        return fed


@dataclass(frozen=True)
class _Gather:
    """Reads what was scattered to one partition, in the order of the ranges, and works on it."""

    store: Store
    folder: str
    work: Work[Any]

    def __call__(self, item: tuple[int, tuple[int, ...]]) -> Any:
        partition, numbers = item
        tables = []
        for number in numbers:
            data = self.store.get(f"{self.folder}/{partition:06d}/{number:06d}.arrow")
            tables.append(pa.ipc.open_file(pa.BufferReader(data)).read_all())
        return self.work(partition, pa.concat_tables(tables))


def shuffle(
    session: Session,
    store: Store,
    reader: TableReader,
    ranges: Sequence[IdRange],
    split: Split,
    work: Work[R],
) -> Iterator[R]:
    """`work(partition, rows)` for every partition that `split` sends rows to.

    Rows pass through Arrow files below `_tmp/` of the workspace, never through the driver; what a
    killed run leaves there, `gc` removes. A row may be sent to several partitions. Results come
    as they finish and must be small.
    """
    folder = f"{SPILL}/{secrets.token_hex(8)}"
    fed: dict[int, list[int]] = {}
    try:
        scatter = _Scatter(store, folder, reader, split)
        numbered = list(enumerate(ranges))
        # Results come in any order; asking for the number makes the order of rows repeat.
        for number, partitions in session.run(_Numbered(scatter), numbered):
            for partition in partitions:
                fed.setdefault(partition, []).append(number)
        items = [(p, tuple(sorted(numbers))) for p, numbers in sorted(fed.items())]
        yield from session.run(_Gather(store, folder, work), items)
    finally:
        for partition, numbers in fed.items():
            for number in numbers:
                store.delete(f"{folder}/{partition:06d}/{number:06d}.arrow")


@dataclass(frozen=True)
class _Numbered:
    scatter: _Scatter

    def __call__(self, item: tuple[int, IdRange]) -> tuple[int, list[int]]:
        return item[0], self.scatter(item)
