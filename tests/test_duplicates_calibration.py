"""Calibration: counts against a plain loop, thresholds against their rules."""

import json

import numpy as np
import pytest

from cvdata.duplicates import calibration as measure
from cvdata.duplicates.thresholds import BUILT_IN, known, merged
from cvdata.kernels.dihedral import dihedral_variants
from cvdata.kernels.neighbors import unit_rows


@pytest.fixture(scope="module")
def planted() -> measure.Planted:
    """12 images of 3 kinds, 4 copies each, the copies a little off in hash and vector."""
    rng = np.random.default_rng(0)
    n, width = 12, 5
    kinds = rng.normal(size=(3, 16))
    base = kinds[np.arange(n) % 3] + 0.5 * rng.normal(size=(n, 16))
    vectors = base[:, None] + 0.3 * rng.normal(size=(n, width, 16))
    words = rng.integers(0, 2**64, n, dtype=np.uint64)
    hashes = np.repeat(words[:, None], width, axis=1)
    for i in range(n):
        for k in range(1, width):
            for bit in rng.choice(64, 3 * k, replace=False):
                hashes[i, k] ^= np.uint64(1) << np.uint64(bit)
    unit = unit_rows(vectors.reshape(-1, 16)).reshape(n, width, 16)
    return measure.Planted(hashes, unit, rng.random((n, width - 1)) < 0.9)


def apart(planted: measure.Planted) -> list[tuple[int, int, int]]:
    """Every pair of different images, originals among each other once."""
    n, width = planted.hashes.shape
    return [
        (i, k, j)
        for k in range(width)
        for i in range(n)
        for j in range(n)
        if (i < j or k) and i != j
    ]


def bits(a: np.uint64, b: np.uint64) -> int:
    return (int(a) ^ int(b)).bit_count()


def test_unrelated_pairs_are_those_of_a_loop(planted: measure.Planted) -> None:
    found = measure.unrelated(planted)
    turned = dihedral_variants(planted.hashes[:, :1])
    expected = []
    for i, k, j in apart(planted):
        cosine = float(planted.vectors[i, k] @ planted.vectors[j, 0])
        around = min(bits(planted.hashes[i, k], turned[j, v]) for v in range(8))
        if cosine >= measure.GRID[0] or around <= measure.RADII[-1]:
            expected.append((i, k, j))
    assert sorted(map(tuple, found.place.tolist())) == sorted(expected)
    assert 0 < len(expected) < len(apart(planted))


def test_the_table_counts_what_a_loop_counts(planted: measure.Planted) -> None:
    others = measure.unrelated(planted)
    false = np.arange(len(others)) % 3 == 0
    rows = measure.cosine_table(planted, others, false, 2.0, [1.5] * len(measure.GRID))
    n, width = planted.hashes.shape
    for row in rows[::7]:
        own = [
            (
                planted.vectors[i, k] @ planted.vectors[i, 0] >= row["threshold"],
                planted.is_copy[i, k - 1],
            )
            for i in range(n)
            for k in range(1, width)
        ]
        assert row["recall"] == pytest.approx(np.mean([hit for hit, _ in own]))
        assert row["recall_looked"] == pytest.approx(np.mean([hit and ok for hit, ok in own]))
        hits = [
            planted.vectors[i, k] @ planted.vectors[j, 0] >= row["threshold"]
            for i, k, j in apart(planted)
        ]
        assert row["false_pairs"] == sum(hits)
        assert row["false_per_10000"] == pytest.approx(1e4 * sum(hits) / (n * width))
        accepted = 2.0 * (false & (others.cosine >= row["threshold"])).sum()
        assert row["false_looked_per_10000"] == pytest.approx(1e4 * accepted / (n * width))
    recalls = [row["recall"] for row in rows]
    assert recalls == sorted(recalls, reverse=True)


def test_radii_are_those_of_a_loop(planted: measure.Planted) -> None:
    rows = measure.radius_table(planted, measure.unrelated(planted))
    n, width = planted.hashes.shape
    for row in rows:
        own = [
            bits(planted.hashes[i, k], planted.hashes[i, 0]) <= row["radius"]
            for i in range(n)
            for k in range(1, width)
        ]
        assert row["recall"] == pytest.approx(np.mean(own))
        assert row["dihedral_recall"] >= row["recall"]


def row(
    threshold: float, false: float = 0, looked: float = 0, looks: float = 0
) -> dict[str, float]:
    return {
        "threshold": threshold,
        "false_per_10000": false,
        "recall_looked": looked,
        "looks_per_image": looks,
    }


def test_a_threshold_that_stands_alone_holds_above_it_too() -> None:
    rows = [row(0.6, 9), row(0.7, 0.5), row(0.8, 2), row(0.9, 1), row(0.95)]
    assert measure.alone(rows, 1.0) == 0.9
    assert measure.alone(rows, 10) == 0.6
    assert measure.alone([row(0.6, 5), row(0.99, 5)], 1.0) == 0.99


def test_a_candidate_threshold_is_the_highest_that_finds_as_much() -> None:
    rows = [row(0.6, looked=0.99, looks=50), row(0.7, looked=0.97, looks=3)]
    rows += [row(0.8, looked=0.969, looks=1), row(0.9, looked=0.8)]
    assert measure.candidate(rows, 4) == 0.8
    assert measure.candidate(rows, 100) == 0.6
    assert measure.candidate([row(0.9, looked=0.5, looks=9)], 4) == 0.9


def test_few_images_do_not_make_a_copy_of_what_is_not_worth_a_look(
    planted: measure.Planted,
) -> None:
    """Two images and an equal copy of each: nothing is mistaken at any cosine."""
    vectors = np.repeat(np.eye(2, 16, dtype=np.float32)[:, None], 2, axis=1)
    few = measure.Planted(planted.hashes[:2, :2], vectors, np.ones((2, 1), bool))
    others = measure.unrelated(few)
    looks = [0.0] * len(measure.GRID)
    table = measure.cosine_table(few, others, np.zeros(len(others), bool), 1.0, looks)
    assert measure.alone(table, 1.0) == measure.GRID[0]
    assert measure.chosen(table, 1.0, 4.0) == (measure.GRID[-1], measure.GRID[-1])
    assert measure.chosen([row(0.6, 5), row(0.9, 5), row(0.99, 0)], 1.0, 4.0)[0] == 0.99


def test_looks_are_counted_as_pairs_and_scaled_to_the_whole() -> None:
    vectors = unit_rows(np.random.default_rng(1).normal(size=(60, 3)))
    looks = measure.looks_per_image(vectors, 6000)
    near = vectors @ vectors.T
    for cosine, per_image in list(zip(measure.GRID, looks, strict=True))[::9]:
        n_pairs = int(np.triu(near >= np.float32(cosine), 1).sum())
        assert per_image == pytest.approx(n_pairs / (60 * 59 / 2) * 5999 / 2)


def test_calibrated_thresholds_come_before_those_built_in() -> None:
    ((model, weights), built_in), *_ = BUILT_IN.items()
    assert known(None, model, weights) == built_in
    assert known(None, model, "other weights") is None
    entry = {"model": model, "weights": weights, "alone": 0.95, "candidate": 0.7}
    artifact = merged(merged(None, {**entry, "weights": "w", "alone": 0.5}), entry)
    found = known(artifact, model, weights)
    assert found is not None
    assert (found.of(is_verified=False), found.of(is_verified=True)) == (0.95, 0.7)
    assert known(artifact, model, "w") is not None
    assert len(json.loads(artifact)["models"]) == 2
    assert len(json.loads(merged(artifact, entry))["models"]) == 2
