"""dedup on tables that are missing, come late, were made anew, or hold what cannot be compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cvdata import Workspace
from cvdata.cli import main
from cvdata.duplicates.groups import Stars
from cvdata.duplicates.history import History, successions
from cvdata.duplicates.thresholds import BUILT_IN
from cvdata.outliers.rows import column_of
from cvdata.runs.dedup_options import DedupRequest, resolved, settings_of
from cvdata.schema import ID, RECORDS
from tests.jobs.flows import cvdata
from tests.outliers.making import ids_of, workspace_of

SEMANTIC = ("--methods", "semantic", "--keep", "image_id")
GIVEN = (*SEMANTIC, "--threshold", "0.9", "--no-verify")


def _put(where: Path, vectors: np.ndarray, known: Sequence[bool], **meta: Any) -> None:
    """embeddings/made anew; images that are not `known` have an error in it."""
    n = len(vectors)
    errors = pa.array([None if ok else "model_failed" for ok in known], pa.string())
    table = pa.table(
        {
            "image_id": pa.array(ids_of(n), ID),
            "revision": pa.array(["1"] * n),
            "error": errors,
            "error_detail": pa.nulls(n, pa.string()),
            "embedding": column_of(vectors, np.asarray(known, np.bool_)),
        }
    )
    with Workspace(str(where)).change("made", {}) as change:
        change.replace("embeddings/made", [table], table.schema, meta=meta)


def _made(where: Path, vectors: np.ndarray) -> Path:
    workspace_of(where, vectors.astype(np.float32), None, {"mean_r": np.arange(len(vectors))})
    return where


def _copies(where: Path, method: str = "any") -> dict[bytes, bytes]:
    """Copy -> keeper."""
    rows = [
        r for r in Workspace(str(where)).read("duplicates").to_pylist() if r["method"] == method
    ]
    keeper = {r["group_id"]: r["image_id"] for r in rows if r["is_keeper"]}
    return {r["image_id"]: keeper[r["group_id"]] for r in rows if not r["is_keeper"]}


def test_images_that_are_embedded_later_find_their_copies(tmp_path: Path) -> None:
    """They were there before and had been compared by nothing: nothing was settled of them."""
    vectors = np.tile(np.eye(8, dtype=np.float32)[:5], (2, 1))
    where = _made(tmp_path / "w", vectors)
    _put(where, vectors, [True] * 5 + [False] * 5)
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    assert _copies(where) == {}
    _put(where, vectors, [True] * 10)
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    ids = ids_of(10)
    expected = {ids[k + 5]: ids[k] for k in range(5)}
    assert _copies(where) == _copies(where, "semantic") == expected, "old keepers stay keepers"
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    assert _copies(where) == expected


def test_another_models_vectors_are_decided_anew(tmp_path: Path) -> None:
    """Groups of the old vectors must not stand: of the new ones no two are alike."""
    vectors = np.tile(np.eye(8, dtype=np.float32)[:4], (2, 1))
    where = _made(tmp_path / "w", vectors)
    _put(where, vectors, [True] * 8, model="m", weights="one")
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    assert len(_copies(where)) == 4
    _put(where, np.eye(8, dtype=np.float32), [True] * 8, model="m", weights="two")
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    assert _copies(where) == {}


def test_vectors_without_a_direction_are_compared_with_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = np.tile(np.eye(8, dtype=np.float32)[:3], (2, 1))
    vectors[0], vectors[1, 3], vectors[4] = np.nan, np.inf, 0
    where = _made(tmp_path / "w", vectors)
    other = _made(tmp_path / "other", vectors[::-1].copy())
    assert cvdata("dedup", "--workspace", where, *GIVEN, "--against", other) == 0
    told = capsys.readouterr().out
    ids = ids_of(6)
    assert set(_copies(where)) | set(_copies(where).values()) == {ids[2], ids[5]}
    assert "3 not comparable" in told
    leaks = [r for r in Workspace(str(where)).read("leaks").to_pylist() if r["method"] == "any"]
    assert len(leaks) == 5, "two of each kind on both sides, and one"
    assert "no longer against" not in told
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    assert "no longer against other" in capsys.readouterr().out
    assert len(Workspace(str(where)).read("leaks")) == 0


def test_equal_pixels_do_not_raise_the_cosine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forty copies of one picture are 780 pairs that nobody looks at."""
    vectors = np.eye(64, dtype=np.float32)[[0] * 40 + list(range(1, 21))]
    where = _made(tmp_path / "w", vectors)
    ((model, weights),) = BUILT_IN
    _put(where, vectors, [True] * 60, model=model, weights=weights)
    digests = [b"\0" * 16] * 40 + [bytes([k]) * 16 for k in range(1, 21)]
    with Workspace(str(where)).change("made", {}) as change:
        ids = {"image_id": pa.array(ids_of(60), ID), "revision": pa.array(["1"] * 60)}
        none = {name: pa.nulls(60, pa.string()) for name in ("error", "error_detail")}
        table = pa.table({**ids, **none, "pixel_digest": pa.array(digests, pa.binary(16))})
        change.replace("measures/digests", [table], table.schema)
    assert cvdata("dedup", "--workspace", where, *SEMANTIC) == 0
    told = capsys.readouterr().out
    assert "cosine 0.8 before the second look" in told
    assert "raised" not in told
    assert len(_copies(where)) == 39


def test_a_lost_keeper_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = np.repeat(np.eye(8, dtype=np.float32)[:2], 3, axis=0)
    where = _made(tmp_path / "w", vectors)
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    assert "gone" not in capsys.readouterr().out
    (lost,) = {k for c, k in _copies(where).items() if c in ids_of(6)[:3]}
    workspace = Workspace(str(where))
    rows = workspace.read_all("records").to_pylist()
    kept = pa.Table.from_pylist([r for r in rows if r["image_id"] != lost], RECORDS)
    with workspace.change("made", {}) as change:
        (tag,) = {part.tag for part in change.records}
        change.replace("records", [kept], RECORDS, tag=tag)
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    assert "1 keepers are gone or changed: the next in order took over 2 images" in (
        capsys.readouterr().out
    )


def test_conflicts_are_counted_in_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = np.repeat(np.eye(8, dtype=np.float32)[:2], 3, axis=0)
    labels = ["cat", "cat", "dog", "cat", "cat", None]
    workspace_of(tmp_path / "w", vectors, labels, {"mean_r": np.arange(6)})
    assert cvdata("dedup", "--workspace", tmp_path / "w", *GIVEN) == 0
    assert "label conflicts in 1 groups" in capsys.readouterr().out


def test_a_keeper_that_takes_its_images_back_has_no_successor() -> None:
    ids = ids_of(3)
    images = pa.table({"image_id": pa.array(ids, ID)})
    history = History(np.array([-1, -2, -2]), np.zeros(3, np.float32), {1: ids[0], 2: ids[0]})
    stars = Stars(np.array([0, 0, 2], np.int32), np.zeros(3, np.float32))
    (row,) = successions(images, history, stars).to_pylist()
    assert row == {"removed": ids[0], "successor": ids[2], "n_images": 1}


def test_the_order_of_methods_is_no_rule(tmp_path: Path) -> None:
    workspace = Workspace(str(_made(tmp_path / "w", np.eye(8, dtype=np.float32))))
    settings = set()
    for methods in (("semantic", "exact_sha256"), ("exact_sha256", "semantic", "semantic")):
        options = resolved(workspace, DedupRequest(methods, threshold=0.9))
        settings.add(settings_of(workspace.head, options, {}))
    assert len(settings) == 1


def test_what_cannot_be_compared_is_refused_before_it_is_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = _made(tmp_path / "w", np.eye(8, dtype=np.float32))
    with Workspace(str(tmp_path / "bare")).change("made", {}) as change:
        change.replace("records", [RECORDS.empty_table()], RECORDS)
    for folder, flags, said in (
        ("none", (), "no records yet: run `cvdata ingest"),
        ("bare", (), "no measures yet: run `cvdata scan"),
        ("w", ("--methods", "perceptual"), "perceptual needs the column phash"),
        ("w", (*SEMANTIC[:2], "--threshold", "0.9", "--keep=-mean_q"), "did you mean 'mean_r'"),
    ):
        for dry in ((), ("--dry-run",)):
            assert cvdata("dedup", "--workspace", tmp_path / folder, *flags, *dry) == 2
            assert said in capsys.readouterr().err
    assert cvdata("dedup", "--workspace", where, *GIVEN, "--dry-run") == 0
    assert "nothing to do" not in capsys.readouterr().out
    assert cvdata("dedup", "--workspace", where, *GIVEN) == 0
    seq = Workspace(str(where)).head.seq
    assert cvdata("dedup", "--workspace", where, *GIVEN, "--dry-run") == 0
    assert "nothing to do" in capsys.readouterr().out
    more = ("--against", tmp_path / "other", "--dry-run")
    assert cvdata("dedup", "--workspace", where, *GIVEN, *more) == 0
    assert f"and against {tmp_path / 'other'}" in capsys.readouterr().out
    assert Workspace(str(where)).head.seq == seq


def test_vectors_of_other_weights_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    ours, theirs, none = tmp_path / "ours", tmp_path / "theirs", tmp_path / "none"
    for where, weights in ((ours, "one"), (theirs, "two")):
        rows = rng.normal(0, 1, (30, 8)).astype(np.float32)
        _put(_made(where, rows), rows, [True] * 30, weights=weights, dimension=8)
    workspace_of(none, None, None, {"mean_r": np.arange(30)})
    for other, said in ((theirs, "other weights than ours"), (none, "has no embeddings/made")):
        assert cvdata("dedup", "--workspace", ours, *GIVEN, "--against", other) == 2
        assert said in capsys.readouterr().err
    assert main(["drift", str(ours), str(theirs), "--embeddings", "made"]) == 2
    assert "made with other weights on either side" in capsys.readouterr().err
    assert main(["drift", str(ours), str(theirs)]) == 0
    told = capsys.readouterr().out
    assert "left out, made with other weights on either side: embeddings/made" in told
    assert "embedding:" not in told
    assert main(["drift", str(ours), str(ours)]) == 0
    assert "embedding:" in capsys.readouterr().out
