"""Methods on facts against SciPy and scikit-learn, and on facts that say nothing."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation
from sklearn.metrics.pairwise import additive_chi2_kernel

from cvdata.outliers.measured import HistogramDistance, RobustZ, chi_square, robust_scale
from cvdata.outliers.rows import Rows, column_of
from cvdata.schema import ID
from tests.outliers.making import ids_of


def table(columns: dict[str, object]) -> Rows:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    return Rows(pa.table({"image_id": pa.array(ids_of(n), ID), **columns}))


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=80))
def test_the_scale_is_scipys_mad_or_the_mean_deviation(values: list[float]) -> None:
    array = np.array(values)
    mad = median_abs_deviation(array, scale="normal")
    found = robust_scale(array, float(np.median(array)))
    if mad > 1e-6 * max(1, abs(np.median(array))):
        assert found == pytest.approx(mad, rel=1e-9)
    elif np.ptp(array) == 0:
        assert found == 0


def test_z_scores() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(50, 5, 500)
    values[7] = 120
    rows = table({"mean_r": pa.array(values), "width": pa.array(np.full(500, 640))})
    method = RobustZ.fit(rows)
    assert method.names == ("mean_r",), "a constant measure measures nothing"
    expected = np.abs(values - np.median(values)) / median_abs_deviation(values, scale="normal")
    np.testing.assert_allclose(method.score(rows), expected, rtol=1e-9)
    (told,) = method.explain(rows.take(np.array([7])))
    assert told["measures"][0]["name"] == "mean_r"
    assert told["measures"][0]["value"] == 120
    assert told["measures"][0]["z"] == pytest.approx(expected[7], rel=1e-3)


def test_a_measure_of_decades_is_compared_by_its_logarithm() -> None:
    widths = np.array([100, 200, 400, 800, 1600, 640, 320, 480] * 20)
    rows = table({"width": pa.array(widths)})
    logs = np.log(widths)
    expected = np.abs(logs - np.median(logs)) / median_abs_deviation(logs, scale="normal")
    np.testing.assert_allclose(RobustZ.fit(rows).score(rows), expected)


def test_one_float_beside_a_constant_drowns_nothing() -> None:
    values = np.full(1000, 0.25)
    values[3] = 0.5
    rows = table({"entropy": pa.array(values), "mean_r": pa.array(np.arange(1000.0))})
    scores = RobustZ.fit(rows).score(rows)
    assert np.argmax(scores) == 3
    assert scores[3] <= 1000


def test_images_without_facts_have_no_score() -> None:
    rows = table(
        {"mean_r": pa.array([1.0, 2, 3, 4, None]), "mean_g": pa.array([1.0, 2, 3, 9, None])}
    )
    scores = RobustZ.fit(rows).score(rows)
    assert np.isfinite(scores[:4]).all()
    assert np.isnan(scores[4])


def test_chi_square_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(16), 40), rng.dirichlet(np.ones(16))
    q[3] = p[:, 3] = 0
    expected = -additive_chi2_kernel(p, q[None])[:, 0] / 2
    np.testing.assert_allclose(chi_square(p, q), expected, rtol=1e-12)


def test_histogram_distance_is_that_to_the_mean_over_what_there_is() -> None:
    rng = np.random.default_rng(0)
    red = rng.dirichlet(np.ones(16), 60).astype(np.float32)
    lbp = rng.dirichlet(np.ones(10), 60).astype(np.float32)
    has = np.ones(60, bool)
    has[5] = False
    rows = table({"hist_r": column_of(red), "lbp_hist": column_of(lbp, has)})
    method = HistogramDistance.fit(rows)
    a = chi_square(red, red.astype(np.float64).mean(axis=0))
    b = chi_square(lbp, lbp[has].astype(np.float64).mean(axis=0))
    expected = np.where(has, (a + b) / 2, a)
    np.testing.assert_allclose(method.score(rows), expected, rtol=1e-6)
    assert (method.score(rows) <= 1).all()
    told = method.explain(rows.take(np.array([5, 6])))
    assert [h["name"] for h in told[0]["histograms"]] == ["hist_r"]
    assert [h["name"] for h in told[1]["histograms"]] == ["hist_r", "lbp_hist"]
