"""index end to end: what is committed, changed in place, refused, and left by a killed run."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cvdata import Workspace
from cvdata.cli import main
from cvdata.errors import WorkspaceError
from cvdata.index.kept import Card
from cvdata.index.trained import one_thread
from cvdata.runs.index_files import open_index, read_card
from cvdata.runs.search import image_vector, search
from tests.embedded import clustered, names_of, put_embeddings
from tests.jobs.flows import cvdata

N, D = 3000, 16
IVF = ("--factory", "IVF32,Flat")


def card_of(where: Path) -> Card:
    workspace = Workspace(str(where))
    card = read_card(workspace.store, workspace.head, "default")
    assert card is not None
    return card


def n_commits(where: Path) -> int:
    return len(Workspace(str(where)).commits())


def found(where: Path, n: int = 40) -> list[list[tuple[str, float]]]:
    """Ten neighbours of some images, by the committed index."""
    workspace = Workspace(str(where))
    ids = workspace.read("records", ["image_id"])["image_id"].to_pylist()[:n]
    table = "embeddings/default"
    hits = []
    for one in ids:
        query = image_vector(workspace.store, workspace.head, table, one)
        near = search(workspace, "default", query, 10, own=one)
        assert not near.is_exact
        hits.append([(n.path, n.score) for n in near.neighbors])
    return hits


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small work is slower on many threads, much slower where others work too."""
    with one_thread():
        yield


@pytest.fixture
def made(tmp_path: Path) -> Path:
    put_embeddings(tmp_path / "w", names_of(range(N)), clustered(N, D))
    return tmp_path / "w"


def test_what_is_committed_can_be_read_with_faiss_and_pyarrow_alone(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cvdata("index", "--workspace", made, *IVF) == 0
    out = capsys.readouterr().out
    card = card_of(made)
    assert f"recall@10 {card.measured.at[10]}" in out
    artifacts = Workspace(str(made)).head.artifacts
    files = {s: made / artifacts[f"index/default{s}"].path for s in (".faiss", ".ids.parquet")}
    assert files[".faiss"].name == f"{card.index_sha256}.faiss"
    import faiss

    index = faiss.read_index(str(files[".faiss"]))
    ids = pq.read_table(files[".ids.parquet"])
    assert index.ntotal == len(ids) == N
    assert index.nprobe == card.effort, "as tuned"
    rows = Workspace(str(made)).read("embeddings/default")
    vectors = np.array(rows["embedding"].to_pylist(), np.float32)
    _, at = index.search(vectors[:50], 1)
    assert ids["image_id"].take(at[:, 0]).to_pylist() == rows["image_id"].to_pylist()[:50]
    assert main(["verify", "--workspace", str(made)]) == 0
    assert main(["status", "--workspace", str(made)]) == 0
    assert "index default: 3,000 vectors of 16, IVF32,Flat" in capsys.readouterr().out


def test_the_printed_recall_is_true(made: Path) -> None:
    """Against a product of all with all, by queries that the index was not trained on."""
    assert cvdata("index", "--workspace", made, *IVF, "--target-recall", "0.8") == 0
    card = card_of(made)
    assert card.measured.n_queries >= 300
    assert card.effort < 32
    workspace = Workspace(str(made))
    opened = open_index(workspace.store, workspace.head, card)
    rows = workspace.read("embeddings/default")
    vectors = np.array(rows["embedding"].to_pylist(), np.float32)
    product = vectors @ vectors.T
    np.fill_diagonal(product, -2)
    true = np.argsort(-product, axis=1)[:, :10]
    given = opened.searcher.search(vectors, 11).rows
    hits = [
        len(set(g[g != i][:10].tolist()) & set(t.tolist()))
        for i, (g, t) in enumerate(zip(given, true, strict=True))
    ]
    rate = card.measured.at[10]
    assert rate.lower - 0.02 <= np.sum(hits) / (10 * N)
    assert abs(np.sum(hits) / (10 * N) - (rate.value or 0)) < 0.03


@pytest.mark.parametrize("factory", ["", "IVF32,Flat", "IVF32,SQ8", "HNSW8,Flat"])
def test_append_and_delete_then_search_as_after_building_anew(
    tmp_path: Path, factory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = clustered(N, D)
    flags = ("--factory", factory) if factory else ()
    changed, fresh = tmp_path / "changed", tmp_path / "fresh"
    for where in (changed, fresh):
        put_embeddings(where, names_of(range(2600)), vectors[:2600])
        assert cvdata("index", "--workspace", where, *flags) in (0, 3)
    trained = card_of(changed)
    # some go, some come, one has changed in place
    middle, last = range(100, 2800), range(200, 3000)
    for some in (middle, last):
        revisions = ["2" if i == 500 else "1" for i in some]
        moved = vectors.copy()
        moved[500] = vectors[7]
        put_embeddings(changed, names_of(some), moved[some.start : some.stop], revisions=revisions)
        capsys.readouterr()
        assert cvdata("index", "--workspace", changed, *flags) in (0, 3)
    out = capsys.readouterr().out
    if "HNSW" not in factory:
        assert "added 200, took out 100" in out, "the rest was not touched"
    put_embeddings(fresh, names_of(last), moved[200:3000], revisions=revisions, part_rows=777)
    assert cvdata("index", "--workspace", fresh, *flags) in (0, 3)
    a, b = card_of(changed), card_of(fresh)
    assert a.n == b.n == 2800
    assert a.trained_rows == b.trained_rows == trained.trained_rows
    assert (a.index_sha256, a.ids_sha256) == (b.index_sha256, b.ids_sha256)
    assert a.measured == b.measured
    assert found(changed) == found(fresh)


def test_without_training_the_same_bytes_even_from_nothing(tmp_path: Path) -> None:
    vectors = clustered(600, D)
    put_embeddings(tmp_path / "a", names_of(range(400)), vectors[:400])
    cvdata("index", "--workspace", tmp_path / "a")
    for name in "ab":
        put_embeddings(tmp_path / name, names_of(range(100, 600)), vectors[100:])
        cvdata("index", "--workspace", tmp_path / name)
    assert card_of(tmp_path / "a").index_sha256 == card_of(tmp_path / "b").index_sha256
    assert found(tmp_path / "a") == found(tmp_path / "b")


def test_nothing_new_costs_nothing_and_growth_trains_anew(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cvdata("index", "--workspace", made, *IVF) == 0
    before = n_commits(made)
    assert cvdata("index", "--workspace", made, *IVF) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert n_commits(made) == before
    assert cvdata("index", "--workspace", made, *IVF, "--dry-run", "--rebuild") == 0
    assert "plan: build IVF32,Flat of 3,000 vectors" in capsys.readouterr().out
    assert n_commits(made) == before
    assert card_of(made).trained_rows == N
    put_embeddings(made, names_of(range(1000)), clustered(N, D)[:1000])
    assert main(["status", "--workspace", str(made)]) == 0
    assert "older than its embeddings" in capsys.readouterr().out
    assert cvdata("index", "--workspace", made, *IVF) == 0
    assert card_of(made).trained_rows == 1000
    assert cvdata("index", "--workspace", made) == 0, "another request"
    assert card_of(made).factory == "Flat"


@pytest.mark.usefixtures("ray_up")
def test_ray_and_any_slices_end_in_the_same_bytes(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cvdata("index", "--workspace", made, *IVF) == 0
    put_embeddings(tmp_path / "r", names_of(range(N)), clustered(N, D), part_rows=300)
    assert cvdata("index", "--workspace", tmp_path / "r", *IVF, "--workers", "2", engine="ray") == 0
    a, b = card_of(made), card_of(tmp_path / "r")
    assert (a.index_sha256, a.ids_sha256, a.measured) == (b.index_sha256, b.ids_sha256, b.measured)


@pytest.mark.parametrize("suffix", [".faiss", ".ids.parquet", ".json"])
def test_a_flipped_byte_is_found_and_refused_and_built_anew(
    made: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cvdata("index", "--workspace", made, *IVF) == 0
    whole = card_of(made)
    path = made / Workspace(str(made)).head.artifacts[f"index/default{suffix}"].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert main(["verify", "--workspace", str(made)]) == 7
    assert path.name in capsys.readouterr().out
    one = Workspace(str(made)).read("records", ["image_id"])["image_id"][0].as_py().hex()
    assert main(["search", "--workspace", str(made), "--image-id", one]) == 4
    assert "does not match its digest" in capsys.readouterr().err
    assert main(["search", "--workspace", str(made), "--image-id", one, "--exact"]) == 0
    assert cvdata("index", "--workspace", made, *IVF, "--rebuild") == 0
    assert card_of(made).index_sha256 == whole.index_sha256
    assert main(["verify", "--workspace", str(made)]) == 0


def test_a_foreign_index_is_refused(made: Path, tmp_path: Path) -> None:
    """Another workspace's files, put in place with commits that name them."""
    assert cvdata("index", "--workspace", made) == 0
    put_embeddings(tmp_path / "o", names_of(range(500)), clustered(500, 8))
    assert cvdata("index", "--workspace", tmp_path / "o") == 0
    workspace, other = Workspace(str(made)), Workspace(str(tmp_path / "o"))
    files = {n: other.artifact(n) for n in other.head.artifacts}
    with workspace.change("foreign", {}) as change:
        change.artifact("index/default.faiss", files["index/default.faiss"], "index", ".faiss")
    card = card_of(made)
    with pytest.raises(WorkspaceError, match="not of one run"):
        open_index(workspace.store, workspace.refresh().head, card)
    value = {**json.loads(files["index/default.json"]), "n": N, "dimension": D}
    with workspace.change("foreign", {}) as change:
        text = json.dumps(value).encode()
        change.artifact("index/default.json", text, "index", ".json")
        ids = files["index/default.ids.parquet"]
        change.artifact("index/default.ids.parquet", ids, "index", ".ids.parquet")
    with pytest.raises(WorkspaceError, match="not what its card says"):
        open_index(workspace.store, workspace.refresh().head, card_of(made))
    put_embeddings(made, names_of(range(N)), clustered(N, D), made_by=b"another")
    with pytest.raises(WorkspaceError, match="another model made since"):
        search(Workspace(str(made)), "default", clustered(1, D), 5)


KILLED = """
import os, signal, sys
from cvdata import workspace
from cvdata.cli import main
workspace.Change.commit = lambda self: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main(sys.argv[1:]))
"""


def test_killed_between_the_file_and_the_commit(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("index", "--workspace", str(made), *IVF, "--engine", "serial")
    done = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL
    orphans = sorted(p.name for p in (made / "index").iterdir())
    assert len(orphans) == 3
    assert "default" not in str(Workspace(str(made)).head.artifacts)
    assert main(["verify", "--workspace", str(made), "--orphans"]) == 0
    assert orphans[0] in capsys.readouterr().out
    assert main(["gc", "--workspace", str(made), "--grace-hours", "0", "--dry-run"]) == 0
    assert all(name in capsys.readouterr().out for name in orphans[:1])
    assert cvdata("index", "--workspace", made, *IVF) == 0
    assert sorted(p.name for p in (made / "index").iterdir()) == orphans, "the very same files"
    assert main(["gc", "--workspace", str(made), "--grace-hours", "0"]) == 0
    assert sorted(p.name for p in (made / "index").iterdir()) == orphans, "they are named now"
    put_embeddings(made, names_of(range(10, N)), clustered(N, D)[10:])
    assert cvdata("index", "--workspace", made, *IVF) == 0
    assert main(["gc", "--workspace", str(made), "--grace-hours", "0", "--keep", "1"]) == 0
    left = {p.name for p in (made / "index").iterdir()}
    assert len(left) == 3
    assert not left & set(orphans)
    assert not [p for p in made.glob("_tmp/**/*") if p.is_file()]


def test_a_request_that_cannot_be_met_says_what_to_change(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, words in (
        (("--model", "clip"), "cvdata infer --model clip"),
        (("--factory", "IVF9999,Flat"), "at least 9,999 vectors"),
        (("--memory-bytes", "100"), "raise --memory-bytes"),
    ):
        assert cvdata("index", "--workspace", made, *flags) == 2
        assert words in capsys.readouterr().err
    assert cvdata("index", "--workspace", made, "--factory", "IVF32,PQ2x4", "--rebuild") == 3
    assert "index" in capsys.readouterr().out
