"""The sample as a folder: complete, the same everywhere, and careful with what is there."""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import PIL
import pytest

from cvdata.errors import ConfigError
from cvdata.sample import CREDITS_NAME, Truth, decode_path, encode_path, make_sample
from cvdata.sample.boxes import BOXES_NAME
from cvdata.sample.flaws import FLAWS
from cvdata.sample.layouts import LAYOUTS
from cvdata.sample.photos import PHOTOS
from tests.conftest import ROOT
from tests.sample.conftest import Made

GOLDEN_PILLOW = "13.0.0"
GOLDEN = "8cdb7203970672ab7e02548f7a16d2979a4f07e22929037e9a5644a94ab3b9d5"
"""Of all names and decoded pixels of seed 0; moves with SAMPLE_VERSION, or with Pillow."""

AUXILIARY = {b"truth.json", CREDITS_NAME.encode(), BOXES_NAME.encode()}


def listing(root: Path) -> dict[bytes, tuple[str, int]]:
    """Digest and mtime of every file below, by raw relative path."""
    found = {}
    for folder, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = Path(os.fsdecode(folder), os.fsdecode(name))
            data = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
            key = os.fsencode(path.relative_to(root))
            found[key] = (hashlib.sha256(data).hexdigest(), path.lstat().st_mtime_ns)
    return found


def test_every_file_is_in_the_truth_and_the_truth_on_disk(made: Made) -> None:
    on_disk = set(listing(made.root)) - AUXILIARY
    assert on_disk == {decode_path(name) for name in made.truth.files}
    assert not made.truth.skipped or sys.platform != "linux"


def test_bytes_folders_and_names_are_as_the_truth_says(made: Made) -> None:
    on_disk = listing(made.root)
    for name, file in made.truth.files.items():
        raw = decode_path(name)
        assert encode_path(raw) == name
        split, label, _ = raw.split(b"/")
        assert (split.decode(), label.decode()) == (file.split, file.label)
        if file.sha256 is None:
            assert made.path(name).is_symlink()
        else:
            assert on_disk[raw][0] == file.sha256
            assert made.path(name).stat().st_size == file.size_bytes


def test_everything_the_truth_names_is_a_file_of_it(made: Made) -> None:
    truth = made.truth
    named = [*truth.errors, *truth.label_errors, *(p for pair in truth.leaks for p in pair)]
    for lists in (truth.issues, truth.expected_flags, truth.box_errors):
        named += [path for paths in lists.values() for path in paths]
    named += [p for g in truth.duplicates for p in (g.base, *(c.path for c in g.copies))]
    assert set(named) <= set(truth.files)


def test_the_truth_survives_its_file(made: Made) -> None:
    assert Truth.load(made.root) == made.truth
    assert json.loads(made.truth.to_json())["version"] == Truth.VERSION


def test_the_same_bytes_and_times_in_another_process_and_place(made: Made, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "deep"
    code = "import sys, pathlib, cvdata.sample as s; s.make_sample(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, place], check=True, env=environment, timeout=200)
    assert listing(place) == listing(made.root)
    times = {path.stat().st_mtime_ns for path in (place, *place.glob("*/"), *place.glob("*/*/"))}
    assert len(times) == 1


def test_another_seed_is_another_sample_of_the_same_kind(made: Made, small: Made) -> None:
    known = {file.sha256 for file in made.truth.files.values() if not file.plants}
    assert not known & {small.truth.files[name].sha256 for name in small.clean}
    assert set(small.truth.issues) == set(made.truth.issues)
    assert set(small.truth.errors.values()) == set(made.truth.errors.values())
    edits = {c.edit for g in small.truth.duplicates for c in g.copies}
    assert edits == {c.edit for g in made.truth.duplicates for c in g.copies}
    assert len(small.truth.files) < 300


def test_a_second_run_changes_nothing(made: Made) -> None:
    before = listing(made.root)
    assert make_sample(made.root) == made.truth
    assert listing(made.root) == before


def test_what_is_there_is_not_overwritten(made: Made, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no sample: name a new folder"):
        make_sample(tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        make_sample(tmp_path / "mine.txt")
    with pytest.raises(ConfigError, match="holds the sample of seed 0, size full"):
        make_sample(made.root, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_changed_or_foreign_sample_is_refused(small: Made, tmp_path: Path) -> None:
    place = tmp_path / "copied"
    shutil.copytree(small.root, place, symlinks=True)
    assert make_sample(place, seed=1, size="small") == small.truth
    path = place / "truth.json"
    document = path.read_text()
    path.write_text(document.replace('"version": 1', '"version": 999'))
    with pytest.raises(ConfigError, match="version 999"):
        make_sample(place, seed=1, size="small")
    path.write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        make_sample(place, seed=1, size="small")
    path.write_text(document)
    victim = place / small.clean[0]
    victim.write_bytes(victim.read_bytes() + b"!")
    with pytest.raises(ConfigError, match="was changed"):
        make_sample(place, seed=1, size="small")
    victim.unlink()
    with pytest.raises(ConfigError, match="was changed"):
        make_sample(place, seed=1, size="small")


def test_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="negative"):
        make_sample(tmp_path / "a", seed=-1)
    with pytest.raises(ConfigError, match="none of full, small"):
        make_sample(tmp_path / "a", size="huge")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="holds no sample"):
        Truth.load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="dangling"):
        make_sample(tmp_path / "dangling", size="small")
    assert [path.name for path in tmp_path.iterdir()] == ["dangling"]


def test_size_and_balance(made: Made) -> None:
    files = made.truth.files
    assert 400 <= len(files) <= 600
    assert sum(file.size_bytes for file in files.values()) < 40e6
    assert len(made.truth.errors) < 0.05 * len(files), "over scan's default max_error_rate"
    per_class = Counter(file.label for file in files.values())
    assert set(per_class) == {photo.name for photo in PHOTOS}
    assert max(per_class.values()) > 3 * min(per_class.values())
    cells = Counter((file.label, file.split) for file in files.values())
    assert all(cells[label, split] for label in per_class for split in ("train", "val", "test"))


def test_the_table_counts_what_the_truth_lists(made: Made) -> None:
    rows = {name: (n, what) for name, n, what in made.truth.table()}
    assert rows["files"][0] == len(made.truth.files)
    assert rows["leaks"][0] == len(made.truth.leaks)
    assert rows["unreadable"][0] == len(made.truth.errors)
    assert all(rows[issue][0] == len(paths) for issue, paths in made.truth.issues.items())
    assert all(what and "\n" not in what for _, what in rows.values())


def test_sources_and_licences_are_told(made: Made) -> None:
    credited = (made.root / CREDITS_NAME).read_text()
    page = (ROOT / "docs" / "sample.md").read_text()
    for photo in PHOTOS:
        assert photo.credit in credited
        assert photo.path in page
        assert f"`{photo.name}`" in page


def test_the_page_has_the_numbers_of_the_sample(made: Made) -> None:
    truth = made.truth
    page = (ROOT / "docs" / "sample.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| (\d+) \|$", page, re.MULTILINE))
    plants = Counter(plant for file in truth.files.values() for plant in file.plants)
    assert {name: int(n) for name, n in rows.items()} == {
        "clean": len(made.clean),
        "copies, all": sum(len(group.copies) for group in truth.duplicates),
        "leaks": len(truth.leaks),
        "wrong labels": len(truth.label_errors),
        "issues": sum(plants[flaw.issue] for flaw in FLAWS),
        "modes and formats": len(LAYOUTS),
        "unreadable": len(truth.errors),
        "names": plants["hostile_name"],
        "boxes": sum(map(len, truth.box_errors.values())),
    }


def test_golden(made: Made) -> None:
    if PIL.__version__ != GOLDEN_PILLOW or platform.machine() != "x86_64":
        pytest.skip(f"pinned with Pillow {GOLDEN_PILLOW} on x86_64, here is {PIL.__version__}")
    digest = hashlib.sha256()
    for name in sorted(made.good):
        pixels = made.stored(name)
        digest.update(f"{name} {pixels.shape}".encode() + pixels.tobytes())
    digest.update("\n".join(f"{p} {c}" for p, c in made.truth.errors.items()).encode())
    assert digest.hexdigest() == GOLDEN
