"""Which index is chosen, and which file is refused."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cvdata.errors import ConfigError, WorkspaceError
from cvdata.index.choice import choose, n_lists
from cvdata.index.kept import Card, read_index, write_index
from cvdata.index.measured import Measured, Rate
from cvdata.index.trained import empty, n_training, one_thread, train
from tests.embedded import clustered

D = 24


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small work is slower on many threads, much slower where others work too."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(300, D)


MEMORY = (10**7, 10**8, 10**9, 4 * 10**9, 10**11)


@pytest.mark.parametrize(("n", "d"), list(itertools.product((1000, 10**6, 10**8), (64, 1280))))
def test_the_choice_fits_and_more_memory_never_gives_less(n: int, d: int) -> None:
    faithful = ("PQ8", "PQ16", "PQ24", "PQ32", "PQ48", "PQ64", "PQ96", "PQ128", "SQ8", "SQfp16")
    ranks = {f"{name}": i for i, name in enumerate((*faithful, "Flat"))}
    last = -1
    for memory in MEMORY:
        if memory < 18 * n:
            with pytest.raises(ConfigError, match="raise --memory-bytes"):
                choose(n, d, memory)
            continue
        choice = choose(n, d, memory)
        assert choice.size_bytes <= memory
        rank = ranks[choice.factory.rpartition(",")[2]]
        assert rank >= last
        last = rank
        assert empty(choice.factory, d).d == d
    assert last >= 0


def test_what_is_chosen_when() -> None:
    assert choose(10_000, 1280, 4 * 10**9).factory == "Flat"
    assert choose(10**6, 128, 4 * 10**9).factory == "IVF4096,Flat"
    assert choose(10**6, 128, 4 * 10**9, "speed").factory == "HNSW32,Flat"
    assert choose(10**6, 128, 3 * 10**8).factory == "IVF4096,SQfp16"
    assert choose(10**6, 128, 2 * 10**8).factory == "IVF4096,SQ8"
    assert choose(10**8, 1280, 8 * 10**9).factory == "OPQ64_256,IVF32768,PQ64"
    assert n_lists(100) == 16
    assert n_lists(10**6) == 4096


def test_the_estimate_is_what_the_file_takes(tmp_path: Path) -> None:
    rows = clustered(8000, 16)
    for memory in (400_000, 210_000):
        choice = choose(8000, 16, memory)
        template = train(choice.factory, rows, 16)
        write_index(template.filled(template.encode(rows)), tmp_path / "i")
        assert (tmp_path / "i").stat().st_size == pytest.approx(choice.size_bytes, rel=0.1)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("Nonsense", "makes no index"),
        ("IDMap,Flat", "leave IDMap out"),
        ("IVF512,Flat", "at least 512 vectors"),
        ("IVF16,PQ7", "makes no index|cannot be trained"),
    ],
)
def test_what_faiss_cannot_do_is_a_bad_request(factory: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        train(factory, clustered(300, D), D)


def test_how_many_to_train_on() -> None:
    assert n_training("Flat", D, 64) == n_training("HNSW8,Flat", D, 64) == 0
    assert n_training("IVF4096,Flat", D, 64) == 4096 * 64


def _card(**changes: object) -> Card:
    nothing = Measured(0, {}, 0.9, Rate(0, 0, 0.0))
    values = {
        "model": "m", "table": "embeddings/m", "fingerprint": "f", "inputs": "i",
        "computed_from": 1, "dimension": D, "n": 10, "factory": "Flat", "why": "", "faiss": "1",
        "trained_rows": 0, "parameter": "", "effort": 0, "measured": nothing, "settings": {},
        "index_sha256": "", "ids_sha256": "", "size_bytes": 0,
    }  # fmt: skip
    return Card(**{**values, **changes})  # type: ignore[arg-type]


def test_a_file_that_is_not_its_cards_is_refused(vectors: np.ndarray, tmp_path: Path) -> None:
    template = train("Flat", vectors, D)
    path = tmp_path / "i"
    write_index(template.filled(template.encode(vectors[:10])), path)
    assert read_index(path, _card()).ntotal == 10
    for wrong, words in (({"n": 11}, "rows 10"), ({"dimension": 25}, "dimension 24")):
        with pytest.raises(WorkspaceError, match=words):
            read_index(path, _card(**wrong))
    import faiss

    other = faiss.IndexFlatL2(D)
    other.add(vectors[:10])
    write_index(other, path)
    with pytest.raises(WorkspaceError, match="metric"):
        read_index(path, _card())
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(WorkspaceError, match="cannot read"):
        read_index(path, _card())
    with pytest.raises(WorkspaceError, match="damaged"):
        Card.from_json({"version": 1})
    with pytest.raises(WorkspaceError, match="another version"):
        Card.from_json({**_card().to_json(), "version": 0})
    assert Card.from_json(_card().to_json()) == _card()
