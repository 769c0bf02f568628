"""The two sides of a comparison: a workspace, one of its commits, what came since, a split."""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.drift.collect import Collect, Collected
from cvdata.engine.session import Session
from cvdata.engine.verbs import TableReader, fold
from cvdata.errors import ConfigError
from cvdata.workspace import Workspace

_SIDE = re.compile(r"^(?P<url>.+?)(?:@(?P<seq>\d+)(?P<after>\+)?)?(?::(?P<split>[^/:@\\]+))?$")
MEASURE_RANGE, VECTOR_RANGE = 131_072, 16_384
NOT_COMPARED = frozenset({"trailing_bytes", "n_frames"})


@dataclass(frozen=True)
class Side:
    """`name` as it was asked for; `split` None: all images; `after`: those that it did not hold."""

    name: str
    workspace: Workspace
    split: str | None
    after: int | None = None

    @staticmethod
    def open(name: str) -> "Side":
        """`W`, `W@7`, `W@7+`, `W:train`, `W@7:train`; `ConfigError` where there is none."""
        match = _SIDE.match(name)
        if match is None:
            raise ConfigError(f"{name!r} is no workspace: write W, W@7, W@7+, W:train or W@7:train")
        workspace = Workspace(match["url"])
        if match["seq"] is not None:
            if int(match["seq"]) not in workspace.log.numbers():
                known = workspace.log.numbers()
                some = f"{known[0]} to {known[-1]}" if known else "none"
                raise ConfigError(f"{match['url']} has no commit {match['seq']}; there are: {some}")
            if match["after"] is None:
                workspace.pin(int(match["seq"]))
        if "records" not in workspace.head.tables:
            raise ConfigError(f"{match['url']} has no records: is it a workspace?")
        after = int(match["seq"]) if match["after"] is not None else None
        side = Side(name, workspace, match["split"], after)
        if side.split is not None and side.split not in (known_splits := side.splits()):
            raise ConfigError(
                f"{match['url']} has no split {side.split!r}; there are: "
                f"{', '.join(known_splits) or 'none'}"
            )
        return side

    def splits(self) -> list[str]:
        """The splits that its records name."""
        found: set[str] = set()
        for id_range in self.workspace.ranges():
            column = self.workspace.read("records", ["split"], id_range=id_range)["split"]
            found |= {name for name in pc.unique(column).to_pylist() if name is not None}
        return sorted(found)

    def has(self, table: str) -> bool:
        """Whether the commit has the table."""
        return table in self.workspace.tables()

    def measures(self) -> list[str]:
        """Its measures that are one number each."""
        if not self.has("measures"):
            raise ConfigError(
                f"{self.name} has no measures: run `cvdata scan --workspace "
                f"{self.workspace.store.url}` first"
            )
        first = self.workspace.read("measures", id_range=(b"\xff" * 16, None))
        return [f.name for f in first.schema if _is_number(f.type) and f.name not in NOT_COMPARED]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or kind == pa.bool_())


def collect_measures(
    session: Session, side: Side, names: list[str], n_rows: int, seed: int
) -> Collected:
    """Counts of everything and a sample of the measures `names`."""
    columns = {"measures": ["error", *names], "records": ["label", "split", "boxes"]}
    return _collected(session, side, columns, (n_rows, MEASURE_RANGE, seed))


def collect_vectors(session: Session, side: Side, model: str, n_rows: int, seed: int) -> Collected:
    """A sample of the embeddings, with their labels."""
    columns = {f"embeddings/{model}": ["error", "embedding"], "records": ["label", "split"]}
    return _collected(session, side, columns, (n_rows, VECTOR_RANGE, seed))


def _collected(
    session: Session, side: Side, columns: dict[str, list[str]], how: tuple[int, int, int]
) -> Collected:
    n_rows, range_rows, seed = how
    head = side.workspace.head
    reader = TableReader(side.workspace.store.url, head.seq, columns)
    after = None if side.after is None else (side.workspace.store.url, side.after)
    work = Collect(side.split, n_rows, seed, after)
    return fold(session, work, reader, side.workspace.ranges(range_rows))
