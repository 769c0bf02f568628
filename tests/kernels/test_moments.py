"""Moments merge to NumPy's mean and variance, whatever the cuts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.kernels.moments import Moments, Segments

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60)


@settings(deadline=None)
@given(VALUES, st.lists(st.integers(0, 59), max_size=5))
def test_any_cuts_merge_to_numpy(values: list[float], cuts: list[int]) -> None:
    whole = np.array(values)
    merged = Moments.zeros(1)
    for part in np.split(whole, sorted({min(c, len(values)) for c in cuts})):
        if len(part):
            merged.merge(Segments.of(np.zeros(len(part), dtype=np.int64)).moments(part))
    assert merged.weight[0] == len(values)
    scale = max(1.0, np.abs(whole).max())
    assert merged.mean[0] == pytest.approx(whole.mean(), abs=1e-9 * scale)
    assert merged.variance(1)[0] == pytest.approx(whole.var(ddof=1), rel=1e-6, abs=1e-8 * scale)


@settings(deadline=None)
@given(st.data())
def test_segments_group_like_a_loop(data: st.DataObject) -> None:
    values = np.array(data.draw(VALUES))
    codes = np.array(
        data.draw(st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values)))
    )
    weights = np.arange(1.0, len(values) + 1)
    values[::5] = np.nan
    parts = Segments.of(codes)
    ordered = values[parts.order]
    found, weighted = parts.moments(ordered), parts.moments(ordered, weights[parts.order])
    low, high = parts.extremes(ordered)
    assert parts.groups.tolist() == sorted(set(codes.tolist()))
    for i, group in enumerate(parts.groups):
        mine = (codes == group) & ~np.isnan(values)
        assert found.weight[i] == mine.sum()
        assert weighted.weight[i] == weights[mine].sum()
        if not mine.any():
            assert (low[i], high[i]) == (np.inf, -np.inf)
            continue
        x = values[mine]
        assert (low[i], high[i]) == (x.min(), x.max())
        assert found.mean[i] == pytest.approx(x.mean(), abs=1e-3)
        assert found.m2[i] == pytest.approx(((x - x.mean()) ** 2).sum(), rel=1e-6, abs=1e-2)
        average = np.average(x, weights=weights[mine])
        assert weighted.mean[i] == pytest.approx(average, abs=1e-3)


def test_variance_needs_more_than_ddof() -> None:
    one = Segments.of(np.zeros(1, dtype=np.int64)).moments(np.array([4.0]))
    assert one.variance()[0] == 0
    assert np.isnan(one.variance(1)[0])
    assert np.isnan(Moments.zeros(1).variance()[0])


def test_pooled_is_the_law_of_total_variance() -> None:
    rng = np.random.default_rng(1)
    values, codes = rng.normal(size=(500, 3)), rng.integers(0, 7, 500)
    parts = Segments.of(codes)
    pooled = parts.moments(values[parts.order]).pooled()
    assert pooled.variance() == pytest.approx(values.var(axis=0), rel=1e-12)
    assert pooled.mean == pytest.approx(values.mean(axis=0), rel=1e-9)
