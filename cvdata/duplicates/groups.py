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
        counts = np.bincount(self.component)
        return np.sort(counts[counts > 1])[::-1].astype(np.int64)


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


def used_pairs(found: Stars) -> tuple[I32, I32]:
    """The (keeper, member) rows that the cover rests on."""
    member = np.flatnonzero(~found.is_keeper).astype(np.int32)
    return found.keeper[member], member


Verify = Callable[[I32, I32], npt.NDArray[np.bool_]]
"""(keepers, members) as rows -> whether each pair is a true copy."""


@dataclass(frozen=True)
class VerifiedStars:
    """A cover in which every pair was verified; `n_verified` pairs were looked at.

    `refused` are the pairs turned down. `n_unresolved` rows were kept because the rounds ran out.
    """

    stars: Stars
    refused: tuple[I32, I32]
    n_verified: int
    n_unresolved: int


def star_verified(
    neighbors: Neighbors, order: I64, verify: Verify, max_rounds: int = 64
) -> VerifiedStars:
    """The star cover of the verified graph, verifying only the pairs that it rests on.

    Cover optimistically, verify (keeper, member), strike out what fails, cover again. When every
    used pair stands, the cover equals that of the fully verified graph: the first row at which
    they could differ would need a pair that is used and not verified. When the rounds run out,
    rows whose pair is not yet verified are kept.
    """
    n = len(neighbors.unit)
    accepted = np.empty(0, np.int64)
    left = right = np.empty(0, np.int32)
    n_verified = 0
    for _ in range(max_rounds):
        found = star(neighbors, order, (left, right))
        keeper, member = used_pairs(found)
        new = ~np.isin(keeper.astype(np.int64) * n + member, accepted)
        if not new.any():
            return VerifiedStars(found, (left, right), n_verified, 0)
        keeper, member = keeper[new], member[new]
        is_copy = verify(keeper, member)
        n_verified += len(keeper)
        accepted = np.concatenate([accepted, (keeper.astype(np.int64) * n + member)[is_copy]])
        left = np.concatenate([left, keeper[~is_copy]])
        right = np.concatenate([right, member[~is_copy]])
    found = star(neighbors, order, (left, right))
    keeper, member = used_pairs(found)
    open_rows = member[~np.isin(keeper.astype(np.int64) * n + member, accepted)]
    alone, distance = found.keeper.copy(), found.distance.copy()
    alone[open_rows], distance[open_rows] = open_rows, 0
    return VerifiedStars(Stars(alone, distance), (left, right), n_verified, len(open_rows))
