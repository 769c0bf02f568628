"""Pairs -> groups that never chain: every dropped image is within the radius of its keeper."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.kernels import hamming, stars
from cvdata.kernels.graph import F32, I32, I64, Neighbors
from cvdata.kernels.hamming_join import U64


@dataclass(frozen=True)
class Stars:
    """A star cover of N rows.

    `keeper` (N,) int32: the row that stands for each row, itself for a keeper; `distance` (N,)
    float32 to it.
    """

    keeper: I32
    distance: F32

    @property
    def is_keeper(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the row stands for itself."""
        return np.asarray(self.keeper == np.arange(len(self.keeper)))

    @property
    def n_groups(self) -> int:
        """Groups with at least two rows."""
        return int((np.bincount(self.keeper, minlength=len(self.keeper)) > 1).sum())


def star(neighbors: Neighbors, order: I64, refused: tuple[I32, I32] | None = None) -> Stars:
    """Greedy star cover in keep order (rows, best first).

    The best row becomes a keeper and takes all its free direct neighbours, and so on. `refused`
    are pairs of rows that verification turned down. The result depends on the order only.
    """
    n = len(neighbors.unit)
    if len(order) != n or (n > 0 and not np.array_equal(np.sort(order), np.arange(n))):
        raise ConfigError("the keep order must name every row once")
    edges = neighbors.a, neighbors.b, neighbors.distance
    graph = stars.to_csr(neighbors.n_units, *edges)
    no = np.empty(0, np.int32)
    left, right = refused if refused is not None else (no, no)
    turned_down = stars.to_csr(n, left, right, np.zeros(len(left), np.float32))[:2]
    members = stars.members_of(neighbors.n_units, neighbors.unit)
    return Stars(*stars.star_cover(order, neighbors.unit, members, graph, turned_down))


def star_of_hashes(words: U64, plan: hamming.BandPlan, order: I64) -> Stars:
    """The same cover for hashes whose pairs are too many to hold: `TooManyPairs` was raised.

    `words` (N, W), copies allowed; memory grows with N and not with the pairs.
    """
    values, unit = hamming.unique_words(words)
    rank = np.full(len(values), len(words), np.int64)
    place = np.empty(len(words), np.int64)
    place[order] = np.arange(len(order))
    np.minimum.at(rank, unit, place)
    best = order[rank]
    tables = hamming.probe_tables(values, plan)
    keeper, distance = stars.star_search(np.argsort(rank), values, tables, plan.radius)
    return Stars(best[keeper][unit].astype(np.int32), distance[unit])


@dataclass(frozen=True)
class Components:
    """Connected components, for comparison only: what chaining would have merged.

    `component` (N,) int32 (the smallest row in it), and the bridges: pairs of units whose rows
    went to different keepers.
    """

    component: I32
    bridge_a: I32
    bridge_b: I32

    @property
    def sizes(self) -> I64:
        """Sizes of the components with at least two rows, largest first."""
        return self.weighed(np.ones(len(self.component), np.int64))

    def weighed(self, weight: I64) -> I64:
        """The same where each row (N,) speaks for so many."""
        counts = np.bincount(self.component)
        total = np.bincount(self.component, weight)
        return np.sort(total[counts > 1])[::-1].astype(np.int64)


def connected(neighbors: Neighbors, found: Stars) -> Components:
    """Components of the neighbour graph and the bridges between star groups inside them."""
    of_unit = stars.components(neighbors.n_units, neighbors.a, neighbors.b)
    raw = of_unit[neighbors.unit]
    n = len(raw)
    smallest = np.full(max(neighbors.n_units, 1), n, np.int32)
    np.minimum.at(smallest, raw, np.arange(n, dtype=np.int32))
    first = np.full(max(neighbors.n_units, 1), n, np.int32)
    np.minimum.at(first, neighbors.unit, np.arange(n, dtype=np.int32))
    a, b = first[neighbors.a], first[neighbors.b]
    apart = found.keeper[a] != found.keeper[b]
    return Components(smallest[raw], a[apart], b[apart])


Verify = Callable[[I32, I32], npt.NDArray[np.bool_]]
"""(keepers, members) as rows -> whether each pair is a true copy."""


def star_verified(neighbors: Neighbors, order: I64, verify: Verify) -> Stars:
    """The star cover of the pairs that `verify` accepts, asking only what the cover rests on.

    In keep order each free row becomes a keeper, its free neighbours are looked at, and those that
    are copies join it. The cover equals that of the fully verified graph: whether a pair of two
    taken rows stands cannot change it. `neighbors` are plain pairs of rows.
    """
    n = len(neighbors.unit)
    if neighbors.n_units != n:
        raise ConfigError("star_verified takes pairs of rows: call expanded() on units first")
    edges = neighbors.a, neighbors.b, neighbors.distance
    start, members, values = stars.to_csr(n, *edges)
    keeper, distance = np.full(n, -1, np.int32), np.zeros(n, np.float32)
    for row in order.tolist():
        if keeper[row] >= 0:
            continue
        keeper[row] = row
        near = np.arange(start[row], start[row + 1])
        near = near[keeper[members[near]] < 0]
        if not len(near):
            continue
        found = members[near]
        is_copy = verify(np.full(len(found), row, np.int32), found)
        keeper[found[is_copy]] = row
        distance[found[is_copy]] = values[near][is_copy]
    return Stars(keeper, distance)
