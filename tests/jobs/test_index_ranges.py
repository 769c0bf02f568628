"""The range recall that `index` prints: a true figure, or a plain word that there is none."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cvdata import Workspace
from cvdata.index.kept import Card
from cvdata.index.ranges import moved_rows
from cvdata.index.trained import one_thread
from cvdata.kernels.neighbors import unit_rows
from cvdata.runs.index_files import open_index, read_card
from tests.embedded import names_of, put_embeddings
from tests.jobs.flows import cvdata

N = 3000


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small work is slower on many threads, much slower where others work too."""
    with one_thread():
        yield


@pytest.mark.parametrize("factory", ["Flat", "IVF64,Flat", "IVF64,SQ8", "HNSW8,Flat"])
def test_range_recall_is_a_true_figure_where_no_two_images_are_alike(
    tmp_path: Path, factory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By queries made within the threshold; against a product of all with all by others so made."""
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.normal(size=(N, 24)).astype(np.float32))
    where = tmp_path / "w"
    put_embeddings(where, names_of(range(N)), vectors)
    flags = ("--factory", factory, "--target-recall", "0.4", "--n-queries", "600")
    assert cvdata("index", "--workspace", where, *flags) in (0, 3)
    out = capsys.readouterr().out
    card = read_card(Workspace(str(where)).store, Workspace(str(where)).head, "default")
    assert card is not None
    made = card.measured.made
    assert made is not None
    assert card.measured.range.total == 0
    assert "the held-out queries have none" in out
    assert f"600 made queries, images turned away by as much: recall {made}" in out
    assert made.total >= 600
    assert made.lower < (made.value or 0) or factory == "Flat"
    opened = open_index(Workspace(str(where)).store, Workspace(str(where)).head, card)
    start, toward = vectors[rng.permutation(N)[:1500]].astype(float), rng.normal(size=(1500, 24))
    queries = unit_rows(moved_rows(start, toward, rng.uniform(0.9, 1, (1500, 1))))
    stored = np.array(Workspace(str(where)).read("embeddings/default")["embedding"].to_pylist())
    true = queries.astype(float) @ stored.T >= 0.9
    got = np.zeros((1500, N), bool)
    ids = Workspace(str(where)).read("embeddings/default")["image_id"].to_pylist()
    place = {one: i for i, one in enumerate(ids)}
    order = np.array([place[one] for one in opened.keys["image_id"].to_pylist()])
    query, row = opened.searcher.within(queries, 0.9)
    got[query, order[row]] = True
    assert abs((got & true).sum() / true.sum() - (made.value or 0)) < 0.04
    assert made.value == 1 or factory != "Flat"
    assert Card.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_a_threshold_that_nothing_reaches_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = unit_rows(np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32))
    put_embeddings(tmp_path / "w", names_of(range(3)), vectors)
    assert cvdata("index", "--workspace", tmp_path / "w", "--threshold", "1") == 0
    out = capsys.readouterr().out
    assert "pairs with a cosine of at least 1: the held-out queries have none" in out
    put_embeddings(tmp_path / "one", names_of(range(1)), vectors[:1])
    assert cvdata("index", "--workspace", tmp_path / "one") == 0
    assert "recall@10 nothing to find" in capsys.readouterr().out
