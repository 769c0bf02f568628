"""split end to end on the sample: no copy crosses, classes in proportion, nothing ever moves."""

import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from cvdata import Workspace, schema
from cvdata.sample import Truth, make_sample
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata
from tests.tables.flows import rows_digest

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
FLAG = ("--fractions", "train=0.7,val=0.1,test=0.2")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("split")
    truth = make_sample(folder / "photos", size="small")
    _find_copies(folder / "photos", folder / "w")
    assert cvdata("split", "--workspace", folder / "w", *FLAG) == 0
    return folder, truth


def _find_copies(photos: Path, where: Path) -> None:
    # the source's name is part of the ids: the same for every folder of photos
    flags = ("--label-from-folder", "--split-from-folder", "--allow-shrink")
    assert cvdata("ingest", photos, "--workspace", where, *flags) == 0
    more = ("--measures", "file,geometry,pixel_digest,phash", "--max-error-rate", "0.2")
    assert cvdata("scan", "--workspace", where, *more) in (0, 3)
    assert cvdata("dedup", "--workspace", where) == 0


def _splits(where: Path) -> dict[bytes, str]:
    rows = Workspace(str(where)).read("splits")
    assert rows.schema.equals(schema.SPLITS)
    return dict(zip(rows["image_id"].to_pylist(), rows["split"].to_pylist(), strict=True))


def _standing(where: Path) -> list[tuple[bytes, bytes]]:
    rows = Workspace(str(where)).read("pairs").to_pylist()
    return [(r["id_a"], r["id_b"]) for r in rows if r["is_verified"] is not False]


def test_no_pair_and_no_group_crosses(done: tuple[Path, Truth]) -> None:
    folder, _ = done
    given = _splits(folder / "w")
    pairs = _standing(folder / "w")
    assert len(pairs) > 100
    assert not [pair for pair in pairs if given[pair[0]] != given[pair[1]]]
    groups = defaultdict(set)
    for row in Workspace(str(folder / "w")).read("duplicates").to_pylist():
        groups[row["method"], row["group_id"]].add(given[row["image_id"]])
    assert len(groups) > 50
    assert all(len(splits) == 1 for splits in groups.values())


def test_copies_that_leaked_as_planted_leak_no_more(done: tuple[Path, Truth]) -> None:
    """Of the planted pairs that dedup can see, both ends are in one split now."""
    folder, truth = done
    workspace = Workspace(str(folder / "w"))
    records = workspace.read("records", ["image_id", "key"])
    ids = dict(zip(records["key"].to_pylist(), records["image_id"].to_pylist(), strict=True))
    seen = {frozenset((r["id_a"], r["id_b"])) for r in workspace.read("leaks").to_pylist()}
    planted = {frozenset(ids[decode_path(end)] for end in pair) for pair in truth.leaks}
    given = _splits(folder / "w")
    assert seen & planted
    assert all(len({given[i] for i in pair}) == 1 for pair in seen)


def test_every_readable_image_is_assigned_and_no_other(done: tuple[Path, Truth]) -> None:
    folder, _ = done
    rows = Workspace(str(folder / "w")).read("measures", ["image_id", "error"]).to_pylist()
    readable = {row["image_id"] for row in rows if row["error"] is None}
    assert set(_splits(folder / "w")) == readable
    assert len(readable) < len(rows)


def test_sizes_and_classes_are_in_proportion(done: tuple[Path, Truth]) -> None:
    folder, _ = done
    given = _splits(folder / "w")
    records = Workspace(str(folder / "w")).read("records", ["image_id", "label"]).to_pylist()
    label = {row["image_id"]: row["label"] for row in records}
    sizes = Counter(given.values())
    classes = Counter(label[i] for i in given)
    cells = Counter((label[i], split) for i, split in given.items())
    largest: Counter[str] = Counter()
    for members in _components(folder / "w"):
        for name, n in Counter(label[i] for i in members).items():
            largest[name] = max(largest[name], n)
    assert max(largest.values()) < len(given) / 10
    for split, share in FRACTIONS.items():
        assert abs(sizes[split] / len(given) - share) < 0.03
        for name, n in classes.items():
            # a class cannot be cut finer than the largest of its groups
            bound = max(3.0, 0.05 * n, largest[name])
            assert abs(cells[name, split] - share * n) <= bound, (name, split)


def test_nothing_to_do_commits_nothing_and_still_prints(
    done: tuple[Path, Truth], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = done
    seq = Workspace(str(folder / "w")).head.seq
    assert cvdata("split", "--workspace", folder / "w", *FLAG) == 0
    assert Workspace(str(folder / "w")).head.seq == seq
    out = capsys.readouterr().out
    counts = Counter(_splits(folder / "w").values())
    for split, n in counts.items():
        (line,) = (line for line in out.splitlines() if line.split()[0] == split)
        assert line.split()[1] == str(n)
        assert "class balance within" in line
    assert "cross" not in out


def test_fresh_gives_the_same_and_another_seed_does_not(
    done: tuple[Path, Truth], tmp_path: Path
) -> None:
    folder, _ = done
    shutil.copytree(folder / "w", tmp_path / "w")
    before = Workspace(str(folder / "w")).head.seq
    assert cvdata("split", "--workspace", tmp_path / "w", "--fresh", *FLAG) == 0
    assert Workspace(str(tmp_path / "w")).head.seq == before
    assert cvdata("split", "--workspace", tmp_path / "w", "--seed", "7", *FLAG) == 0
    assert _splits(tmp_path / "w") == _splits(folder / "w"), "a seed moves nothing assigned"
    assert cvdata("split", "--workspace", tmp_path / "w", "--seed", "7", "--fresh", *FLAG) == 0
    moved = _splits(tmp_path / "w")
    assert moved != _splits(folder / "w")
    assert all(moved[a] == moved[b] for a, b in _standing(tmp_path / "w"))


def test_what_is_assigned_stays_when_images_come_and_go(
    done: tuple[Path, Truth], tmp_path: Path
) -> None:
    """Half of the sample first, then all of it, then without some, then all of it again."""
    folder, truth = done
    photos, where = tmp_path / "photos", tmp_path / "w"
    shutil.copytree(folder / "photos", photos, symlinks=True)
    copies = {c.path for group in truth.duplicates for c in group.copies}
    late = [photos / decode_path(p).decode() for p in sorted(copies)]
    late = [path for path in late if path.exists()]
    away = tmp_path / "away"
    _move(late, photos, away)
    _find_copies(photos, where)
    assert cvdata("split", "--workspace", where, *FLAG) == 0
    first = _splits(where)
    _move([away / p.relative_to(photos) for p in late], away, photos)
    _find_copies(photos, where)
    assert cvdata("split", "--workspace", where, *FLAG) == 0
    second = _splits(where)
    assert len(second) > len(first) + 20
    assert all(second[i] == split for i, split in first.items())
    whole = [{second[i] for i in c} for c in _components(where)]
    torn = [{first[i] for i in c if i in first} for c in _components(where)]
    assert all(len(a) == 1 for a, b in zip(whole, torn, strict=True) if len(b) < 2), (
        "only what was in different splits before can cross"
    )
    _move(late[:10], photos, away)
    _find_copies(photos, where)
    assert cvdata("split", "--workspace", where, *FLAG) == 0
    assert len(_splits(where)) < len(second)
    _move([away / p.relative_to(photos) for p in late[:10]], away, photos)
    _find_copies(photos, where)
    assert cvdata("split", "--workspace", where, *FLAG) == 0
    assert _splits(where) == second, "an image that was away comes back to its split"


def _move(paths: list[Path], start: Path, end: Path) -> None:
    for path in paths:
        (end / path.relative_to(start)).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, end / path.relative_to(start))


def _components(where: Path) -> list[set[bytes]]:
    """Images that standing pairs connect; a plain walk, to compare with."""
    linked = defaultdict(set)
    for left, right in _standing(where):
        linked[left].add(right)
        linked[right].add(left)
    found: list[set[bytes]] = []
    left_over = set(linked)
    while left_over:
        todo = [left_over.pop()]
        seen = set(todo)
        while todo:
            new = linked[todo.pop()] - seen
            seen |= new
            todo += new
        left_over -= seen
        found.append(seen)
    return found


@pytest.mark.usefixtures("ray_up")
def test_the_engine_changes_nothing(done: tuple[Path, Truth], tmp_path: Path) -> None:
    folder, _ = done
    shutil.copytree(folder / "w", tmp_path / "w")
    assert cvdata("dedup", "--workspace", tmp_path / "w", "--fresh", engine="ray") == 0
    assert cvdata("split", "--workspace", tmp_path / "w", "--fresh", *FLAG, engine="ray") == 0
    a, b = (Workspace(str(f)).read("splits") for f in (folder / "w", tmp_path / "w"))
    assert rows_digest(a) == rows_digest(b)


def test_a_request_that_cannot_be_met(
    done: tuple[Path, Truth], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = done
    shutil.copytree(folder / "w", tmp_path / "w")
    few = ("--fractions", "train=0.9,test=0.1")
    assert cvdata("split", "--workspace", tmp_path / "w", *few) == 2
    assert "--fresh" in capsys.readouterr().err
    assert cvdata("split", "--workspace", tmp_path / "w", "--fractions", "train=0") == 2
    new = tmp_path / "new"
    assert cvdata("split", "--workspace", new) == 2
    assert "cvdata ingest" in capsys.readouterr().err
    assert cvdata("ingest", folder / "photos", "--workspace", new) == 0
    assert cvdata("split", "--workspace", new) == 2
    assert "cvdata dedup" in capsys.readouterr().err
    photo = next((folder / "photos").rglob("*.jpg"))
    (tmp_path / "more").mkdir()
    shutil.copy(photo, tmp_path / "more")
    more = ("--source-name", "more")
    assert cvdata("ingest", tmp_path / "more", "--workspace", tmp_path / "w", *more) == 0
    assert cvdata("split", "--workspace", tmp_path / "w", *FLAG) == 2
    assert "has changed" in capsys.readouterr().err
