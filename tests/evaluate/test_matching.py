"""Found boxes met with true ones: by hand, and by laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.evaluate import Objects
from cvdata.evaluate.matching import CERTAIN, match

A, B, C = [0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60]


def objects(*rows: tuple[int, list[int], float]) -> Objects:
    labels = np.array([r[0] for r in rows], np.int32)
    boxes = np.array([r[1] for r in rows], float).reshape(-1, 4)
    return Objects(labels, boxes, np.array([r[2] for r in rows]))


def test_each_kind_of_mistake_is_counted_once() -> None:
    truth = objects((1, A, 1), (2, B, 1), (3, C, 1))
    found = objects((1, A, 0.9), (1, B, 0.8), (2, [70, 70, 80, 80], 0.7), (3, C, 0.2))
    ours = match(truth, found)
    assert ours.n_right == 1
    assert ours.confused == {(2, 1): 1}
    assert ours.n_missed == 1, "the box found at 0.2 is not certain"
    assert ours.n_spurious == 1
    assert ours.n_wrong == 3
    assert ours.f1 == pytest.approx(2 * 1 / (3 + 3))
    assert ours.scores.tolist() == [0.9, 0.8, 0.7, 0.2]
    assert ours.is_right.tolist() == [True, False, False, True]


def test_the_same_class_is_taken_before_a_nearer_box() -> None:
    truth = objects((1, [0, 0, 10, 8], 1), (2, A, 1))
    ours = match(truth, objects((1, A, 0.9), (2, A, 0.8)))
    assert (ours.n_right, ours.n_wrong) == (2, 0)


def test_a_crowd_excuses_what_lies_in_it() -> None:
    crowd = Objects(np.array([1]), np.array([B], float), is_crowd=np.array([True]))
    ours = match(crowd, objects((1, [22, 22, 30, 30], 0.9), (1, A, 0.9)))
    assert (ours.n_right, ours.n_missed, ours.n_spurious) == (0, 0, 1)


boxes = st.lists(
    st.tuples(
        st.integers(1, 3), st.integers(0, 40), st.integers(0, 40), st.integers(1, 30),
        st.integers(1, 30), st.floats(0, 1, width=32),
    ),
    max_size=6,
)  # fmt: skip


@given(boxes, boxes)
@settings(max_examples=80, deadline=None)
def test_every_box_is_accounted_for(true: list, said: list) -> None:
    truth, found = (
        objects(*((label, [x, y, x + w, y + h], s) for label, x, y, w, h, s in rows))
        for rows in (true, said)
    )
    ours = match(truth, found)
    n_confused = sum(ours.confused.values())
    assert ours.n_right + n_confused + ours.n_missed == len(true)
    n_certain = sum(row[-1] >= CERTAIN for row in said)
    assert ours.n_right + n_confused + ours.n_spurious == n_certain
    assert min(ours.n_right, ours.n_missed, ours.n_spurious) >= 0
    assert len(ours.scores) == len(said)
    assert 0 <= ours.f1 <= 1


@given(boxes)
@settings(max_examples=40, deadline=None)
def test_the_truth_finds_itself(true: list) -> None:
    rows = [(label, [x, y, x + w, y + h], 1.0) for label, x, y, w, h, _ in true]
    ours = match(objects(*rows), objects(*rows))
    assert (ours.n_right, ours.n_wrong, ours.f1) == (len(rows), 0, 1)
