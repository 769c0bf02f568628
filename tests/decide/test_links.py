"""Leaks and copies together: laws over random graphs, and a plain loop that decides the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.decide.links import Links, Verdicts, resolve
from cvdata.decide.rules import LeakRule
from cvdata.duplicates.groups import star
from cvdata.kernels.graph import Neighbors

SPLITS = ("train", "val", "test", "other", None)
RULE = LeakRule(protect=["test", "val"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Links, tuple[np.ndarray, np.ndarray]]:
    """Images with random pairs, grouped as dedup groups them; some drop, some are forced."""
    n = draw(st.integers(1, 14))
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    pairs = sorted({(min(p), max(p)) for p in draw(st.lists(ends, max_size=30)) if p[0] != p[1]})
    a, b = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    rank = np.array(draw(st.permutations(range(n))), np.int64)
    order = np.argsort(rank)
    edges = a.astype(np.int32), b.astype(np.int32), np.ones(len(a), np.float32)
    keeper = star(Neighbors.of_rows(n, *edges), order).keeper.astype(np.int64)
    sizes = np.bincount(keeper, minlength=n)
    split = draw(st.lists(st.sampled_from(SPLITS), min_size=n, max_size=n))
    is_leak = [
        split[x] != split[y] and None not in (split[x], split[y]) and draw(st.booleans())
        for x, y in pairs
    ]
    outside = draw(st.lists(st.integers(0, n - 1), max_size=2))
    links = Links(
        is_dropped=np.array(draw(flags), bool),
        is_forced=np.array(draw(flags), bool) & np.array(draw(flags), bool),
        order=rank,
        keeper=np.where(sizes[keeper] > 1, keeper, -1),
        split=split,
        leak_a=np.append(a[is_leak], outside).astype(np.int64),
        leak_b=np.append(b[is_leak], [-1] * len(outside)).astype(np.int64),
        foreign=[""] * sum(is_leak) + ["benchmark"] * len(outside),
    )
    return links, (a, b)


def living(links: Links, verdicts: Verdicts) -> np.ndarray:
    """Images that nothing but being a copy can drop."""
    leaking = {leak.row for leak in verdicts.leaks if leak.is_drop}
    own = np.array([row in leaking for row in range(len(links))], bool)
    return links.is_forced | (~links.is_dropped & ~own)


@settings(deadline=None)
@given(cases())
def test_every_copy_has_a_keeper_that_stays_and_is_its_neighbour(
    case: tuple[Links, tuple[np.ndarray, np.ndarray]],
) -> None:
    links, pairs = case
    found = resolve(links, pairs, RULE)
    alive = living(links, found)
    standing = set(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))
    for row in np.flatnonzero(found.is_copy).tolist():
        keeper = int(found.keeper[row])
        assert alive[keeper]
        assert not found.is_copy[keeper]
        assert (min(row, keeper), max(row, keeper)) in standing
        assert links.keeper[row] == links.keeper[keeper], "never across groups"


@settings(deadline=None)
@given(cases())
def test_no_group_is_lost_while_one_of_it_lives(
    case: tuple[Links, tuple[np.ndarray, np.ndarray]],
) -> None:
    links, pairs = case
    found = resolve(links, pairs, RULE)
    alive = living(links, found)
    kept = alive & (~found.is_copy | links.is_forced)
    for group in np.unique(links.keeper[links.keeper >= 0]):
        members = links.keeper == group
        assert kept[members].any() == alive[members].any()
    assert (alive & (links.keeper < 0) <= kept).all(), "who is in no group is nobody's copy"


@settings(deadline=None)
@given(cases())
def test_a_keeper_that_stays_keeps_its_group(
    case: tuple[Links, tuple[np.ndarray, np.ndarray]],
) -> None:
    links, pairs = case
    found = resolve(links, pairs, RULE)
    alive = living(links, found)
    led = (links.keeper >= 0) & alive[links.keeper]
    assert (found.keeper[led] == links.keeper[led]).all()


@settings(deadline=None)
@given(cases())
def test_a_plain_loop_decides_the_same(
    case: tuple[Links, tuple[np.ndarray, np.ndarray]],
) -> None:
    links, pairs = case
    found = resolve(links, pairs, RULE)
    alive = living(links, found)
    standing = {frozenset(p) for p in zip(pairs[0].tolist(), pairs[1].tolist(), strict=True)}
    expected = list(range(len(links)))
    for group in sorted({int(k) for k in links.keeper if k >= 0}):
        members = [int(m) for m in np.flatnonzero(links.keeper == group)]
        if alive[group]:
            for member in members:
                expected[member] = group
            continue
        left = sorted((m for m in members if alive[m]), key=lambda m: links.order[m])
        while left:
            best = left.pop(0)
            for other in [m for m in left if frozenset((best, m)) in standing]:
                expected[other] = best
                left.remove(other)
    assert found.keeper.tolist() == expected


@settings(deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    case: tuple[Links, tuple[np.ndarray, np.ndarray]], random: object
) -> None:
    links, pairs = case
    n = len(links)
    new = list(range(n))
    random.shuffle(new)  # type: ignore[attr-defined]
    place = np.array(new, np.int64)  # row i of the case is row place[i] of the other
    back = np.argsort(place)
    moved = Links(
        links.is_dropped[back],
        links.is_forced[back],
        links.order[back],
        np.where(links.keeper[back] >= 0, place[links.keeper[back]], -1),
        [links.split[i] for i in back],
        place[links.leak_a],
        np.where(links.leak_b >= 0, place[links.leak_b], -1),
        links.foreign,
    )
    one = resolve(links, pairs, RULE)
    other = resolve(moved, (place[pairs[0]], place[pairs[1]]), RULE)
    assert place[one.keeper].tolist() == other.keeper[place].tolist()
    assert one.group_size.tolist() == other.group_size[place].tolist()
    named = {(int(place[leak.row]), leak.split, leak.is_drop) for leak in one.leaks}
    assert named == {(leak.row, leak.split, leak.is_drop) for leak in other.leaks}


@settings(deadline=None)
@given(cases())
def test_no_leak_is_left_between_splits_that_differ_in_rank(
    case: tuple[Links, tuple[np.ndarray, np.ndarray]],
) -> None:
    links, pairs = case
    found = resolve(links, pairs, RULE)
    drops = {leak.row for leak in found.leaks if leak.is_drop}
    own = links.is_dropped & ~links.is_forced
    for a, b, name in zip(links.leak_a.tolist(), links.leak_b.tolist(), links.foreign, strict=True):
        if name:
            assert (a in drops) >= (links.split[a] not in RULE.protect), "it goes from training"
        elif not own[a] and not own[b] and RULE.rank(links.split[a]) != RULE.rank(links.split[b]):
            loser = a if RULE.rank(links.split[a]) > RULE.rank(links.split[b]) else b
            assert loser in drops
    for row in drops:
        others = [y for x, y, f in _leaks(links, row) if not f]
        foreign = [f for _, _, f in _leaks(links, row) if f]
        assert (foreign and links.split[row] not in RULE.protect) or any(
            not own[o] and RULE.rank(links.split[row]) > RULE.rank(links.split[o]) for o in others
        ), "only for an image that stays, in a split that is more precious"


def _leaks(links: Links, row: int) -> list[tuple[int, int, str]]:
    """(row, other, foreign) of each leak of one image."""
    ends = zip(links.leak_a.tolist(), links.leak_b.tolist(), links.foreign, strict=True)
    return [
        (row, b if a == row else a, name)
        for a, b, name in ends
        if a == row or (b == row and not name)
    ]


def test_a_blurry_keeper_is_succeeded_by_the_next_in_order() -> None:
    """Keeper 0 drops; 1 and 2 are copies of it and of each other, 3 only of it."""
    links = Links(
        is_dropped=np.array([True, False, False, False]),
        is_forced=np.zeros(4, bool),
        order=np.array([0, 2, 1, 3]),
        keeper=np.zeros(4, np.int64),
        split=["train"] * 4,
    )
    pairs = np.array([0, 0, 0, 1]), np.array([1, 2, 3, 2])
    found = resolve(links, pairs, RULE)
    assert found.keeper.tolist() == [0, 2, 2, 3]
    assert found.group_size.tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize(("action", "drops"), [("drop", {0}), ("warn", set()), ("ignore", set())])
def test_what_a_leak_does(action: str, drops: set[int]) -> None:
    links = Links(
        is_dropped=np.zeros(2, bool),
        is_forced=np.zeros(2, bool),
        order=np.arange(2),
        keeper=np.full(2, -1),
        split=["train", "test"],
        leak_a=np.array([0]),
        leak_b=np.array([1]),
        foreign=[""],
    )
    none = np.empty(0, np.int64)
    found = resolve(links, (none, none), LeakRule(action=action))  # type: ignore[arg-type]
    assert {leak.row for leak in found.leaks if leak.is_drop} == drops
    told = set() if action == "ignore" else {(0, "test"), (1, "train")}
    assert {(leak.row, leak.split) for leak in found.leaks} == told
