"""Laws of the star cover: it never chains, and depends on the keep order alone."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.duplicates import groups
from cvdata.errors import ConfigError
from cvdata.kernels import hamming
from cvdata.kernels.graph import Neighbors

Edges = dict[tuple[int, int], float]


def slow_star(n: int, edges: Edges, order: npt.NDArray[np.int64]) -> list[int]:
    """The definition, word for word."""
    keeper = [-1] * n
    for u in order.tolist():
        if keeper[u] < 0:
            keeper[u] = u
            for v in range(n):
                if keeper[v] < 0 and (min(u, v), max(u, v)) in edges:
                    keeper[v] = u
    return keeper


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges, npt.NDArray[np.int64]]:
    n = draw(st.integers(1, 25))
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=60)) if pairs else []
    edges = {pair: float(draw(st.integers(1, 9))) for pair in chosen}
    return n, edges, np.array(draw(st.permutations(range(n))), np.int64)


def neighbors_of(n: int, edges: Edges) -> Neighbors:
    a, b = [pair[0] for pair in edges], [pair[1] for pair in edges]
    return Neighbors.of_rows(n, a, b, list(edges.values()))


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_star_is_the_definition_and_never_chains(
    graph: tuple[int, Edges, npt.NDArray[np.int64]],
) -> None:
    n, edges, order = graph
    found = groups.star(neighbors_of(n, edges), order)
    assert found.keeper.tolist() == slow_star(n, edges, order)
    for row, keeper in enumerate(found.keeper.tolist()):
        if row == keeper:
            assert found.distance[row] == 0
        else:
            assert found.distance[row] == edges[min(row, keeper), max(row, keeper)]
            assert found.keeper[keeper] == keeper


@settings(max_examples=100, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_renaming_rows_changes_nothing(graph, random) -> None:  # type: ignore[no-untyped-def]
    """Any order of rows or pairs: the same images have the same keepers."""
    n, edges, order = graph
    names = list(range(n))
    random.shuffle(names)
    new_name = np.array(names)
    shuffled = list(edges.items())
    random.shuffle(shuffled)
    renamed = {
        (int(min(new_name[a], new_name[b])), int(max(new_name[a], new_name[b]))): d
        for (a, b), d in shuffled
    }
    before = groups.star(neighbors_of(n, edges), order)
    after = groups.star(neighbors_of(n, renamed), new_name[order])
    assert np.array_equal(new_name[before.keeper], after.keeper[new_name])


@settings(max_examples=100, deadline=None)
@given(graphs(), st.lists(st.integers(0, 24), min_size=1, max_size=80))
def test_units_equal_their_expansion(graph, copies) -> None:  # type: ignore[no-untyped-def]
    """Copies kept as one unit give what all their pairs would give."""
    n_units, edges, _ = graph
    unit = np.array([copy % n_units for copy in copies], np.int32)
    n = len(unit)
    full: Edges = {}
    for a in range(n):
        for b in range(a + 1, n):
            u, v = sorted((int(unit[a]), int(unit[b])))
            if u == v or (u, v) in edges:
                full[a, b] = edges.get((u, v), 0.0)
    order = np.random.default_rng(n).permutation(n)
    plain = neighbors_of(n_units, edges)
    compact = Neighbors(unit, n_units, plain.a, plain.b, plain.distance)
    found, expected = groups.star(compact, order), groups.star(neighbors_of(n, full), order)
    assert np.array_equal(found.keeper, expected.keeper)
    assert np.array_equal(found.distance, expected.distance)


@settings(max_examples=100, deadline=None)
@given(graphs(), st.integers(0, 2**32 - 1))
def test_verifying_only_what_is_used_is_enough(graph, seed) -> None:  # type: ignore[no-untyped-def]
    n, edges, order = graph
    rng = np.random.default_rng(seed)
    true = {pair: d for pair, d in edges.items() if rng.random() < 0.6}
    asked: list[tuple[int, int]] = []

    def verify(a, b):  # type: ignore[no-untyped-def]
        pairs = [(min(x, y), max(x, y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        asked.extend(pairs)
        return np.array([pair in true for pair in pairs], bool)

    lazy = groups.star_verified(neighbors_of(n, edges), order, verify)
    expected = groups.star(neighbors_of(n, true), order)
    assert lazy.keeper.tolist() == expected.keeper.tolist()
    assert lazy.distance.tolist() == expected.distance.tolist()
    assert len(asked) == len(set(asked)) <= len(edges)


def test_a_clique_of_look_alikes_hides_no_copy() -> None:
    """All but one of 1,128 pairs are false; it is found, and nothing else is merged."""
    n = 48
    edges = {(a, b): 1.0 for a in range(n) for b in range(a + 1, n)}

    def verify(a, b):  # type: ignore[no-untyped-def]
        return (a == n - 2) & (b == n - 1)

    found = groups.star_verified(neighbors_of(n, edges), np.arange(n), verify)
    assert found.keeper.tolist() == [*range(n - 1), n - 2]


def test_units_cannot_be_verified() -> None:
    units = Neighbors(np.zeros(3, np.int32), 1, *(np.empty(0, t) for t in ("i4", "i4", "f4")))
    with pytest.raises(ConfigError, match="expanded"):
        groups.star_verified(units, np.arange(3), lambda a, b: np.ones(len(a), bool))


def test_a_thousand_copies_are_one_group_without_a_pair() -> None:
    n = 200_000
    same = Neighbors(np.zeros(n, np.int32), 1, *(np.empty(0, t) for t in ("i4", "i4", "f4")))
    found = groups.star(same, np.arange(n)[::-1])
    assert found.n_groups == 1
    assert (found.keeper == n - 1).all()


@pytest.mark.parametrize("spread", [2, 6, 20])
@pytest.mark.parametrize("radius", [0, 3, 7, 11])
def test_cover_without_pairs_equals_cover_of_pairs(radius: int, spread: int) -> None:
    rng = np.random.default_rng(spread)
    centres = np.repeat(rng.integers(0, 2**64, 20, dtype=np.uint64), 40)
    for i in range(len(centres)):
        for bit in rng.integers(0, 64, rng.integers(0, spread + 1)):
            centres[i] ^= np.uint64(1) << np.uint64(bit)
    words = centres[:, None]
    order = rng.permutation(len(words))
    values, unit = hamming.unique_words(words)
    plan = hamming.plan_bands(values, 64, radius)
    pairs = hamming.search(values, plan)
    listed = Neighbors(
        unit.astype(np.int32), len(values), pairs.a, pairs.b, pairs.distance.astype(np.float32)
    )
    expected, found = groups.star(listed, order), groups.star_of_hashes(words, plan, order)
    assert np.array_equal(found.keeper, expected.keeper)
    assert np.array_equal(found.distance, expected.distance)


def test_components_show_the_chain_that_stars_refuse() -> None:
    """0 - 1 - 2 - 3 in a row, 4 - 5 apart: one component of four, two groups, the bridge named."""
    chain = Neighbors.of_rows(6, [0, 1, 2, 4], [1, 2, 3, 5], [1, 1, 1, 1])
    found = groups.star(chain, np.arange(6))
    assert found.keeper.tolist() == [0, 0, 2, 2, 4, 4]
    linked = groups.connected(chain, found)
    assert linked.component.tolist() == [0, 0, 0, 0, 4, 4]
    assert linked.sizes.tolist() == [4, 2]
    assert (linked.bridge_a.tolist(), linked.bridge_b.tolist()) == ([1], [2])


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_components_are_scipys(graph) -> None:  # type: ignore[no-untyped-def]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, edges, order = graph
    neighbors = neighbors_of(n, edges)
    linked = groups.connected(neighbors, groups.star(neighbors, order))
    data = np.ones(len(edges))
    a, b = neighbors.a.astype(np.int64), neighbors.b.astype(np.int64)
    _, labels = connected_components(coo_array((data, (a, b)), shape=(n, n)), directed=False)
    first = {int(label): int(np.flatnonzero(labels == label)[0]) for label in set(labels.tolist())}
    assert linked.component.tolist() == [first[int(label)] for label in labels]


def test_an_order_that_misses_a_row_is_refused() -> None:
    with pytest.raises(ConfigError, match="order"):
        groups.star(Neighbors.of_rows(3, [], [], []), np.array([0, 1, 1]))
