"""What the engine runs: a stage turns a table of rows into a table of the same rows, measured."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa


@dataclass(frozen=True)
class Resources:
    """What one worker of a stage needs, in plain numbers."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 1_000_000_000
    rows: int = 1024


@runtime_checkable
class Stage(Protocol):
    """One row in, one row out, in the same order; a broken image is a row with an error."""

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Output schema per table fed; each starts image_id, revision, error, error_detail."""
        ...

    @property
    def fingerprints(self) -> dict[str, str]:
        """Hex sha256 per table of all that can change its values."""
        ...

    @property
    def resources(self) -> Resources:
        """What one worker needs."""
        ...

    def __call__(self, batch: pa.Table) -> dict[str, pa.Table]:
        """Rows of `records` -> for each table fed, the same image_ids in the same order."""
        ...
