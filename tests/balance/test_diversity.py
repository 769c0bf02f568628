"""Diversity against brute force: the greedy choice, its bound, and even shares."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvdata.balance import hierarchical, k_center, waterfill
from cvdata.balance.diversity import spread_sample

vectors = st.integers(1, 9).flatmap(
    lambda n: arrays(np.float32, (n, 3), elements=st.floats(-1, 1, width=16))
)


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None].astype(np.float64) - points[None], axis=-1)


def radius(points: np.ndarray, chosen: np.ndarray | tuple[int, ...]) -> float:
    return float(distances(points)[:, list(chosen)].min(axis=1).max())


@settings(deadline=None)
@given(vectors, st.integers(1, 5))
def test_within_twice_the_best_of_all_choices(points: np.ndarray, k: int) -> None:
    """Gonzalez's bound, against every subset."""
    k = min(k, len(points))
    chosen = k_center(points, k)
    best = min(radius(points, c) for c in combinations(range(len(points)), k))
    assert len(set(chosen.tolist())) == k
    assert radius(points, chosen) <= 2 * best + 1e-3


def test_the_greedy_choice_of_a_plain_loop() -> None:
    rng = np.random.default_rng(5)
    points = rng.normal(size=(300, 16)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    between = distances(points)
    expected = [int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    while len(expected) < 60:
        nearest = between[:, expected].min(axis=1)
        nearest[expected] = -1
        expected.append(int(nearest.argmax()))
    assert k_center(points, 60).tolist() == expected
    led = np.array([7, 9])
    chosen = k_center(points, 10, led)
    assert chosen[:2].tolist() == [7, 9]
    assert chosen[2] == np.argmax(between[:, led].min(axis=1))


def test_twins_come_last_and_nothing_twice() -> None:
    points = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    assert {row // 5 for row in k_center(points, 4).tolist()} == {0, 1, 2, 3}
    assert sorted(k_center(points, 20).tolist()) == list(range(20))
    assert k_center(points, 99).shape == (20,)
    assert k_center(points, 0).shape == (0,)


def test_the_sparse_keep_their_part_where_density_would_take_it() -> None:
    """1,000 points in one heap and 10 in each of four others: k-means shares by heap."""
    rng = np.random.default_rng(3)
    sizes = [1000, 10, 10, 10, 10]
    centers = 10 * np.eye(5)
    points = np.concatenate(
        [c + 0.1 * rng.normal(size=(n, 5)) for c, n in zip(centers, sizes, strict=True)]
    ).astype(np.float32)
    heap = np.repeat(np.arange(5), sizes)
    kept = hierarchical(points, 50, seed=1)
    assert len(set(kept.tolist())) == 50
    counts = np.bincount(heap[kept], minlength=5)
    assert counts.min() >= 5, "a fair part, where 50 drawn at random would hold two of these heaps"
    assert kept.tolist() == hierarchical(points, 50, seed=1).tolist()
    assert hierarchical(points, 5000).tolist() == list(range(len(points)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 200))
def test_water_fills_evenly(sizes: list[int], k: int) -> None:
    parts = waterfill(np.array(sizes), k)
    assert int(parts.sum()) == min(k, sum(sizes))
    assert (parts <= sizes).all()
    level = parts.max(initial=0)
    for part, size in zip(parts.tolist(), sizes, strict=True):
        assert part == size or part >= level - 1, "who has less than another gave all it had"


@given(st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=40), st.integers(0, 40))
def test_a_sample_stays_when_images_join(keys: list[int], k: int) -> None:
    array = np.array(keys, np.uint64)
    chosen = {keys[i] for i in spread_sample(array, k).tolist()}
    assert chosen == set(sorted(keys)[:k])


@pytest.mark.parametrize("k", [1, 3, 17, 64])
def test_hierarchical_gives_exactly_k_whatever_the_tree(k: int) -> None:
    points = np.random.default_rng(k).normal(size=(90, 4)).astype(np.float32)
    assert len(hierarchical(points, k)) == k
    same = np.zeros((30, 4), np.float32)
    assert len(hierarchical(same, min(k, 20))) == min(k, 20)
