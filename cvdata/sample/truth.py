"""What was planted: the ground truth that lies beside the sample as truth.json."""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote_to_bytes

from cvdata.errors import ConfigError

SAMPLE_VERSION = 1
"""Moves whenever a file or a truth of the sample changes."""

TRUTH_NAME = "truth.json"


def encode_path(path: bytes) -> str:
    """A raw relative path as truth.json writes it: percent-encoded, with `/` kept."""
    return quote(path, safe="/")


def decode_path(path: str) -> bytes:
    """The raw relative path of an encoded one."""
    return unquote_to_bytes(path)


@dataclass(frozen=True)
class FileTruth:
    """One file.

    `label` and `split` are those of its folders; `base` is the file it was made from, None for
    a tile of its own; `plants` are the names of what was done to it; `photo` is the photograph
    and `box` (x0, y0, x1, y1) the cut. `flags` are the warnings its row must bear, `exif` the
    facts written into it. `sha256` is None for a symbolic link.
    """

    label: str
    split: str
    base: str | None
    plants: tuple[str, ...]
    photo: str | None
    box: tuple[int, int, int, int] | None
    size_bytes: int
    sha256: str | None
    flags: tuple[str, ...] = ()
    exif: dict[str, str | int | bool] | None = None


@dataclass(frozen=True)
class Copy:
    """A file that shows what the base of its group shows."""

    path: str
    edit: str
    is_cross_split: bool
    is_label_conflict: bool


@dataclass(frozen=True)
class Group:
    """A base and its copies."""

    base: str
    copies: tuple[Copy, ...]


@dataclass(frozen=True)
class Truth:
    """All that is known about a sample. Paths are relative and percent-encoded (`decode_path`).

    `issues` are the files in which an issue was planted. `expected_flags` are, for the issues
    that a definition decides exactly, all files that have it, planted or by the way. `errors` are
    the codes of the files that cannot be read. `leaks` are all pairs of a group that lie in
    different splits. `box_errors` are the images of boxes/coins.json by the flaw of a box.
    `skipped` are the names that this file system refused, with its reason.
    """

    seed: int
    size: str
    pillow: str
    files: dict[str, FileTruth]
    errors: dict[str, str]
    duplicates: tuple[Group, ...]
    leaks: tuple[tuple[str, str], ...]
    label_errors: dict[str, dict[str, str]]
    issues: dict[str, tuple[str, ...]]
    expected_flags: dict[str, tuple[str, ...]]
    box_errors: dict[str, tuple[str, ...]]
    skipped: dict[str, str] = field(default_factory=dict)

    VERSION: ClassVar[int] = SAMPLE_VERSION

    def to_json(self) -> str:
        """The document, sorted, one trailing newline."""
        document = {"version": self.VERSION, **asdict(self)}
        return json.dumps(document, indent=1, sort_keys=True) + "\n"

    @classmethod
    def load(cls, directory: Path) -> "Truth":
        """The truth of the sample in `directory`; raises `ConfigError` where there is none."""
        path = directory / TRUTH_NAME
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise ConfigError(f"{directory} holds no sample: it has no {TRUTH_NAME}") from None
        except ValueError as error:
            raise ConfigError(f"{path} cannot be read ({error}): delete {directory}") from None
        version = document.pop("version", None) if isinstance(document, dict) else None
        if version != cls.VERSION:
            raise ConfigError(
                f"{directory} holds version {version} of the sample and not {cls.VERSION}: "
                "delete it or name another folder"
            )
        return cls(**_typed(document))

    def path(self, directory: Path, name: str) -> Path:
        """The file of an encoded path, below `directory`."""
        return directory / os.fsdecode(decode_path(name))

    def table(self) -> list[tuple[str, int, str]]:
        """What was planted, how many, one line on each."""
        copies = Counter(_family(c.edit) for group in self.duplicates for c in group.copies)
        n_copies = sum(copies.values())
        rows = [("files", len(self.files), _count_by(f.split for f in self.files.values()))]
        labels = {f.label for f in self.files.values()}
        rows.append(("classes", len(labels), "the photograph that a tile was cut from"))
        rows.append(("copies", n_copies, ", ".join(f"{n} {e}" for e, n in copies.most_common())))
        rows.append(("leaks", len(self.leaks), "pairs of a group in different splits"))
        rows.append(("label errors", len(self.label_errors), "filed under another class"))
        rows += [(name, len(paths), _EXPLAINED[name]) for name, paths in self.issues.items()]
        rows += [(name, len(paths), _EXPLAINED[name]) for name, paths in self.box_errors.items()]
        codes = Counter(self.errors.values())
        what = ", ".join(f"{n} {code}" for code, n in sorted(codes.items()))
        return [*rows, ("unreadable", len(self.errors), what)]


_EXPLAINED = {
    "blurry": "Gaussian blur until no edge is left",
    "bordered": "a uniform frame of 12 to 25 % of each side",
    "clipped": "most pixels pure white or pure black",
    "corrupt": "empty, no image, or broken inside",
    "dark": "the brightest hundredth is below 0.32",
    "exif_rotated": "stored turned or mirrored, EXIF says how",
    "grayscale": "gray, whatever the mode says",
    "light": "the darkest twentieth is above 0.95",
    "low_information": "a flat colour, a gradient, a handful of colours",
    "mismatched_label": "filed under another class",
    "noisy": "Gaussian noise of 40 to 60 gray levels",
    "odd_aspect_ratio": "strips of 4 : 1 and more",
    "odd_size": "far smaller or larger than the rest",
    "overcompressed": "JPEG quality 4 to 12",
    "refused": "bombs, other formats, a link: not read on purpose",
    "truncated": "cut short",
    "wrong_extension": "the name says another format",
    "tiny_object": "a box of a few pixels in boxes/coins.json",
    "box_outside": "a box reaches over the edge",
    "box_empty": "a box without area",
    "box_duplicate": "an object boxed twice",
}


def _family(edit: str) -> str:
    return edit.split("_")[0]


def _count_by(words: Any) -> str:
    return ", ".join(f"{n} {word}" for word, n in sorted(Counter(words).items()))


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    """Lists of JSON as the tuples and dataclasses they were."""
    files = {name: FileTruth(**_tuples(entry)) for name, entry in document["files"].items()}
    groups = tuple(
        Group(group["base"], tuple(Copy(**copy) for copy in group["copies"]))
        for group in document["duplicates"]
    )
    leaks = tuple((a, b) for a, b in document["leaks"])
    listed = {name: _tuples(document[name]) for name in ("issues", "expected_flags", "box_errors")}
    return document | listed | {"files": files, "duplicates": groups, "leaks": leaks}


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
