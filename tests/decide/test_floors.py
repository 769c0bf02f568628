"""Floors bring back the best, the same ones however the dataset was cut into ranges."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.decide.floors import Candidate, FloorTally

FLOORS = {"a": 3, "b": 0, "c": 2}
images = st.lists(
    st.tuples(
        st.sampled_from(sorted(FLOORS)),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.integers(1, 3),
        st.floats(0, 1),
        st.integers(0, 20),
    ),
    max_size=40,
)


def tally_of(rows: list[tuple[int, str, bool, bool, Candidate]]) -> FloorTally:
    tally = FloorTally()
    for _, label, keep, may_return, candidate in rows:
        tally.add(label, 1, int(keep))
        if not keep and may_return and FLOORS[label]:
            tally.offer(label, [candidate], FLOORS[label])
    return tally


@settings(deadline=None)
@given(images, st.lists(st.integers(0, 40), max_size=5))
def test_the_best_come_back_and_no_more_than_are_needed(
    drawn: list[tuple[str, bool, bool, bool, int, float, int]], cuts: list[int]
) -> None:
    rows = [
        (i, label, keep, may, (copy, n, severity, -pixels, i.to_bytes(16, "big")))
        for i, (label, keep, may, copy, n, severity, pixels) in enumerate(drawn)
    ]
    whole = tally_of(rows).restored(FLOORS)
    edges = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    parts = FloorTally()
    for low, high in pairwise(edges):
        parts = parts.merge(tally_of(rows[low:high]), FLOORS)
    assert parts.restored(FLOORS) == whole
    for label, floor in FLOORS.items():
        mine = [row for row in rows if row[1] == label]
        n_kept = sum(row[2] for row in mine)
        able = sorted(row[4] for row in mine if not row[2] and row[3])
        assert whole.get(label, []) == [c[-1] for c in able[: max(0, floor - n_kept)]]
