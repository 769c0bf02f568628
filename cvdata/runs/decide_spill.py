"""What a decision keeps between its passes: Arrow files below `_tmp/`, one a range of ids."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from cvdata.engine.shuffle import SPILL
from cvdata.storage import Store


@dataclass(frozen=True)
class Spill:
    """A folder of the workspace that `gc` removes if a killed run leaves it. Travels to workers."""

    store: Store
    folder: str

    def put(self, kind: str, number: int, table: pa.Table) -> None:
        """Write the rows of one kind of one range."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self.store.put(self._path(kind, number), sink.getvalue().to_pybytes())

    def put_batches(self, kind: str, place: int, table: pa.Table, sizes: Sequence[int]) -> None:
        """Write rows in order as one file with a batch for each of `sizes`."""
        whole = table.combine_chunks()
        nothing = pa.RecordBatch.from_pylist([], whole.schema)
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        start = 0
        with pa.ipc.new_file(sink, whole.schema, options=options) as writer:
            for size in sizes:
                writer.write_batch(next(iter(whole.slice(start, size).to_batches()), nothing))
                start += size
        self.store.put(self._path(kind, place), sink.getvalue().to_pybytes())

    def batch(self, kind: str, place: int, number: int) -> pa.RecordBatch:
        """One batch of a file of `put_batches`; of the others little or nothing is read."""
        path = self._path(kind, place)
        if self.store.is_local:
            with pa.memory_map(self.store.path(path)) as file:
                return pa.ipc.open_file(file).get_batch(number)
        with self.store.fs.open(self.store.path(path), "rb") as file:
            return pa.ipc.open_file(file).get_batch(number)

    def get(self, kind: str, number: int) -> pa.Table | None:
        """The rows of one kind of one range; None where none were written."""
        try:
            data = self.store.get(self._path(kind, number))
        except FileNotFoundError:
            return None
        return pa.ipc.open_file(pa.BufferReader(data)).read_all()

    def rows(self, kind: str, number: int) -> pa.Table:
        """The rows of one kind of one range, which must be there."""
        table = self.get(kind, number)
        if table is None:
            raise FileNotFoundError(self._path(kind, number))
        return table

    def _path(self, kind: str, number: int) -> str:
        return f"{self.folder}/{kind}/{number:06d}.arrow"


@contextmanager
def spill(store: Store) -> Iterator[Spill]:
    """A `Spill` whose files are deleted at the end."""
    made = Spill(store, f"{SPILL}/{secrets.token_hex(8)}")
    try:
        yield made
    finally:
        for entry in list(store.list(made.folder)):
            store.delete(entry.path)
