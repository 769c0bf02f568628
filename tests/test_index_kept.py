"""Indexes that are kept: what they hold does not hang on history; what they find is measured."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.index.exact import Nearest, nearest, within
from cvdata.index.kept import write_index
from cvdata.index.measured import Measured, Rate, Truth, measure, range_recall, recall_at
from cvdata.index.searcher import Searcher
from cvdata.index.trained import Template, codes_of, emptied, one_thread, train
from tests.embedded import clustered

N, D = 3000, 24
FACTORIES = ("Flat", "IVF16,Flat", "IVF16,SQ8", "IVF16,SQfp16", "IVF16,PQ8x4", "PCAR16,IVF16,PQ8x4")
NONE = np.array([-1])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small work is slower on many threads, much slower where others work too."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rows = clustered(N, D)
    rows[-20:] = rows[:20]  # equal vectors: ties
    return rows


@pytest.fixture(scope="module")
def templates(vectors: np.ndarray) -> dict[str, Template]:
    return {f: train(f, vectors[:2000], D) for f in (*FACTORIES, "HNSW8,Flat")}


def brute(queries: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """Rows by float64 products, ties by row number."""
    product = queries.astype(np.float64) @ vectors.astype(np.float64).T
    return np.argsort(-product.round(12), axis=1, kind="stable")[:, :k]


@given(st.integers(1, 400), st.integers(1, 30), st.integers(1, 50), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_exact_search_in_any_blocks_is_numpys(n: int, k: int, block: int, seed: int) -> None:
    rows = clustered(n, 12, seed)
    rows[n // 2] = rows[0]
    queries = rows[: min(n, 7)]
    near = Nearest.none(len(queries))
    for start in range(0, n, block):
        some = rows[start : start + block]
        numbers = np.arange(start, start + len(some))
        found = nearest(queries, np.full(len(queries), -1), some, numbers, k)
        near = near.merged(found, k)
    assert near.rows[:, : min(k, n)].tolist() == brute(queries, rows, min(k, n)).tolist()


def test_within_and_the_querys_own_row(vectors: np.ndarray) -> None:
    some, own = vectors[:9], np.arange(9)
    query, row = within(some, own, vectors, np.arange(N), 0.8)
    product = some.astype(np.float64) @ vectors.astype(np.float64).T
    product[own, own] = -2
    assert set(zip(query.tolist(), row.tolist(), strict=True)) == set(
        zip(*(a.tolist() for a in np.nonzero(product >= 0.8)), strict=True)
    )
    assert not (nearest(some, own, vectors, np.arange(N), 5).rows == own[:, None]).any()


@pytest.mark.parametrize("factory", FACTORIES)
def test_codes_go_in_and_come_out_the_same(
    factory: str, templates: dict[str, Template], vectors: np.ndarray
) -> None:
    template = templates[factory]
    codes = template.encode(vectors)
    assert codes.shape == (N, template.code_bytes)
    filled = template.filled(codes)
    assert filled.ntotal == N
    assert np.array_equal(codes_of(template, filled), codes)
    assert template.index.ntotal == 0, "the template stays empty"


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("seed", range(2))
def test_append_and_delete_end_in_the_bytes_of_building_anew(
    factory: str, seed: int, templates: dict[str, Template], vectors: np.ndarray, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    template = templates[factory]
    there = rng.random(N) < 0.6
    index = template.filled(template.encode(vectors[there]))
    for _ in range(3):
        codes, again = codes_of(template, index), emptied(factory, index)
        kept, new = there & (rng.random(N) < 0.8), ~there & (rng.random(N) < 0.3)
        merged = np.empty((N, template.code_bytes), np.uint8)
        merged[there] = codes
        merged[new] = again.encode(vectors[new])
        there = kept | new
        index = again.filled(merged[there])
    rebuilt = template.filled(template.encode(vectors[there]))
    for name, one in (("changed", index), ("rebuilt", rebuilt)):
        Searcher(one).set_effort(3)
        write_index(one, tmp_path / name)
    assert (tmp_path / "changed").read_bytes() == (tmp_path / "rebuilt").read_bytes()
    a, b = (Searcher(i).search(vectors[:50], 10) for i in (index, rebuilt))
    assert np.array_equal(a.rows, b.rows)
    assert np.array_equal(a.scores, b.scores)


def test_a_graph_is_built_the_same_every_time(
    templates: dict[str, Template], vectors: np.ndarray, tmp_path: Path
) -> None:
    template = templates["HNSW8,Flat"]
    assert not template.is_coded
    for name in "ab":
        write_index(template.filled(template.encode(vectors)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "HNSW8,Flat"])
def test_search_is_exact_where_nothing_is_left_out_and_ties_go_by_row(
    factory: str, templates: dict[str, Template], vectors: np.ndarray
) -> None:
    template = templates[factory]
    searcher = Searcher(template.filled(template.encode(vectors)))
    searcher.set_effort(max(searcher.efforts))
    found = searcher.search(vectors[:40], 7)
    if factory == "HNSW8,Flat":
        assert np.mean(found.rows == brute(vectors[:40], vectors, 7)) > 0.98
    else:
        assert np.array_equal(found.rows, brute(vectors[:40], vectors, 7))
    assert found.rows[3, :2].tolist() == [3, N - 17], "equal vectors, the smaller number first"
    alone = [searcher.search(vectors[i : i + 1], 7) for i in range(40)]
    assert np.array_equal(np.concatenate([a.scores for a in alone]), found.scores)


def test_more_is_asked_for_than_there_is(templates: dict[str, Template]) -> None:
    few = clustered(5, D)
    template = templates["Flat"]
    searcher = Searcher(template.filled(template.encode(few)))
    assert searcher.search(few[:2], 50).rows.shape == (2, 5)
    none = Searcher(template.filled(template.encode(few[:0])))
    assert none.search(few[:2], 5).rows.shape == (2, 0)


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "IVF16,SQfp16"])
@pytest.mark.parametrize("threshold", [-1.0, 0.5, 0.9])
def test_range_search_gives_all_within_when_every_list_is_asked(
    factory: str, threshold: float, templates: dict[str, Template], vectors: np.ndarray
) -> None:
    template = templates[factory]
    searcher = Searcher(template.filled(template.encode(vectors[:400])))
    searcher.set_effort(max(searcher.efforts))
    query, row = searcher.within(vectors[:30], threshold)
    product = vectors[:30].astype(np.float64) @ vectors[:400].astype(np.float64).T
    sure = set(zip(*(a.tolist() for a in np.nonzero(product >= threshold + 1e-3)), strict=True))
    may = set(zip(*(a.tolist() for a in np.nonzero(product >= threshold - 1e-3)), strict=True))
    assert sure <= set(zip(query.tolist(), row.tolist(), strict=True)) <= may


def truth_of(vectors: np.ndarray, own: np.ndarray, threshold: float = 0.8) -> Truth:
    queries, rows = vectors[own], np.arange(len(vectors))
    near = nearest(queries, own, vectors, rows, 116)
    return Truth(queries, own, near, threshold, *within(queries, own, vectors, rows, threshold))


@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF16,PQ8x4", "HNSW8,Flat"])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_recall_is_what_counting_by_hand_says(
    factory: str, k: int, templates: dict[str, Template], vectors: np.ndarray
) -> None:
    template, own = templates[factory], np.arange(2000, 2600)
    searcher = Searcher(template.filled(template.encode(vectors)))
    searcher.set_effort(2)
    rate = recall_at(searcher, truth_of(vectors, own), k)
    product = vectors[own].astype(np.float64) @ vectors.astype(np.float64).T
    product[np.arange(len(own)), own] = -2
    least = -np.sort(-product, axis=1)[:, k - 1]
    _, rows = searcher.index.search(vectors[own], k + 1)
    n = 0
    for i in range(len(own)):
        given = [r for r in rows[i].tolist() if r != own[i] and r >= 0][:k]
        n += sum(product[i, r] >= least[i] - 1e-6 for r in given)
    assert rate.total == k * len(own)
    assert abs(rate.found - n) <= 2, "but for ties that codes cannot tell apart"
    assert 0 < rate.lower < (rate.value or 0)


def test_a_query_from_outside_and_one_whose_own_row_does_not_count_are_the_same(
    templates: dict[str, Template], vectors: np.ndarray
) -> None:
    """Why recall may be measured with rows of the index: nothing else in it knows of them."""
    template, own = templates["IVF16,SQ8"], np.arange(2000, 2400)
    others = np.setdiff1d(np.arange(N), own)
    inside = Searcher(template.filled(template.encode(vectors)))
    outside = Searcher(template.filled(template.encode(vectors[others])))
    inside.set_effort(3)
    outside.set_effort(3)
    for one in range(len(own)):
        mine = inside.search(vectors[own[one] : own[one] + 1], 60).rows[0]
        theirs = others[outside.search(vectors[own[one] : own[one] + 1], 8).rows[0]]
        kept = [r for r in mine.tolist() if r not in set(own.tolist())][:8]
        assert kept == theirs.tolist()


def test_tuning_stops_at_the_least_effort_that_is_proved(
    templates: dict[str, Template], vectors: np.ndarray
) -> None:
    template = templates["IVF16,Flat"]
    searcher = Searcher(template.filled(template.encode(vectors)))
    truth = truth_of(vectors, np.arange(1000, 3000))
    found = measure(searcher, truth, 10, 0.9)
    assert list(found.tried) == [2**i for i in range(len(found.tried))]
    assert searcher.effort == list(found.tried)[-1]
    assert (found.n_queries, found.n_tuned_on) == (1000, 1000)
    assert found.at[10].lower > 0.88
    before = list(found.tried.values())[-2]
    assert before < list(found.tried.values())[-1]
    every = measure(searcher, truth, 10, 1.0)
    assert searcher.effort == 16
    assert every.at[10].value == every.range.value == 1
    assert Measured.from_json(every.to_json()) == every


def test_the_bound_holds_as_often_as_it_says(vectors: np.ndarray) -> None:
    """The bound of 100 queries lies below the recall of all in about 95 % of draws."""
    template = train("IVF16,Flat", vectors[:1000], D)
    searcher = Searcher(template.filled(template.encode(vectors)))
    searcher.set_effort(2)
    truth = truth_of(vectors, np.arange(1000, 2980))
    true = recall_at(searcher, truth, 10).value or 0
    rng = np.random.default_rng(0)
    draws = [
        recall_at(searcher, truth.take(rng.choice(1980, 100, replace=False)), 10).lower <= true
        for _ in range(60)
    ]
    assert 0.88 <= np.mean(draws) <= 1


def test_range_recall_counts_pairs(templates: dict[str, Template], vectors: np.ndarray) -> None:
    template = templates["IVF16,Flat"]
    searcher = Searcher(template.filled(template.encode(vectors)))
    truth = truth_of(vectors, np.arange(500))
    rates = []
    for effort in (1, 4, 16):
        searcher.set_effort(effort)
        rates.append(range_recall(searcher, truth, truth.threshold))
    assert rates[0].found < rates[1].found <= rates[2].found == rates[2].total == len(truth.query)
    assert str(Rate(0, 0, 0)) == "nothing to find"
