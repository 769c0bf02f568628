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


@runtime_checkable
class SplitStage(Stage, Protocol):
    """A stage in two halves: CPUs fetch, decode and resize; the rest runs where the device is.

    `finish` of what `prepare` gave is what a call gives.
    """

    @property
    def is_split(self) -> bool:
        """Whether the halves should run apart."""
        ...

    @property
    def device(self) -> Resources:
        """What one worker of the second half needs."""
        ...

    @property
    def n_devices(self) -> int:
        """Workers of the second half; 0: as many as the GPUs hold, one where it needs none."""
        ...

    def prepare(self, batch: pa.Table) -> tuple[dict[str, pa.Table], pa.Table]:
        """Rows of `records` -> the tables that are done, and what the second half takes.

        The latter has a row for each of the batch, in order; image_id and revision come first.
        """
        ...

    def setup(self) -> None:
        """Load what the second half needs; called once in its worker."""
        ...

    def finish(self, prepared: pa.Table) -> dict[str, pa.Table]:
        """The other tables, with the image_ids of `prepared` in its order."""
        ...
