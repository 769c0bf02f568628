"""dedup --against: copies in another workspace are leaks, and touch nothing else."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata import Workspace
from cvdata.duplicates import crossing
from cvdata.duplicates.candidates import informative
from cvdata.kernels.dihedral import dihedral_variants
from cvdata.sample import Truth, make_sample
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata
from tests.tables.flows import rows_digest

UNTOUCHED = ("pairs", "duplicates", "conflicts", "successions", "deduplicated")
Pair = tuple[bytes, bytes]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The sample in two folders, its planted groups cut through: `mine` and `benchmark`."""
    folder = tmp_path_factory.mktemp("leaks")
    truth = make_sample(folder / "all", size="small")
    theirs = {c.path for group in truth.duplicates for c in group.copies[::2]}
    bases = {group.base for group in truth.duplicates}
    others = sorted(set(truth.files) - bases - {c.path for g in truth.duplicates for c in g.copies})
    theirs |= set(others[::3])
    for path in (p for p in truth.files if p in theirs or p not in truth.errors):
        name = decode_path(path).decode("utf-8", "surrogateescape")
        place = folder / ("benchmark_photos" if path in theirs else "photos") / name
        if (folder / "all" / name).is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / "all" / name, place)
    _scan(folder / "photos", folder / "mine", "--label-from-folder", "--split-from-folder")
    _scan(folder / "benchmark_photos", folder / "benchmark")
    assert cvdata("dedup", "--workspace", folder / "mine") == 0
    shutil.copytree(folder / "mine", folder / "alone")
    against = ("--against", folder / "benchmark")
    assert cvdata("dedup", "--workspace", folder / "mine", *against) == 0
    return folder, truth


def _scan(photos: Path, where: Path, *flags: str) -> None:
    assert cvdata("ingest", photos, "--workspace", where, *flags) == 0
    more = ("--measures", "file,geometry,pixel_digest,phash", "--max-error-rate", "0.5")
    assert cvdata("scan", "--workspace", where, *more) in (0, 3)


def _names(where: Path) -> dict[bytes, bytes]:
    rows = Workspace(str(where)).read("records", ["image_id", "key"])
    return dict(zip(rows["image_id"].to_pylist(), rows["key"].to_pylist(), strict=True))


def _external(folder: Path, method: str = "any") -> list[Pair]:
    """(key of ours, key of theirs)."""
    mine, theirs = _names(folder / "mine"), _names(folder / "benchmark")
    rows = Workspace(str(folder / "mine")).read("leaks").to_pylist()
    return [
        (mine[r["id_a"]], theirs[r["id_b"]])
        for r in rows
        if r["split_b"] == "benchmark" and r["method"] == method
    ]


def _bases(truth: Truth) -> dict[bytes, str]:
    base = {decode_path(g.base): g.base for g in truth.duplicates}
    return base | {decode_path(c.path): g.base for g in truth.duplicates for c in g.copies}


def test_planted_copies_are_found_and_nothing_else(two: tuple[Path, Truth]) -> None:
    folder, truth = two
    base = _bases(truth)
    found = _external(folder)
    assert len(found) > 20
    assert len(set(found)) == len(found), "no pair twice"
    wrong = [(a, b) for a, b in found if base.get(a, a) != base.get(b, b)]
    assert not wrong


def test_every_copy_of_bytes_or_pixels_is_found(two: tuple[Path, Truth]) -> None:
    """By a plain look-up of the two tables."""
    folder, _ = two
    tables = [
        Workspace(str(folder / w)).read("measures", ["image_id", "sha256", "pixel_digest", "error"])
        for w in ("mine", "benchmark")
    ]
    names = _names(folder / "mine"), _names(folder / "benchmark")
    for method, column in (("exact_sha256", "sha256"), ("exact_pixels", "pixel_digest")):
        mine, theirs = (t.filter(pc.is_null(t["error"])).to_pylist() for t in tables)
        expected = {
            (names[0][a["image_id"]], names[1][b["image_id"]])
            for a in mine
            for b in theirs
            if a[column] is not None and a[column] == b[column]
        }
        assert set(_external(folder, method)) == expected
        assert expected <= set(_external(folder))
    assert expected


def test_groups_pairs_and_keepers_are_as_without(two: tuple[Path, Truth]) -> None:
    """`mine` is a second run: it keeps the verdicts of the first."""
    folder, _ = two
    mine, alone = (Workspace(str(folder / w)) for w in ("mine", "alone"))
    for name in UNTOUCHED:
        assert rows_digest(mine.read(name)) == rows_digest(alone.read(name)), name
    leaks = mine.read("leaks")
    inner = leaks.filter(pc.not_equal(leaks["split_b"], "benchmark"))
    assert rows_digest(inner) == rows_digest(alone.read("leaks"))
    assert not mine.verify()


def test_what_is_said(two: tuple[Path, Truth], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = two
    seq = Workspace(str(folder / "mine")).head.seq
    against = ("--against", folder / "benchmark")
    assert cvdata("dedup", "--workspace", folder / "mine", *against) == 0
    assert Workspace(str(folder / "mine")).head.seq == seq, "nothing new: no commit"
    (line,) = (x for x in capsys.readouterr().out.splitlines() if "against benchmark" in x)
    found = _external(folder)
    assert f"{len({a for a, _ in found}):,} images are copies" in line
    assert f"{len(found):,} pairs" in line
    assert cvdata("report", "--workspace", folder / "mine") == 0


def test_without_verification_no_pair_is_lost(two: tuple[Path, Truth], tmp_path: Path) -> None:
    folder, _ = two
    shutil.copytree(folder / "mine", tmp_path / "mine")
    shutil.copytree(folder / "benchmark", tmp_path / "benchmark")
    flags = ("--against", tmp_path / "benchmark", "--no-verify", "--radius", "8")
    assert cvdata("dedup", "--workspace", tmp_path / "mine", *flags) == 0
    assert set(_external(folder)) <= set(_external(tmp_path))


def test_a_changed_benchmark_is_compared_again(two: tuple[Path, Truth], tmp_path: Path) -> None:
    folder, _ = two
    shutil.copytree(folder / "mine", tmp_path / "mine")
    shutil.copytree(folder / "benchmark", tmp_path / "benchmark")
    own = next((folder / "photos").rglob("*.jpg"))
    (tmp_path / "more").mkdir()
    shutil.copy(own, tmp_path / "more" / "taken.jpg")
    _scan(tmp_path / "more", tmp_path / "benchmark", "--source-name", "more")
    flags = ("--against", tmp_path / "benchmark")
    assert cvdata("dedup", "--workspace", tmp_path / "mine", *flags) == 0
    new = set(_external(tmp_path)) - set(_external(folder))
    assert {b for _, b in new} == {b"taken.jpg"}
    assert own.relative_to(folder / "photos").as_posix().encode() in {a for a, _ in new}


@pytest.mark.usefixtures("ray_up")
def test_ray_finds_the_same(two: tuple[Path, Truth], tmp_path: Path) -> None:
    folder, _ = two
    shutil.copytree(folder / "mine", tmp_path / "mine")
    flags = ("--against", folder / "benchmark", "--workers", "2", "--fresh")
    assert cvdata("dedup", "--workspace", tmp_path / "mine", *flags, engine="ray") == 0
    a, b = (Workspace(str(f / "mine")).read("leaks") for f in (folder, tmp_path))
    assert rows_digest(a) == rows_digest(b)


def test_names_that_are_taken_and_workspaces_that_are_not(
    two: tuple[Path, Truth], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = two
    mine = tmp_path / "mine"
    shutil.copytree(folder / "mine", mine)
    shutil.copytree(folder / "benchmark", tmp_path / "test")
    assert cvdata("dedup", "--workspace", mine, "--against", tmp_path / "test") == 0
    splits = Counter(Workspace(str(mine)).read("leaks")["split_b"].to_pylist())
    assert splits[str(tmp_path / "test")], "`test` is a split of ours: the whole path names it"
    assert cvdata("dedup", "--workspace", mine, "--against", mine) == 2
    assert "itself" in capsys.readouterr().err
    assert cvdata("dedup", "--workspace", mine, "--against", tmp_path / "no") == 2
    assert "no workspace" in capsys.readouterr().err
    assert cvdata("ingest", folder / "photos", "--workspace", tmp_path / "new") == 0
    assert cvdata("dedup", "--workspace", mine, "--against", tmp_path / "new") == 2
    assert str(tmp_path / "new") in capsys.readouterr().err


HASHES = st.lists(st.one_of(st.none(), st.integers(0, 2**64 - 1)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(HASHES, st.data(), st.integers(0, 11), st.booleans())
def test_every_pair_within_the_radius_is_found(
    left: list[int | None], data: st.DataObject, radius: int, is_dihedral: bool
) -> None:
    """Brute force: rows of the right set are flips of rows of the left, or anything."""
    masks = st.integers(0, 2**64 - 1).map(lambda v: v & (v >> 1) & (v << 3) & (v >> 7) & 2**64 - 1)
    some = [value for value in left if value is not None] or [0]
    near = st.lists(st.tuples(st.sampled_from(some), masks), max_size=20)
    right = [value ^ mask for value, mask in data.draw(near)] + data.draw(HASHES)
    columns = [
        pa.array([v if v is None else v.to_bytes(8, "big") for v in values], pa.binary(8))
        for values in (left, right)
    ]
    search = crossing.dihedral if is_dihedral else crossing.perceptual
    found = search(columns[0], columns[1], radius)
    expected = {}
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            if a is None or b is None or not (_says_much(a, radius) and _says_much(b, radius)):
                continue
            turned = dihedral_variants(np.array([[a]], np.uint64))[0]
            versions = turned.tolist() if is_dihedral else [a]
            distance = min((v ^ b).bit_count() for v in versions)
            if distance <= radius:
                expected[i, j] = distance
    pairs = list(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert dict(zip(pairs, found.distance.tolist(), strict=True)) == expected
    assert pairs == sorted(expected)


def _says_much(value: int, radius: int) -> bool:
    return bool(informative(np.frombuffer(value.to_bytes(8, "big"), np.uint8)[None], radius)[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 12))
def test_vectors_and_digests_against_brute_force(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = [rng.normal(size=(k, 4)).astype(np.float32) for k in (n, m)]
    columns = [pa.array([None, *v.tolist()], pa.list_(pa.float32(), 4)) for v in vectors]
    found = crossing.semantic(columns[0], columns[1], 0.5)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors]
    cosine = unit[0].astype(np.float64) @ unit[1].T.astype(np.float64)
    a, b = np.nonzero(cosine >= 0.5)
    clear = np.abs(cosine - 0.5).min(initial=1) > 1e-5
    if clear:
        assert found.a.tolist() == (a + 1).tolist()
        assert found.b.tolist() == (b + 1).tolist()
        assert np.allclose(found.distance, 1 - cosine[a, b], atol=1e-5)
    digits = [[None if d == 5 else bytes([d]) for d in rng.integers(0, 6, k)] for k in (n, m)]
    same = crossing.exact(*(pa.array(d, pa.binary()) for d in digits))
    expected = [
        (i, j)
        for i, x in enumerate(digits[0])
        for j, y in enumerate(digits[1])
        if x is not None and x == y
    ]
    assert list(zip(same.a.tolist(), same.b.tolist(), strict=True)) == expected


def test_a_folder_serves_as_well_as_a_workspace(two: tuple[Path, Truth], tmp_path: Path) -> None:
    """The same pairs; a second run reads nothing of the folder again."""
    folder, _ = two
    shutil.copytree(folder / "alone", tmp_path / "mine")
    against = ("--against", folder / "benchmark_photos")
    assert cvdata("dedup", "--workspace", tmp_path / "mine", *against) == 0
    rows = Workspace(str(tmp_path / "mine")).read("leaks").to_pylist()
    outside = [r for r in rows if r["split_b"] == "benchmark_photos"]
    (beside,) = (tmp_path / "mine.against").iterdir()
    mine, theirs = _names(tmp_path / "mine"), _names(beside)
    found = {(mine[r["id_a"]], theirs[r["id_b"]]) for r in outside if r["method"] == "any"}
    assert found == set(_external(folder))
    before = Workspace(str(beside)).head.seq, Workspace(str(tmp_path / "mine")).head.seq
    assert cvdata("dedup", "--workspace", tmp_path / "mine", *against) == 0
    assert (Workspace(str(beside)).head.seq, Workspace(str(tmp_path / "mine")).head.seq) == before
