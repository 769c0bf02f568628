"""Each method on embeddings gives what a direct call of scikit-learn gives."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from cvdata.outliers.clusters import KMeansDistance, rare
from cvdata.outliers.embedded import Forest, Knn, Lof, Mahalanobis, OneClass, median_gamma
from cvdata.outliers.projection import Projection
from cvdata.outliers.settings import Options
from tests.outliers.making import cloud, reference, rows_of

N, D = 300, 8
OPTIONS = Options(trees=30, nystroem=50)


@pytest.fixture(scope="module")
def fitted() -> np.ndarray:
    return cloud(N, D)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return cloud(200, D, seed=1) * 1.2


def test_projection_is_pca(fitted: np.ndarray, queries: np.ndarray) -> None:
    projection = Projection.fit(fitted, 0.9, 64)
    pca = PCA(n_components=projection.dimension, svd_solver="covariance_eigh")
    pca.fit(fitted.astype(np.float64))
    assert projection.variance == pytest.approx(pca.explained_variance_ratio_.sum())
    assert projection.variance >= 0.9
    assert pca.explained_variance_ratio_[:-1].sum() < 0.9, "no direction more than needed"
    found, is_valid = projection.apply(queries)
    assert is_valid.all()
    np.testing.assert_allclose(found, pca.transform(queries.astype(np.float64)), atol=1e-5)


def test_projection_of_a_row_does_not_hang_on_its_neighbours(fitted: np.ndarray) -> None:
    projection = Projection.fit(fitted, 0.9, 64)
    together = projection.apply(fitted)[0]
    one_by_one = np.concatenate([projection.apply(row[None])[0] for row in fitted])
    np.testing.assert_array_equal(together, one_by_one)


def test_knn_is_the_mean_distance_to_neighbours(fitted: np.ndarray, queries: np.ndarray) -> None:
    knn = Knn.fit(reference(fitted), 7)
    oracle = NearestNeighbors(n_neighbors=7).fit(fitted)
    np.testing.assert_allclose(
        knn.score(queries), oracle.kneighbors(queries)[0].mean(axis=1), rtol=1e-5
    )
    # of the fitted rows themselves: kneighbors() without queries leaves each row itself out
    np.testing.assert_allclose(knn.score(fitted), oracle.kneighbors()[0].mean(axis=1), rtol=1e-5)


def test_knn_names_its_neighbours(fitted: np.ndarray, queries: np.ndarray) -> None:
    knn = Knn.fit(reference(fitted), 7)
    rows = NearestNeighbors(n_neighbors=5).fit(fitted).kneighbors(queries[:9])[1]
    told = knn.explain(queries[:9])
    ids = rows_of(fitted).ids
    for one, expected in zip(told, rows, strict=True):
        assert [n["image_id"] for n in one["neighbors"]] == [ids[i].hex() for i in expected]


def test_lof_is_scikit_learns(fitted: np.ndarray, queries: np.ndarray) -> None:
    lof = Lof.fit(reference(fitted), OPTIONS)
    oracle = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(fitted)
    np.testing.assert_allclose(lof.score(queries), -oracle.score_samples(queries), rtol=1e-6)
    np.testing.assert_allclose(lof.score(fitted), -oracle.negative_outlier_factor_, rtol=1e-6)


def test_forest_is_scikit_learns(fitted: np.ndarray, queries: np.ndarray) -> None:
    oracle = IsolationForest(n_estimators=30, random_state=0).fit(fitted)
    found = Forest.fit(reference(fitted), OPTIONS).score(queries)
    np.testing.assert_array_equal(found, -oracle.score_samples(queries))


def test_one_class_svm_is_scikit_learns(fitted: np.ndarray, queries: np.ndarray) -> None:
    rows = fitted.astype(np.float64)
    kernel = Nystroem(gamma=median_gamma(fitted), n_components=50, random_state=0)
    oracle = SGDOneClassSVM(nu=0.02, random_state=0).fit(kernel.fit_transform(rows))
    expected = -oracle.score_samples(kernel.transform(queries.astype(np.float64)))
    found = OneClass.fit(reference(fitted), OPTIONS).score(queries)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_mahalanobis_is_ledoit_wolfs(fitted: np.ndarray, queries: np.ndarray) -> None:
    oracle = LedoitWolf().fit(fitted.astype(np.float64))
    expected = np.sqrt(oracle.mahalanobis(queries.astype(np.float64)))
    method = Mahalanobis.fit(reference(fitted))
    np.testing.assert_allclose(method.score(queries), expected, rtol=1e-6)
    parts = method.explain(queries[:3], most=D)
    for one in parts:
        assert sum(c["part"] for c in one["components"]) == pytest.approx(1, abs=1e-3)


def test_kmeans_is_the_distance_to_common_centres(fitted: np.ndarray, queries: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    planted = rng.normal(30, 0.1, (8, D)).astype(np.float32)
    everything = np.concatenate([fitted, planted])
    method = KMeansDistance.fit(reference(everything), Options(clusters=5))
    rows = everything.astype(np.float64)
    oracle = KMeans(5, n_init=3, random_state=0).fit(rows)
    is_rare = rare(np.bincount(oracle.labels_), 0.5, 0.1)
    assert is_rare.sum() == 1, "the planted group is a rare cluster, and the only one"
    expected = oracle.transform(queries.astype(np.float64))[:, ~is_rare].min(axis=1)
    np.testing.assert_allclose(method.score(queries), expected, rtol=1e-6)
    assert method.in_rare(planted).all()
    assert method.score(planted).min() > method.score(fitted).max(), "a group of its own is far"


def test_a_rare_cluster_is_named(fitted: np.ndarray) -> None:
    planted = np.full((8, D), 30, np.float32) + np.arange(8, dtype=np.float32)[:, None]
    everything = np.concatenate([fitted, planted])
    ids = rows_of(everything).ids
    labels = dict(zip(ids, ["photo"] * N + ["cells"] * 8, strict=True))
    method = KMeansDistance.fit(reference(everything), Options(clusters=5), labels)
    (told,) = method.explain(planted[:1])
    assert told["cluster"]["is_rare"]
    assert told["cluster"]["size"] == 8
    assert told["cluster"]["label"] == "cells"
    assert "mostly 'cells'" in told["cluster"]["name"]
    assert set(told["cluster"]["examples"]) <= {i.hex() for i in ids[N:]}


@pytest.mark.parametrize("copies", [2, 30])
def test_copies_are_no_neighbours(fitted: np.ndarray, copies: int) -> None:
    """An image that lies there thirty times is as strange as if it lay there once."""
    strange = np.full((1, D), 12, np.float32)
    noise = np.random.default_rng(0).normal(0, 1e-6, (copies, D)).astype(np.float32)
    crowd = np.concatenate([fitted, strange + noise])
    alone = np.concatenate([fitted, strange])
    for make in (lambda r: Knn.fit(r, 10), lambda r: Lof.fit(r, OPTIONS)):
        among, single = make(reference(crowd)), make(reference(alone))
        np.testing.assert_allclose(
            among.score(crowd[-copies:]), np.repeat(single.score(strange), copies), rtol=1e-2
        )
