"""Tallies: exact below the limit, the same in any order above it."""

from collections import Counter
from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.eda.tally import Tally

WORDS = st.lists(st.text("abcdef", max_size=2), max_size=60)


@settings(deadline=None)
@given(WORDS)
def test_exact_below_the_limit(words: list[str]) -> None:
    tally = Tally(1000)
    tally.add_column(pa.array(words, pa.string()))
    assert tally.counts == Counter(words)
    assert tally.other == 0


@settings(deadline=None)
@given(WORDS, st.lists(st.integers(0, 60), max_size=5), st.randoms(), st.integers(1, 20))
def test_any_order_is_one_tally(
    words: list[str], cuts: list[int], random: object, limit: int
) -> None:
    whole = Tally(limit)
    whole.add((word, 1) for word in words)
    shuffled = words[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    bounds = [0, *sorted(cuts), len(words)]
    merged = Tally(limit)
    for low, high in pairwise(bounds):
        part = Tally(limit)
        for word in shuffled[low:high]:
            part.add([(word, 1)])
        part.merge(merged)
        merged = part
    assert (merged.counts, merged.other, merged.level) == (whole.counts, whole.other, whole.level)
    assert len(whole.counts) <= limit
    assert sum(whole.counts.values()) + whole.other == len(words)
    assert all(n == words.count(word) for word, n in whole.counts.items())


def test_ranked_breaks_ties_by_name() -> None:
    tally = Tally(10)
    tally.add([("b", 2), ("c", 5), ("a", 2)])
    assert tally.ranked() == [("c", 5), ("a", 2), ("b", 2)]
    assert tally.top(2) == ("c", "a")
