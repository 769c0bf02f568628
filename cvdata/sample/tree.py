"""The files of a sample while it is made, and the truth that follows from them."""

import hashlib
import io
import math
import os
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from cvdata.errors import ErrorCode
from cvdata.sample.looks import THRESHOLDS, flags, odd_sizes
from cvdata.sample.truth import Copy, FileTruth, Group, encode_path

MTIME_NS = 1_704_067_200_000_000_000
"""Of every file and folder: 2024-01-01 UTC, so that two samples have the same revisions."""

_CORRUPT = {ErrorCode.CORRUPT, ErrorCode.EMPTY, ErrorCode.NOT_AN_IMAGE}

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """One file to write. `link` is a symbolic link's target, which then has no bytes.

    `pixels` are those that a reader must see where Pillow alone does not say: 16-bit, float, Lab.
    """

    split: str
    label: str
    name: bytes
    data: bytes = b""
    base: str | None = None
    plants: tuple[str, ...] = ()
    photo: str | None = None
    box: tuple[int, int, int, int] | None = None
    flags: tuple[str, ...] = ()
    exif: dict[str, str | int | bool] | None = None
    error: ErrorCode | None = None
    link: bytes | None = None
    pixels: Pixels | None = None

    @property
    def raw_path(self) -> bytes:
        """`split/label/name`."""
        return b"/".join((self.split.encode(), self.label.encode(), self.name))

    @property
    def path(self) -> str:
        """The same, percent-encoded."""
        return encode_path(self.raw_path)

    @property
    def truth(self) -> FileTruth:
        """What truth.json says of it."""
        return FileTruth(
            label=self.label,
            split=self.split,
            base=self.base,
            plants=self.plants,
            photo=self.photo,
            box=self.box,
            size_bytes=len(self.data),
            sha256=hashlib.sha256(self.data).hexdigest() if self.link is None else None,
            flags=self.flags,
            exif=self.exif,
        )

    def decoded(self) -> Pixels:
        """(H, W, 3) uint8: oriented, first frame, alpha on white."""
        if self.pixels is not None:
            return self.pixels
        with Image.open(io.BytesIO(self.data)) as opened:
            image: Image.Image = opened
            if self.exif is not None:
                image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.asarray(image.convert("RGB"))


@dataclass
class Tree:
    """Entries by encoded path, and what was planted in them."""

    entries: dict[str, Entry] = field(default_factory=dict)
    issues: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    label_errors: dict[str, dict[str, str]] = field(default_factory=dict)
    copies: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, entry: Entry) -> str:
        """Put a file into the tree, once; its encoded path."""
        if entry.path in self.entries:
            raise ValueError(f"{entry.path} is planted twice")
        self.entries[entry.path] = entry
        return entry.path

    def add_copy(self, base: str, edit: str, entry: Entry) -> str:
        """Put a file into the tree and into its base's group."""
        path = self.add(entry)
        self.copies[base].append((path, edit))
        return path

    def mislabel(self, path: str, true: str) -> None:
        """Note that a file lies under another class than its own."""
        self.label_errors[path] = {"given": self.entries[path].label, "true": true}
        self.issues["mismatched_label"].append(path)

    def groups(self) -> tuple[Group, ...]:
        """The bases with their copies, sorted."""
        return tuple(
            Group(base, tuple(self._copy(base, *copy) for copy in sorted(copies)))
            for base, copies in sorted(self.copies.items())
        )

    def _copy(self, base: str, path: str, edit: str) -> Copy:
        one, other = self.entries[base], self.entries[path]
        return Copy(path, edit, one.split != other.split, one.label != other.label)

    def leaks(self) -> tuple[tuple[str, str], ...]:
        """All pairs within a group whose splits differ, each sorted."""
        pairs = []
        for base, copies in self.copies.items():
            members = sorted([base, *(path for path, _ in copies)])
            pairs += [
                (a, b)
                for a, b in combinations(members, 2)
                if self.entries[a].split != self.entries[b].split
            ]
        return tuple(sorted(pairs))

    def errors(self) -> dict[str, str]:
        """The code of every file that cannot be read."""
        found = {path: entry.error for path, entry in self.entries.items()}
        return {path: str(code) for path, code in sorted(found.items()) if code is not None}

    def error_issues(self) -> dict[str, list[str]]:
        """The same as the issues that follow from a code."""
        found: dict[str, list[str]] = {"corrupt": [], "truncated": [], "refused": []}
        for path, code in self.errors().items():
            is_corrupt, is_cut = code in _CORRUPT, code == ErrorCode.TRUNCATED
            found["corrupt" if is_corrupt else "truncated" if is_cut else "refused"].append(path)
        return found

    def expected_flags(self) -> dict[str, tuple[str, ...]]:
        """Every file that has an issue by its definition, planted or by the way."""
        found: dict[str, list[str]] = {name: [] for name in (*THRESHOLDS, "grayscale")}
        sides: dict[str, float] = {}
        for path, entry in sorted(self.entries.items()):
            if entry.error is None:
                pixels = entry.decoded()
                sides[path] = math.sqrt(pixels.shape[0] * pixels.shape[1])
                for name in flags(pixels):
                    found[name].append(path)
        is_odd = odd_sizes(np.array(list(sides.values())))
        found["odd_size"] = [path for path, odd in zip(sides, is_odd, strict=True) if odd]
        found |= {name: self.issues[name] for name in ("exif_rotated", "wrong_extension")}
        found |= self.error_issues()
        return {name: tuple(sorted(paths)) for name, paths in sorted(found.items())}

    def write(self, directory: Path) -> dict[str, str]:
        """Write all files; the encoded paths that the file system refused, with its reason."""
        skipped = {}
        for path, entry in self.entries.items():
            target = os.path.join(os.fsencode(directory), entry.raw_path)  # noqa: PTH118 - bytes
            Path(os.fsdecode(target)).parent.mkdir(parents=True, exist_ok=True)
            try:
                _write(target, entry)
            except OSError as error:
                if entry.name.isascii() and len(entry.name) < 200:
                    raise
                skipped[path] = os.strerror(error.errno or 0)
        for path in skipped:
            del self.entries[path]
        return skipped


def _write(target: bytes, entry: Entry) -> None:
    if entry.link is not None:
        os.symlink(entry.link, target)  # noqa: PTH211 - bytes
        return
    with open(target, "xb") as stream:  # noqa: PTH123 - bytes
        stream.write(entry.data)


def fix_times(directory: Path) -> None:
    """Give every file and folder below, and the folder itself, the same time."""
    for folder, _, names in os.walk(os.fsencode(directory), topdown=False):
        for name in [*names, b""]:
            target = os.path.join(folder, name) if name else folder  # noqa: PTH118 - bytes
            os.utime(target, ns=(MTIME_NS, MTIME_NS), follow_symlinks=False)
