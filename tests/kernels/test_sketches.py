"""Quantile sketches: exact while small, within the stated rank error after any merges."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.kernels.sketches import Quantiles, weighted_percentile

RANKS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def rank_distance(values: np.ndarray, quantile: float, rank: float) -> float:
    """How far `rank` lies outside the ranks that `quantile` has in `values`; 0 where inside."""
    below, at_most = np.mean(values < quantile), np.mean(values <= quantile)
    return max(0.0, below - rank, rank - at_most)


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200))
def test_small_streams_are_exact(values: list[float]) -> None:
    sketch = Quantiles(256)
    sketch.update(np.array(values))
    assert sketch.rank_error == 0
    expected = np.quantile(values, RANKS, method="inverted_cdf")
    assert sketch.quantiles(RANKS) == pytest.approx(list(expected), abs=0)


@pytest.mark.parametrize("k", [256, 4096])
@pytest.mark.parametrize("shape", ["uniform", "heavy_tail", "few_values", "sorted"])
def test_rank_error_holds_after_merges(k: int, shape: str) -> None:
    rng = np.random.default_rng(7)
    values = {
        "uniform": rng.random(100_000),
        "heavy_tail": rng.lognormal(3, 2, 100_000),
        "few_values": rng.integers(0, 5, 100_000).astype(float),
        "sorted": np.arange(100_000.0),
    }[shape]
    merged = Quantiles(k)
    for part in np.array_split(values, 23):
        piece = Quantiles(k)
        piece.update(part)
        merged.merge(piece)
    assert merged.n == len(values)
    error = merged.rank_error
    assert 0 < error < {256: 0.012, 4096: 0.0008}[k]
    # 99 % confidence for one quantile: twice the half-width leaves no chance for all seven.
    for rank, quantile in zip(RANKS, merged.quantiles(RANKS), strict=True):
        assert rank_distance(values, quantile, rank) <= 2 * error


def test_empty_and_nan() -> None:
    sketch = Quantiles(64)
    sketch.update(np.array([np.nan, np.nan]))
    assert sketch.n == 0
    assert np.isnan(sketch.quantiles([0.5])).all()
    sketch.update(np.array([np.nan, 3.0]))
    assert sketch.n == 1
    assert sketch.quantiles([0.5]) == [3.0]


def test_pickles() -> None:
    sketch = Quantiles(32)
    sketch.update(np.random.default_rng(0).random(10_000))
    again = pickle.loads(pickle.dumps(sketch))  # noqa: S301
    assert again.quantiles(RANKS) == sketch.quantiles(RANKS)
    assert (again.n, again.rank_error) == (sketch.n, sketch.rank_error)
    again.update(np.array([0.5]))
    assert again.n == sketch.n + 1


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(1, 10**8), st.integers(1, 9), min_size=1, max_size=60),
    st.sampled_from([0, 10, 25, 50, 75, 100]),
)
def test_weighted_percentile_is_numpys(counted: dict[int, int], percent: int) -> None:
    values = np.sqrt(np.array(sorted(counted), dtype=float))
    counts = np.array([counted[k] for k in sorted(counted)])
    expected = np.percentile(np.repeat(values, counts), percent)
    assert weighted_percentile(values, counts, percent) == expected


def test_weighted_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        weighted_percentile(np.empty(0), np.empty(0, dtype=np.int64), 25)
