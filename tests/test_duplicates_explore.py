"""SemDeDup's rule beside ours, and clusters against scikit-learn."""

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from cvdata.duplicates import candidates, explore, groups
from cvdata.errors import ConfigError
from cvdata.kernels.neighbors import unit_rows


def arc(degrees: list[float]) -> np.ndarray:
    radians = np.radians(degrees)
    return unit_rows(np.stack([np.cos(radians), np.sin(radians)], axis=1))


def test_semdedup_drops_along_a_chain_and_stars_do_not() -> None:
    """Five images, each 10° from the next; alike means within 12°.

    SemDeDup keeps one, 40° from the last that it drops for it; ours keeps every image that has no
    keeper within 12°.
    """
    vectors = arc([0, 10, 20, 30, 40])
    threshold = float(np.cos(np.radians(12)))
    dropped = explore.semdedup(vectors, threshold, 1)
    # from the least like the centre: 0° and 40°, then inward
    assert dropped.keep.sum() == 2
    assert not dropped.keep[dropped.like[2]], "the middle was dropped for a dropped image"
    found = candidates.semantic(vectors, threshold)
    stars = groups.star(found.neighbors, np.arange(5))
    assert stars.is_keeper.tolist() == [True, False, True, False, True]
    near = vectors.astype(float) @ vectors.T.astype(float) >= threshold
    assert all(near[row, keeper] for row, keeper in enumerate(stars.keeper))


def test_on_separated_groups_the_rules_agree() -> None:
    """Tight groups far apart: both keep exactly one of each."""
    rng = np.random.default_rng(0)
    centres = unit_rows(rng.normal(size=(12, 64)))
    vectors = unit_rows(np.repeat(centres, 5, axis=0) + rng.normal(0, 0.005, (60, 64)))
    dropped = explore.semdedup(vectors, 0.95, 4)
    assert dropped.keep.reshape(12, 5).sum(axis=1).tolist() == [1] * 12
    stars = groups.star(candidates.semantic(vectors, 0.95).neighbors, np.arange(60))
    assert stars.is_keeper.reshape(12, 5).sum(axis=1).tolist() == [1] * 12


def test_semdedup_is_its_definition() -> None:
    rng = np.random.default_rng(1)
    vectors = unit_rows(rng.normal(size=(200, 6)))
    found = explore.semdedup(vectors, 0.8, 5)
    labels, similarity = explore.kmeans(vectors, 5)
    for cluster in range(5):
        rows = np.flatnonzero(labels == cluster)
        rows = rows[np.argsort(similarity[rows], kind="stable")]
        for i, row in enumerate(rows):
            alike = [r for r in rows[:i] if vectors[r] @ vectors[row] >= 0.8]
            assert found.keep[row] == (not alike)


def test_dbscan_by_cosine_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    vectors = unit_rows(np.repeat(rng.normal(size=(9, 8)), 6, axis=0) + rng.normal(0, 0.1, (54, 8)))
    expected = DBSCAN(eps=0.05, min_samples=3, metric="cosine").fit_predict(vectors)
    assert np.array_equal(explore.dbscan(vectors, 0.95, 3), expected)


@pytest.mark.parametrize("n_clusters", [0, 11])
def test_a_senseless_number_of_clusters(n_clusters: int) -> None:
    with pytest.raises(ConfigError, match="clusters of 10 images"):
        explore.kmeans(unit_rows(np.random.default_rng(0).normal(size=(10, 3))), n_clusters)
