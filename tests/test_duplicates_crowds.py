"""Who of a crowd stays, whatever the sizes, the order and the past."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cvdata.duplicates.crowds import affordable_least, crowds_of

LEAST = 4
ROWS = st.lists(
    st.tuples(st.integers(-1, 3), st.integers(-1, 1), st.booleans()), min_size=0, max_size=60
)


@given(ROWS, st.randoms(use_true_random=False))
def test_who_stays_and_who_speaks_for_the_others(
    rows: list[tuple[int, int, bool]], random: object
) -> None:
    digest = np.array([r[0] for r in rows], np.int64)
    split = np.array([r[1] for r in rows], np.int64)
    is_bound = np.array([r[2] for r in rows], bool)
    order = np.arange(len(rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    rank = np.argsort(order)
    found = crowds_of(digest, [split], order, is_bound, LEAST)
    follower, model, elder = found.follower, found.model, found.elder

    assert sorted([*found.stays, *follower]) == list(range(len(rows))), "each once"
    assert set(np.flatnonzero(is_bound)) <= set(found.stays), "an old keeper stays"
    assert set(model) | set(elder) <= set(found.stays)
    for column in (digest, split):
        assert (column[follower] == column[model]).all()
        assert (column[follower] == column[elder]).all()
    assert not is_bound[model].any(), "a model becomes no keeper: its elder is before it"
    assert (rank[elder] < rank[model]).all()
    assert (rank[model] < rank[follower]).all()
    sizes = np.bincount(digest[digest >= 0], minlength=5)
    assert all(sizes[k] >= LEAST for k in digest[follower])
    for k in range(4):
        mine = np.flatnonzero(digest == k)
        if len(mine):
            assert mine[np.argmin(rank[mine])] in found.stays, "the best of each crowd stays"
        for s in range(-1, 2):
            free = (digest == k) & (split == s) & ~is_bound
            if sizes[k] >= LEAST:
                assert np.isin(np.flatnonzero(free), found.stays).sum() == min(free.sum(), 2)
    assert found.weight().sum() == len(rows)
    at, who = found.spread(found.stays)
    assert sorted(who) == sorted(follower)
    speaks = dict(zip(follower.tolist(), model.tolist(), strict=True))
    assert [speaks[f] for f in who.tolist()] == found.stays[at].tolist()


def test_many_sets_below_a_crowd_are_crowds_too() -> None:
    """A hundred sets of 999 are 50 million pairs."""
    assert affordable_least(np.array([999, 999, 30_000]), 1_000) == 1_000
    assert affordable_least(np.full(100, 999), 1_000) == 500
    assert affordable_least(np.full(10**7, 3), 1_000, 10) == 3
