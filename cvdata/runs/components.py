"""Candidate pairs -> whole components, packed into tasks: what verification is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates.groups import connected, star
from cvdata.duplicates.history import History
from cvdata.duplicates.verdicts import Verdicts
from cvdata.kernels.graph import I64, Neighbors
from cvdata.schema import RECORDS
from cvdata.stages.verify import Component
from cvdata.workspace import Workspace

TASK_ROWS = 256
HAS_VECTOR = "has_vector"
FETCH_COLUMNS = [f.name for f in RECORDS if f.name not in ("boxes", "label", "split")]


@dataclass(frozen=True)
class Images:
    """The readable images, one row each: keys, digests, hashes, and what the keep policy needs.

    `order` are the rows, best first; `pixels` and `split` equal numbers for equal values, -1: none;
    `weight` how many images each speaks for: itself, and those of a crowd that stand aside.
    """

    table: pa.Table
    order: I64
    pixels: I64
    split: I64
    weight: I64

    def __len__(self) -> int:
        return len(self.table)


def components(
    workspace: Workspace,
    images: Images,
    by_method: Mapping[str, Neighbors],
    radii: Mapping[str, float],
    histories: Mapping[str, History],
    known: Verdicts,
) -> Iterator[Component]:
    """Components of all candidates together that hold something undecided, packed into tasks.

    `known`: what earlier runs saw of pairs of rows.
    """
    n = len(images)
    whole = union(n, by_method)
    component = connected(whole, star(whole, images.order)).component
    active = np.zeros(n, bool)
    for history in histories.values():
        active |= history.active
    is_wanted = np.zeros(n, bool)
    is_wanted[component[active]] = True
    sizes = np.bincount(component, minlength=n)
    rows = np.flatnonzero((sizes[component] > 1) & is_wanted[component])
    rows = rows[np.argsort(component[rows], kind="stable")]
    records = records_of(workspace, images, rows)
    rank = np.empty(n, np.int64)
    rank[images.order] = np.arange(n)
    graphs = {m: _Sorted.of(found, component) for m, found in by_method.items()}
    told = _Told.of(known, component)
    for start, end in _packed(component[rows]):
        mine = rows[start:end]
        span = int(component[mine[0]]), int(component[mine[-1]])
        yield Component(
            mine,
            records.slice(start, end - start),
            rank[mine],
            images.pixels[mine],
            images.split[mine],
            {m: (_local(h.keeper[mine], mine), h.distance[mine]) for m, h in histories.items()},
            {m: graph.within(mine, span) for m, graph in graphs.items()},
            radii,
            told.within(mine, span),
        )


def _local(keeper: I64, rows: I64) -> I64:
    """Global rows as places in `rows`; -1 stays, and so does what is not among them."""
    order = np.argsort(rows)
    at = np.searchsorted(rows[order], keeper).clip(max=max(len(rows) - 1, 0))
    return np.where(rows[order][at] == keeper, order[at], -1)


@dataclass(frozen=True)
class _Told:
    """Verdicts in the order of the components of their pairs."""

    a: I64
    b: I64
    is_copy: npt.NDArray[np.bool_]
    component: npt.NDArray[np.integer]

    @staticmethod
    def of(known: Verdicts, component: npt.NDArray[np.integer]) -> "_Told":
        a, b = known.pairs
        order = np.argsort(component[a], kind="stable")
        return _Told(a[order], b[order], known.is_copy[order], component[a][order])

    def within(self, rows: I64, span: tuple[int, int]) -> Verdicts:
        """Those on pairs of `rows`, whole components, first to last in `span`; renumbered."""
        low = np.searchsorted(self.component, span[0], "left")
        high = np.searchsorted(self.component, span[1], "right")
        a, b = (_local(side[low:high], rows) for side in (self.a, self.b))
        both = (a >= 0) & (b >= 0)
        return Verdicts.of(len(rows), a[both], b[both], self.is_copy[low:high][both])


@dataclass(frozen=True)
class _Sorted:
    """A method's graph with its pairs in the order of their components, to cut pieces from."""

    graph: Neighbors
    component: I64

    @staticmethod
    def of(graph: Neighbors, component: npt.NDArray[np.integer]) -> "_Sorted":
        row = np.zeros(graph.n_units, np.int64)
        row[graph.unit] = np.arange(len(graph.unit))
        of_pair = component[row[graph.a]].astype(np.int64)
        order = np.argsort(of_pair, kind="stable")
        pairs = graph.a[order], graph.b[order], graph.distance[order]
        return _Sorted(Neighbors(graph.unit, graph.n_units, *pairs), of_pair[order])

    def within(self, rows: I64, span: tuple[int, int]) -> Neighbors:
        """The graph of whole components, first to last in `span`, rows renumbered."""
        low = np.searchsorted(self.component, span[0], "left")
        high = np.searchsorted(self.component, span[1], "right")
        units, unit = np.unique(self.graph.unit[rows], return_inverse=True)
        a, b, distance = (
            column[low:high] for column in (self.graph.a, self.graph.b, self.graph.distance)
        )
        at = np.searchsorted(units, a).clip(max=len(units) - 1)
        mine = units[at] == a
        return Neighbors(
            unit.astype(np.int32),
            len(units),
            at[mine].astype(np.int32),
            np.searchsorted(units, b[mine]).astype(np.int32),
            distance[mine],
        )


def union(n: int, by_method: Mapping[str, Neighbors]) -> Neighbors:
    """All candidate pairs as one graph: units become chains of their rows, which connects them."""
    lows, highs = [], []
    for found in by_method.values():
        order = np.argsort(found.unit, kind="stable")
        unit = found.unit[order]
        same = unit[1:] == unit[:-1]
        lows.append(order[:-1][same])
        highs.append(order[1:][same])
        first = np.full(found.n_units, n, np.int64)
        np.minimum.at(first, found.unit, np.arange(n))
        lows.append(first[found.a])
        highs.append(first[found.b])
    low, high = np.concatenate(lows), np.concatenate(highs)
    return Neighbors.of_rows(n, low, high, np.zeros(len(low), np.float32))


def _packed(component: Sequence[int] | npt.NDArray[np.integer]) -> Iterator[tuple[int, int]]:
    """Slices of whole components with about `TASK_ROWS` rows each."""
    values = np.asarray(component)
    ends = [*(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)] if len(values) else []
    start = 0
    for end in ends:
        if end - start >= TASK_ROWS or end == len(values):
            yield start, end
            start = end


def records_of(workspace: Workspace, images: Images, rows: I64) -> pa.Table:
    """What fetches these rows, in their order."""
    return rows_to_fetch(workspace, images.table["image_id"].take(pa.array(rows)))


def rows_to_fetch(workspace: Workspace, ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    """RECORDS of these images, in their order, without what only people need."""
    found = workspace.read("records", FETCH_COLUMNS)
    for name in ("boxes", "label", "split"):
        found = found.append_column(name, pa.nulls(len(found), RECORDS.field(name).type))
    at = pc.index_in(ids, value_set=found["image_id"].combine_chunks())
    return found.select(RECORDS.names).take(at).combine_chunks()
