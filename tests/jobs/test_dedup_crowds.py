"""Crowds: what a run that sets most of a crowd aside tells is what a run of all images tells."""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvdata import Workspace
from cvdata.runs.split import standing_components
from tests.jobs.crowding import Made, put, random_images, run
from tests.jobs.flows import cvdata, make_photos

ALL, FEW = 1_000, 5
SAME = ("duplicates", "conflicts", "successions", "deduplicated")
EQUAL = ("n_groups", "n_copies", "n_not_comparable", "components")


def _leaking(workspace: Workspace) -> set[tuple[str, bytes, str]]:
    """(method, image, split that it leaks into)."""
    rows = workspace.read("leaks").to_pylist()
    ends = [(r["method"], r["id_a"], r["split_b"]) for r in rows]
    return set(ends) | {(r["method"], r["id_b"], r["split_a"]) for r in rows}


def _rows(workspace: Workspace, table: str) -> set[tuple[Any, ...]]:
    """Rows without the distance, whose last bits hang on how many were compared at once."""
    names = [n for n in workspace.columns(table) if n != "distance"]
    rows = workspace.read(table, names).to_pylist()
    found = [tuple(row[n] for n in names) for row in rows]
    assert len(found) == len(set(found)), "no row twice"
    return set(found)


def _plain(workspace: Workspace, table: str) -> list[dict[str, Any]]:
    """Rows in their order; distances to six digits."""
    rows: list[dict[str, Any]] = workspace.read_all(table).to_pylist()
    return [r | {"distance": round(r["distance"], 5)} if "distance" in r else r for r in rows]


def _parts(workspace: Workspace) -> set[frozenset[bytes]]:
    """Sets of images that a split keeps together."""
    ids = workspace.read("deduplicated", ["image_id"])["image_id"]
    component = standing_components(workspace, ids).tolist()
    sets = defaultdict(set)
    for k, image in zip(component, ids.to_pylist(), strict=True):
        sets[k].add(image)
    return {frozenset(images) for images in sets.values()}


def _assert_same(few: tuple[Workspace, Any], full: tuple[Workspace, Any]) -> None:
    (mine, told), (whole, wanted) = few, full
    for table in SAME:
        assert _plain(mine, table) == _plain(whole, table), table
    assert _rows(mine, "pairs") <= _rows(whole, "pairs")
    assert _rows(mine, "leaks") <= _rows(whole, "leaks")
    assert _leaking(mine) == _leaking(whole)
    assert _parts(mine) == _parts(whole)
    assert told["n_images"] == wanted["n_images"]
    for method, figures in wanted["methods"].items():
        for name in EQUAL:
            assert told["methods"][method][name] == figures[name], (method, name)
    listed = [r["method"] for r in mine.read("pairs").to_pylist()]
    assert all(
        told["methods"][method]["n_pairs"] == listed.count(method)
        for method in wanted["methods"]
        if method != "any"
    )


@pytest.mark.parametrize("has_splits", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_groups_are_those_of_all_images(tmp_path: Path, seed: int, has_splits: bool) -> None:
    """Then more come, some are changed, and some go: keepers of the past bind both alike."""
    made = random_images(seed, has_splits=has_splits)
    rng = np.random.default_rng(100 + seed)
    n = len(made.content)
    first = np.sort(rng.choice(n, 45, replace=False))
    changed = Made(
        made.content, made.split, made.label, made.size, rng.choice(["1", "2"], n, p=[0.8, 0.2])
    )
    gone = np.sort(rng.choice(n, 75, replace=False))
    steps = [(made, first), (made, np.arange(n)), (changed, np.arange(n)), (changed, gone)]
    n_aside = 0
    for images, rows in steps:
        found = []
        for crowd in (FEW, ALL):
            put(tmp_path / str(crowd) / "w", images, rows)
            found.append(run(tmp_path / str(crowd) / "w", crowd))
        _assert_same(*found)
        n_aside += found[0][1]["n_set_aside"]
        assert found[1][1]["n_set_aside"] == 0
    assert n_aside > 40


def test_keepers_of_a_full_run_stay_in_a_reduced_one(tmp_path: Path) -> None:
    """A workspace of before: its crowd was compared whole."""
    made = random_images(9, has_splits=True)
    for crowd in (FEW, ALL):
        put(tmp_path / str(crowd) / "w", made, np.arange(45))
        run(tmp_path / str(crowd) / "w", ALL)
        put(tmp_path / str(crowd) / "w", made, np.arange(90))
    _assert_same(run(tmp_path / str(FEW) / "w", FEW), run(tmp_path / str(ALL) / "w", ALL))


def test_new_ones_of_a_crowd_may_go_elsewhere_than_the_old(tmp_path: Path) -> None:
    """The old ones stay with 9; 11 came later, is better, and takes those that come after it."""
    content = np.array([9] + [1] * 12 + [11] + [1] * 12)
    n = len(content)
    size = np.where(content == 9, 1, np.where(content == 11, 0, 5))
    made = Made(content, [None] * n, [None] * n, size, ["1"] * n)
    for end in (13, 14, n):
        found = []
        for crowd in (FEW, ALL):
            put(tmp_path / str(crowd) / "w", made, np.arange(end))
            found.append(run(tmp_path / str(crowd) / "w", crowd, methods=["semantic"]))
        _assert_same(*found)
    groups = [r["group_id"] for r in found[0][0].read("duplicates").to_pylist()]
    assert [groups.count(g) for g in set(groups)] == [26, 26], "two of 13, by semantic and any"


def test_by_shuffle_the_same(tmp_path: Path) -> None:
    """Its tasks read the hashes of all images: those of the followers are their models'."""
    for crowd in (FEW, ALL):
        put(tmp_path / str(crowd) / "w", random_images(3, has_splits=True), np.arange(90))
    few = run(tmp_path / str(FEW) / "w", FEW, search="shuffle")
    _assert_same(few, run(tmp_path / str(ALL) / "w", ALL))


def test_leaks_into_another_set_are_told_of_all(tmp_path: Path) -> None:
    put(tmp_path / "test", random_images(5, has_splits=False, n=20), np.arange(20))
    told = {}
    for crowd in (FEW, ALL):
        put(tmp_path / str(crowd) / "w", random_images(4, has_splits=True), np.arange(90))
        told[crowd] = run(tmp_path / str(crowd) / "w", crowd, against=[str(tmp_path / "test")])
    _assert_same(told[FEW], told[ALL])
    few, full = (told[c][1]["against"]["test"] for c in (FEW, ALL))
    assert few["n_leaking"] == full["n_leaking"] > 40
    rows = told[FEW][0].read("leaks").to_pylist()
    listed = [r for r in rows if r["split_b"] == "test" and r["method"] == "any"]
    assert len(listed) == few["n_leaks"] < full["n_leaks"]


def test_pictures_are_looked_at_as_before(tmp_path: Path) -> None:
    """With verification, resaved copies beside the crowd, then more of both."""
    photos = tmp_path / "photos"
    for round_ in range(2):
        for split in ("train", "test"):
            make_photos(photos / split, range(4))
            data = (photos / split / "00000.jpg").read_bytes()
            for k in range(8):
                (photos / split / f"copy{round_}{k}.jpg").write_bytes(data)
            make_photos(photos / split / f"small{round_}", range(2), (72 + round_, 54))
        for crowd in (FEW, ALL):
            where = tmp_path / str(crowd) / "w"
            words = ("--workspace", where, "--split-from-folder", "--label-from-folder")
            assert cvdata("ingest", photos, *words) == 0
            measures = ("--measures", "file,geometry,pixel_digest,phash")
            assert cvdata("scan", "--workspace", where, *measures) == 0
            assert cvdata("dedup", "--workspace", where, "--crowd", crowd) == 0
        few, full = (Workspace(str(tmp_path / str(c) / "w")) for c in (FEW, ALL))
        for table in SAME:
            assert _plain(few, table) == _plain(full, table)
        assert _leaking(few) == _leaking(full)
        assert len(few.read("pairs")) < len(full.read("pairs"))
        assert {r["is_verified"] for r in few.read("pairs").to_pylist()} >= {True}


def test_thirty_thousand_equal_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """450 million pairs: refused before."""
    n = 30_000
    made = Made(
        np.r_[np.zeros(n - 40, np.int64), np.arange(40) % 12],
        (["train"] * 9 + ["val"]) * (n // 10),
        ["a"] * (n - 1) + ["b"],
        np.arange(n) % 7,
        ["1"] * n,
    )
    put(tmp_path / "w", made, np.arange(n))
    started = time.process_time()
    words = ("--methods", "exact_sha256,exact_pixels,perceptual,dihedral,semantic", "--no-verify")
    more = ("--threshold", "0.8", "--keep", "size_bytes")
    assert cvdata("dedup", "--workspace", tmp_path / "w", *words, *more) == 0
    assert time.process_time() - started < 60, "linear: this takes seconds"
    assert "29,960 files of 1 crowd of equal files stand aside" in capsys.readouterr().out
    workspace = Workspace(str(tmp_path / "w"))
    rows = workspace.read("duplicates").to_pylist()
    assert sum(r["method"] == "exact_sha256" and not r["is_keeper"] for r in rows) >= n - 40
    assert len(workspace.read("deduplicated")) == n
    assert len(_leaking(workspace)) >= n
