"""One chunk, end to end, wherever it runs: read its rows, run the stage, write its parts."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from cvdata.parts import Part, PartSpec, read_columns, receipt, sort_rows, write_keyed
from cvdata.recording import Effort
from cvdata.schema import RECORDS
from cvdata.stages.base import Stage
from cvdata.storage import Store


@dataclass(frozen=True)
class Computed:
    """A chunk between its two steps: rows of `records`, and what the stage made of them."""

    rows: pa.Table
    tables: dict[str, pa.Table]


@dataclass(frozen=True)
class Done:
    """A finished chunk: the receipts of its parts, and what it cost."""

    parts: list[Part]
    effort: Effort


def effort(seconds: Mapping[str, float], idle_seconds: float = 0.0, other: str = "") -> Effort:
    """What this worker, and the `other` that prepared the chunk for it, spent on one."""
    return Effort(seconds, idle_seconds, tuple(filter(None, (other, worker()))), platform.node())


def worker() -> str:
    """Names the process that runs here among those of all machines."""
    return f"{platform.node()}:{os.getpid()}"


@dataclass(frozen=True)
class ChunkRunner:
    """Runs `stage` on rows of a records part and writes one part for each table that it feeds."""

    store: Store
    stage: Stage
    specs: tuple[PartSpec, ...]

    def __call__(self, part_path: str, positions: bytes) -> list[Part]:
        """Receipts in the order of `specs`. A chunk that is finished already is not run again."""
        return self.write(self.compute(part_path, positions))

    def compute(self, part_path: str, positions: bytes) -> "list[Part] | Computed":
        """The stage's tables, or the receipts of a chunk that is finished already."""
        rows, found = self.begin(part_path, positions)
        if all(part is not None for part in found):
            return [part for part in found if part is not None]
        return Computed(rows, self.stage(rows))

    def write(self, computed: "list[Part] | Computed") -> list[Part]:
        """Write what `compute` gave, and return the receipts."""
        if isinstance(computed, list):
            return computed
        rows, tables = computed.rows, computed.tables
        return [
            write_keyed(self.store, spec, checked(tables[spec.table], rows, spec))
            for spec in self.specs
        ]

    def begin(self, part_path: str, positions: bytes) -> tuple[pa.Table, list[Part | None]]:
        """The chunk's rows of `records`, and the receipts of the parts that are there already."""
        rows = _records(self.store, part_path).take(pa.array(np.frombuffer(positions, np.uint32)))
        keys = sort_rows(rows.select(["image_id", "revision"]))
        return rows, [receipt(self.store, spec.path_of_keys(keys)) for spec in self.specs]


def checked(result: pa.Table, rows: pa.Table, spec: PartSpec) -> pa.Table:
    """The stage's rows, cast to the declared schema: the same image_ids in the same order."""
    if result["image_id"].to_pylist() != rows["image_id"].to_pylist():
        raise AssertionError(f"the stage of {spec.table} did not return the rows it was given")
    return result.select(spec.schema.names).cast(spec.schema)


@lru_cache(maxsize=2)
def _records(store: Store, path: str) -> pa.Table:
    return read_columns(store, [Part(path, 0, 0, "")], RECORDS)
