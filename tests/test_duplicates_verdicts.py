"""Verdicts as sorted arrays are a dictionary of pairs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cvdata.duplicates.verdicts import ACCEPTED, REFUSED, UNASKED, Verdicts

N = 9
ROWS = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1), st.booleans()), max_size=30)


def plain(rows: list[tuple[int, int, bool]]) -> dict[tuple[int, int], bool]:
    return {(min(a, b), max(a, b)): told for a, b, told in rows}


def made(rows: list[tuple[int, int, bool]]) -> Verdicts:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    return Verdicts.of(N, *columns)


@given(ROWS, ROWS)
def test_it_answers_as_a_dictionary_does(first, second) -> None:  # type: ignore[no-untyped-def]
    whole, expected = made(first).joined(made(second)), plain(first) | plain(second)
    assert len(whole) == len(expected)
    a, b = (side.reshape(-1) for side in np.meshgrid(np.arange(N), np.arange(N)))
    told = whole.at(a, b).tolist()
    for x, y, answer in zip(a.tolist(), b.tolist(), told, strict=True):
        known = expected.get((min(x, y), max(x, y)))
        assert answer == (UNASKED if known is None else ACCEPTED if known else REFUSED)
    pairs = list(zip(*(side.tolist() for side in whole.pairs), strict=True))
    assert pairs == sorted(expected)
