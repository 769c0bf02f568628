"""The sample and what is fitted on: of the ids alone, without copies, without its own outliers."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from cvdata.chance import shares
from cvdata.errors import ConfigError
from cvdata.outliers.projection import Projection
from cvdata.outliers.rows import smallest
from cvdata.schema import ID
from tests.outliers.making import cloud, ids_of, reference


def test_shares_are_even_and_of_the_id_alone() -> None:
    ids = ids_of(5000)
    first = shares(pa.array(ids, ID), 0)
    assert kstest(first, "uniform").pvalue > 1e-3
    order = np.random.default_rng(0).permutation(len(ids))
    again = shares(pa.chunked_array([pa.array([ids[i] for i in order], ID)]), 0)
    np.testing.assert_array_equal(again, first[order])
    other = shares(pa.array(ids, ID), 1)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 60))
def test_smallest_takes_the_smallest(values: list[float], m: int) -> None:
    found = smallest(np.array(values), m)
    assert len(found) == min(m, len(values))
    assert sorted(np.array(values)[found]) == sorted(values)[:m]


def test_copies_are_one_row() -> None:
    rows = cloud(200, 6)
    twice = np.concatenate([rows, rows + 1e-6, rows[:50]])
    found = reference(twice)
    assert 200 <= len(found.ids) <= 210, "at most a few fall on either side of a cell's edge"


@pytest.mark.parametrize("n_planted", [2, 8, 20, 35])
def test_a_group_of_outliers_is_not_fitted_on(n_planted: int) -> None:
    """They lie close together: each has the others for neighbours."""
    rng = np.random.default_rng(0)
    foreign = rng.normal(0, 0.05, (n_planted, 8)) + np.r_[np.full(4, 9.0), np.zeros(4)] * 2
    rows = np.concatenate([cloud(400, 8), foreign])
    found = reference(rows, trim=0.1)
    kept = set(found.usual.ids)
    assert not kept & set(ids_of(len(rows))[400:])
    assert len(kept) >= 0.89 * len(rows)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_the_reference_is_of_the_rows_whatever_their_order(seed: int) -> None:
    from cvdata.outliers.reference import make_reference

    rows, ids = cloud(150, 5), ids_of(150)
    order = np.random.default_rng(seed).permutation(len(rows))
    share = shares(pa.array(ids, ID), 0)
    a = make_reference(rows, ids, share, 0.1)
    b = make_reference(rows[order], [ids[i] for i in order], share[order], 0.1)
    assert set(a.usual.ids) == set(b.usual.ids)


def test_equal_rows_and_too_few_rows() -> None:
    assert len(reference(np.ones((50, 4)), 0.1).ids) == 1
    assert Projection.fit(np.ones((50, 4), np.float32), 0.9, 8).dimension == 1
    with pytest.raises(ConfigError, match="too few"):
        Projection.fit(np.ones((1, 4), np.float32), 0.9, 8)


def test_rows_without_an_embedding_are_told_apart() -> None:
    rows = cloud(30, 4)
    rows[3, 1] = np.nan
    projection = Projection.fit(rows, 0.99, 8)
    found, is_valid = projection.apply(rows)
    assert np.flatnonzero(~is_valid).tolist() == [3]
    assert np.isfinite(found).all()
