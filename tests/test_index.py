"""Approximate range search: no false pair, a recall that is measured and means it."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from cvdata import index
from cvdata.errors import ConfigError
from cvdata.index import Lists, RecallTarget
from cvdata.kernels.neighbors import cosine_pairs, unit_rows


def embeddings(n: int, d: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Clusters with a decaying spectrum, as real embeddings have, and planted near-duplicates."""
    rng = np.random.default_rng(seed)
    scale = 1 / np.sqrt(1 + np.arange(d) / 8)
    centres = rng.normal(size=(max(4, n // 60), d)) * scale
    rows = centres[rng.integers(0, len(centres), n)] + rng.normal(size=(n, d)) * scale * 0.7
    m = n // 20
    rows[-m:] = rows[:m] + rng.normal(size=(m, d)) * scale * rng.uniform(0.02, 0.5, (m, 1))
    return unit_rows(rows)


@pytest.mark.parametrize(("n", "d", "threshold"), [(4000, 32, 0.95), (6000, 160, 0.9)])
def test_recall_and_precision_against_exact(n: int, d: int, threshold: float) -> None:
    vectors = embeddings(n, d)
    exact = cosine_pairs(vectors, threshold)
    found, recall = index.ivf_pairs(vectors, threshold)
    keys = set((exact.a * n + exact.b).tolist())
    got = set((found.a * n + found.b).tolist())
    assert got <= keys, "every similarity is computed from the vectors themselves"
    assert len(keys) > 100
    assert recall.lower >= 0.995
    assert recall.n_queries >= 1000
    assert len(got) / len(keys) >= 0.99
    assert np.all(found.a < found.b)


def test_the_same_every_time() -> None:
    vectors = embeddings(3000, 24)
    one, two = (index.ivf_pairs(vectors, 0.9)[0] for _ in range(2))
    assert np.array_equal(one.a, two.a)
    assert np.array_equal(one.b, two.b)
    assert np.array_equal(one.similarity, two.similarity)


def test_every_list_probed_is_exact() -> None:
    """With every list probed nothing is approximate: the projection loses no pair."""
    vectors = embeddings(2500, 200, 3)
    lists = Lists.build(vectors)
    n_lists = len(lists.offsets) - 1
    exact = cosine_pairs(vectors, 0.85)
    keys = {
        (int(a), int(b))
        for rows, ids in lists.search(lists.projected, n_lists, 0.85)
        for a, b in zip(rows.tolist(), ids.tolist(), strict=True)
    }
    assert set(zip(exact.a.tolist(), exact.b.tolist(), strict=True)) <= keys


def test_small_tables_are_exact() -> None:
    vectors = embeddings(500, 16)
    found, recall = index.range_pairs(vectors, 0.9)
    assert recall is None
    assert len(found) == len(cosine_pairs(vectors, 0.9))


def test_a_bound_that_cannot_be_proved_fails_the_run() -> None:
    vectors = embeddings(2000, 16)
    with pytest.raises(ConfigError, match=r"recall of 0.999.*sample more queries"):
        index.ivf_pairs(vectors, 0.95, RecallTarget(bound=0.999, n_queries=40))


def test_an_explosion_is_refused() -> None:
    vectors = unit_rows(np.ones((3000, 8)) + np.random.default_rng(0).normal(0, 0.01, (3000, 8)))
    with pytest.raises(ConfigError, match="raise the threshold"):
        index.ivf_pairs(vectors, 0.9, RecallTarget(max_pairs=1000, n_queries=2))


@pytest.mark.parametrize(("found", "total"), [(0, 10), (995, 1000), (1000, 1000), (3, 4)])
def test_wilson_is_scipys(found: int, total: int) -> None:
    interval = binomtest(found, total).proportion_ci(confidence_level=0.90, method="wilson")
    assert index.wilson_lower(found, total) == pytest.approx(interval.low, abs=1e-4)


def test_pairs_of_one_query_are_one_draw() -> None:
    """A thousand pairs from ten queries bound less than a thousand queries of one pair."""
    hit = np.ones(1000, bool)
    alone = index.clustered_lower(np.arange(1000), hit, 1000)
    bunched = index.clustered_lower(np.repeat(np.arange(10), 100), hit, 1000)
    assert alone == pytest.approx(index.wilson_lower(1000, 1000))
    assert bunched == pytest.approx(index.wilson_lower(10, 10))
