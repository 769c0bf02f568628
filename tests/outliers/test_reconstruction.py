"""Profiles of errors: judged like embeddings, two-sided, and with columns that say nothing."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import median_abs_deviation
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from cvdata.outliers.reconstruction import LEAST_ERROR, QUIET_WEIGHT, Profile, Reconstruction
from cvdata.outliers.rows import RECONSTRUCTION, Rows
from cvdata.outliers.settings import Options
from cvdata.schema import ID
from tests.outliers.making import ids_of

N, PLAIN = 300, Options(trim=0.0)


def logs(n: int = N, seed: int = 0) -> np.ndarray:
    """(n, 8) log errors that go together: one complexity, a little of each one's own."""
    rng = np.random.default_rng(seed)
    return -6 + rng.normal(0, 1, (n, 1)) + rng.normal(0, 0.2, (n, len(RECONSTRUCTION)))


def rows_of(values: np.ndarray) -> Rows:
    columns = {
        name: pa.array(np.exp(values[:, j]).astype(np.float32), from_pandas=True)
        for j, name in enumerate(RECONSTRUCTION)
    }
    return Rows(pa.table({"image_id": pa.array(ids_of(len(values)), ID), **columns}))


def fitted(rows: Rows, options: Options = PLAIN) -> Reconstruction:
    found = Reconstruction.fit(rows, options, 10)
    assert isinstance(found, Reconstruction), found
    return found


def test_the_score_is_the_distance_to_neighbours_by_scikit_learn() -> None:
    rows = rows_of(logs())
    values = np.stack([np.log(rows.number(n) + LEAST_ERROR) for n in RECONSTRUCTION], axis=1)
    z = (values - np.median(values, axis=0)) / median_abs_deviation(values, scale="normal")
    profiles = np.append(z, QUIET_WEIGHT * z[:, 6:].mean(axis=1, keepdims=True), axis=1)
    expected = NearestNeighbors(n_neighbors=10).fit(profiles).kneighbors()[0].mean(axis=1)
    np.testing.assert_allclose(fitted(rows).score(rows), expected, rtol=1e-4)


@pytest.mark.parametrize("columns", [[6, 7], [0], [4, 5, 6, 7]])
@pytest.mark.parametrize("by", [-2.5, 2.5])
def test_errors_that_do_not_go_together_are_strange_either_way(
    columns: list[int], by: float
) -> None:
    values = logs()
    values[:12, columns] += by
    rows = rows_of(values)
    score = fitted(rows, Options(trim=0.1)).score(rows)
    assert roc_auc_score(np.arange(N) < 12, score) > 0.9


def test_gray_images_have_no_chroma_to_compare() -> None:
    values = logs()
    values[:, 1::2] = -np.inf
    rows = rows_of(values)
    assert Profile.fit(rows).names == RECONSTRUCTION[::2]
    assert np.isfinite(fitted(rows).score(rows)).all()


def test_what_could_not_be_read_has_no_score() -> None:
    values = logs()
    values[3] = np.nan
    rows = rows_of(values)
    score = fitted(rows).score(rows)
    assert np.isnan(score[3])
    assert np.isfinite(np.delete(score, 3)).all()


def test_an_explanation_names_errors_and_images() -> None:
    values = logs()
    values[5, 6:] += 4
    rows = rows_of(values)
    (told,) = fitted(rows).explain(rows.take(np.array([5])))
    assert {e["name"] for e in told["errors"][:2]} == set(RECONSTRUCTION[6:])
    assert told["errors"][0]["z"] > 3
    assert {n["image_id"] for n in told["alike"]} <= {i.hex() for i in ids_of(N)} - {
        ids_of(N)[5].hex()
    }


def test_too_little_says_why() -> None:
    assert "needed" in str(Reconstruction.fit(rows_of(logs(6)), PLAIN, 10))
    assert "vary" in str(Reconstruction.fit(rows_of(np.full((40, 8), -3.0)), PLAIN, 10))
