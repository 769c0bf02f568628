"""The k nearest rows: scikit-learn's where exact; a measured share of them where not."""

import pickle

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from cvdata.index.nearest import Nearest, nearest


def clustered(n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3, (40, d))
    rows = centres[rng.integers(0, 40, n)] + rng.normal(0, 1, (n, d))
    return np.asarray(rows, np.float32)


def test_exact_is_scikit_learns() -> None:
    rows, queries = clustered(900, 16, 0), clustered(300, 16, 1)
    distances, found = nearest(Nearest.exact(rows), queries, 9)
    expected, at = NearestNeighbors(n_neighbors=9).fit(rows).kneighbors(queries)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    assert (found == at).mean() > 0.999


def test_equal_rows_are_at_distance_zero_and_ties_go_by_row() -> None:
    rows = np.repeat(clustered(50, 8, 0), 3, axis=0)
    distances, found = nearest(Nearest.exact(rows), rows, 3)
    assert (distances == 0).all()
    np.testing.assert_array_equal(found, np.repeat(np.arange(150).reshape(50, 3), 3, axis=0))


def test_more_than_there_are() -> None:
    distances, _ = nearest(Nearest.exact(clustered(4, 8, 0)), clustered(2, 8, 1), 10)
    assert distances.shape == (2, 4)


def test_lists_reach_the_recall_that_they_tell() -> None:
    rows, queries = np.split(clustered(20_500, 16, 0), [20_000])
    lists = Nearest.build(rows, 10, exact_rows=1000)
    assert lists.stored is not None
    assert 0.95 <= lists.recall <= 1
    truth = nearest(Nearest.exact(rows), queries, 10)[1]
    travelled = pickle.loads(pickle.dumps(lists))  # noqa: S301  our own bytes
    found = nearest(travelled, queries, 10)[1]
    hits = np.mean([np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)])
    assert hits == pytest.approx(lists.recall, abs=0.03)


def test_where_lists_would_not_help_every_row_is_compared() -> None:
    """In uniform noise of many dimensions neighbours lie in every list."""
    rows = np.random.default_rng(0).random((5000, 128), np.float32)
    lists = Nearest.build(rows, 10, exact_rows=1000, target=0.9999)
    assert lists.stored is None
    assert lists.recall == 1
    assert lists.tried, "it was tried"
