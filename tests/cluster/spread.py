"""A driver for the tests of nodes: a stage that notes on which node each of its chunks ran.

`python -m tests.cluster.spread ADDRESS WORKSPACE LOG`
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cvdata.engine.session import EngineConfig
from cvdata.workspace import Workspace
from tests.jobs.odd_models import Tiles
from tests.tables.flows import run_stage
from tests.tables.stages import KeyLength

CHUNK_ROWS = 20
SECONDS, PATIENCE = 0.1, 120.0
"""Of a chunk, and how long it waits for the nodes that are awaited."""


@dataclass(frozen=True)
class NotedLength(KeyLength):
    """KeyLength that notes its node in the log, and waits for those that `<log>.awaited` names.

    Without the wait one node would have done everything before a busy machine has started a worker
    on another.
    """

    def __call__(self, batch: pa.Table) -> dict[str, pa.Table]:
        log = Path(self.log)
        with log.open("a") as file:
            file.write(f"{here()}\n")
        deadline = time.monotonic() + PATIENCE
        while not awaited(log) <= noted(log) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(SECONDS)
        return KeyLength(self.tables)(batch)


def noted(log: Path) -> set[str]:
    """The nodes that have done something."""
    return set(log.read_text().splitlines()) if log.exists() else set()


def awaited(log: Path) -> set[str]:
    """The nodes that chunks wait for."""
    return noted(log.with_suffix(".awaited"))


@dataclass
class PlacedTiles(Tiles):
    """An encoder that notes on which node its weights were loaded."""

    def setup(self, device: str) -> None:
        super().setup(device)
        with (Path(self.log) / "nodes").open("a") as file:
            file.write(f"{here()}\n")


def here() -> str:
    """The id of the node that this runs on; of none, where no Ray is up."""
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else "none"


def main() -> None:
    """Run the stage over all records of the workspace."""
    address, where, log = sys.argv[1:]
    engine = EngineConfig("ray", address=address)
    run_stage(Workspace(where), NotedLength(log=log), engine, CHUNK_ROWS)


if __name__ == "__main__":
    main()
