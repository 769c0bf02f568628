"""Distances between samples: analytic values, SciPy, brute force, and chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import ks_2samp

from cvdata.drift.distances import (
    Kernel,
    bin_edges,
    binned,
    frechet,
    kolmogorov_smirnov,
    numeric_psi,
    psi,
)


def test_psi_by_hand() -> None:
    a, b = np.array([600, 400]), np.array([400, 600])
    assert psi(a, a).value == 0
    assert psi(a, b).value == pytest.approx(0.4 * np.log(1.5), rel=0.01)
    assert psi(a, b).value == pytest.approx(psi(b, a).value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12))
def test_psi_is_a_distance_of_distributions(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(x, np.int64) for x in zip(*pairs, strict=True))
    found = psi(a, b)
    assert found.value >= 0
    assert 0 <= found.p_value <= 1


def test_psi_of_equal_populations_follows_its_chance() -> None:
    """Its p values are uniform where nothing changed: 5 % lie below 0.05."""
    rng = np.random.default_rng(0)
    p = [numeric_psi(rng.normal(size=300), rng.normal(size=200)).p_value for _ in range(600)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_bins_count_everything_once() -> None:
    values = np.array([1.0, 1, 1, 2, 3, 4, np.nan])
    edges = bin_edges(values[:-1])
    assert binned(values, edges).sum() == 7
    assert binned(values, edges)[-1] == 1
    assert (np.diff(edges) > 0).all()


def test_missing_values_are_a_bin() -> None:
    full, half = np.linspace(0, 1, 500), np.linspace(0, 1, 500)
    half[::2] = np.nan
    assert numeric_psi(full, half).value > 0.5
    assert kolmogorov_smirnov(full, half).value < 0.01


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 60))
def test_ks_is_scipys(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(0.5, 1, m)
    found, expected = kolmogorov_smirnov(a, b), ks_2samp(a, b, method="exact")
    assert found.value == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_frechet_is_the_formula_with_a_matrix_root() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(200, 6)), rng.normal(0.3, 1.5, (150, 6)) @ rng.normal(size=(6, 6))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(cov_a @ cov_b))
    shift = a.mean(axis=0) - b.mean(axis=0)
    expected = shift @ shift + np.trace(cov_a + cov_b - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-6)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a + 2) == pytest.approx(6 * 4, rel=1e-9)


def brute_mmd(kernel: Kernel) -> float:
    k, n = kernel.matrix, kernel.n_reference
    m = len(k) - n
    aa = sum(k[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    bb = sum(k[n + i, n + j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return float(aa + bb - 2 * k[:n, n:].mean())


def test_mmd_is_the_unbiased_estimate() -> None:
    rng = np.random.default_rng(1)
    kernel = Kernel.of(rng.normal(size=(30, 4)), rng.normal(0.4, 1, (25, 4)))
    assert kernel.mmd() == pytest.approx(brute_mmd(kernel), abs=1e-12)


def test_mmd_sees_a_shift_and_not_chance_and_repeats() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(120, 8)), rng.normal(size=(120, 8))
    same, moved = Kernel.of(a, b).permuted(199, 0), Kernel.of(a, b + 1).permuted(199, 0)
    assert same.p_value > 0.01
    assert moved.p_value == pytest.approx(1 / 200)
    assert Kernel.of(a, b).permuted(199, 0) == same


def test_the_witness_points_at_what_is_new() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(200, 5)), rng.normal(size=(100, 5))
    b[:20] += 4
    witness = Kernel.of(a, b).witness()
    assert set(np.argsort(-witness)[:20]) == set(range(20))
