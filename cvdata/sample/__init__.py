"""A sample dataset: tiles of real photographs, with planted findings that truth.json names."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import PIL

from cvdata.errors import ConfigError
from cvdata.sample.boxes import BOXES_NAME, Boxes, annotate
from cvdata.sample.copying import Copier
from cvdata.sample.photos import PHOTOS
from cvdata.sample.plant import BOXED, Planter
from cvdata.sample.tree import Tree, fix_times
from cvdata.sample.truth import (
    SAMPLE_VERSION,
    TRUTH_NAME,
    Copy,
    FileTruth,
    Group,
    Truth,
    decode_path,
    encode_path,
)

__all__ = [
    "BOXES_NAME",
    "CREDITS_NAME",
    "SAMPLE_VERSION",
    "TRUTH_NAME",
    "Copy",
    "FileTruth",
    "Group",
    "Size",
    "Truth",
    "decode_path",
    "encode_path",
    "make_sample",
]

Size = Literal["full", "small"]

CREDITS_NAME = "CREDITS.txt"


@dataclass(frozen=True)
class Amounts:
    """How much of everything. `per_class` bounds the tiles of a class, None takes all."""

    per_class: int | None
    flaws: int
    copies: int
    leaks: int
    mislabeled: int
    conflicts: int
    is_every_bad_file: bool


_AMOUNTS = {
    "full": Amounts(None, 6, 3, 24, 16, 6, True),
    "small": Amounts(14, 1, 1, 8, 4, 2, False),
}


def make_sample(directory: Path, *, seed: int = 0, size: Size = "full") -> Truth:
    """Make the sample in `directory`: <split>/<class>/<file>, truth.json, boxes/, CREDITS.txt.

    About 490 files with size "full", 260 with "small". The same seed, size and library versions
    give the same bytes, names and times anywhere. A folder that holds this sample already stays
    as it is; raises `ConfigError` where it holds anything else, saying what to do.
    """
    directory = Path(directory)
    if size not in _AMOUNTS:
        raise ConfigError(f"size {size!r} is none of {', '.join(_AMOUNTS)}")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative: take 0 or more")
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file: name a new or empty folder")
    if directory.is_dir() and any(directory.iterdir()):
        return _present(directory, seed, size)
    directory.parent.mkdir(parents=True, exist_ok=True)
    # made beside and moved as a whole: an interrupted run leaves no half sample under the name
    beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        truth = _make(beside, seed, size)
        beside.chmod(0o755)
        if directory.is_dir():
            directory.rmdir()
        beside.rename(directory)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return truth


def _make(directory: Path, seed: int, size: Size) -> Truth:
    tree = _planted(seed, _AMOUNTS[size])
    skipped = tree.write(directory)
    boxes = _boxes(tree)
    (directory / BOXES_NAME).parent.mkdir()
    (directory / BOXES_NAME).write_text(boxes.document, encoding="utf-8")
    (directory / CREDITS_NAME).write_text(_credits(), encoding="utf-8")
    issues = tree.issues | tree.error_issues()
    truth = Truth(
        seed=seed,
        size=size,
        pillow=PIL.__version__,
        files={path: entry.truth for path, entry in sorted(tree.entries.items())},
        errors=tree.errors(),
        duplicates=tree.groups(),
        leaks=tree.leaks(),
        label_errors=dict(sorted(tree.label_errors.items())),
        issues={name: tuple(sorted(paths)) for name, paths in sorted(issues.items())},
        expected_flags=tree.expected_flags(),
        box_errors=boxes.errors,
        skipped=skipped,
    )
    (directory / TRUTH_NAME).write_text(truth.to_json(), encoding="utf-8")
    fix_times(directory)
    return truth


def _planted(seed: int, amounts: Amounts) -> Tree:
    planter = Planter.of(seed, amounts.per_class)
    planter.flaws(amounts.flaws)
    planter.layouts()
    planter.names()
    planter.mislabel(amounts.mislabeled)
    planter.bad_files(amounts.is_every_bad_file)
    copier = Copier(seed, planter.tree, planter.looks, planter.clean_tiles())
    copier.every_edit(amounts.copies)
    copier.pile()
    copier.leaks(amounts.leaks)
    copier.conflicts(amounts.conflicts)
    copier.orientations()
    return planter.tree


def _boxes(tree: Tree) -> Boxes:
    return annotate(
        [e for e in tree.entries.values() if e.photo == e.label == BOXED and not e.plants]
    )


def _credits() -> str:
    lines = [f"{photo.name}: {photo.package}/{photo.path}. {photo.credit}" for photo in PHOTOS]
    return "Every image here is cut from one of these photographs, and altered:\n\n" + (
        "\n".join(lines) + "\n"
    )


def _present(directory: Path, seed: int, size: Size) -> Truth:
    """The truth of the sample that is there already, if it is whole and the one asked for."""
    if not (directory / TRUTH_NAME).is_file():
        raise ConfigError(f"{directory} is not empty and holds no sample: name a new folder")
    truth = Truth.load(directory)
    if (truth.seed, truth.size) != (seed, size):
        raise ConfigError(
            f"{directory} holds the sample of seed {truth.seed}, size {truth.size}: "
            "ask for that one, delete it, or name another folder"
        )
    for name, known in truth.files.items():
        path = os.path.join(os.fsencode(directory), decode_path(name))  # noqa: PTH118 - bytes
        if not _is_whole(path, known):
            raise ConfigError(f"{name} in {directory} was changed: delete the folder and repeat")
    return truth


def _is_whole(path: bytes, known: FileTruth) -> bool:
    if known.sha256 is None:
        return os.path.islink(path)  # noqa: PTH114 - bytes
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - bytes
            return hashlib.file_digest(stream, "sha256").hexdigest() == known.sha256
    except OSError:
        return False
