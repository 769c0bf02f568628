"""Images side by side because they are alike: how such sets are named, captioned and cut."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from cvdata.report.display import name, number, share
from cvdata.report.inputs import ReportInput
from cvdata.report.thumbnail import Picture

CHAPTER = "Copies"

SHOWN = 20
"""Sets in one gallery."""

TILES = 12
"""Images of one set, the note of what is left out among them."""

COLUMNS = 6
"""Columns of the widest page: a set is at most as wide."""

NAME_LIMIT = 1000
"""Characters of a key in a CSV."""


@dataclass(frozen=True)
class Method:
    """What to call a way of being alike, and what it compares."""

    title: str
    doc: str


METHODS: Mapping[str, Method] = {
    "exact_sha256": Method("Same file", "every byte is equal"),
    "exact_pixels": Method("Same pixels", "decoded, every pixel is equal"),
    "perceptual": Method("Same look", "perceptual hashes differ in few bits"),
    "dihedral": Method("Turned or mirrored", "the same look after a quarter turn or a reflection"),
    "semantic": Method("Same content", "a model's embeddings point the same way"),
    "any": Method("All together", "a pair by any method"),
}
"""The plainest first: a pair is told by the first method that finds it."""


@dataclass(frozen=True)
class Shown:
    """One image: `fact` is the line that matters, where `is_marked` in the accent colour."""

    key: str
    picture: Picture | None
    fact: str
    is_marked: bool = False


@dataclass(frozen=True)
class ImageSet:
    """Images side by side under a line that says why; `more` of them are not shown."""

    title: str
    images: tuple[Shown, ...]
    more: int = 0

    @property
    def columns(self) -> int:
        """How wide it lies, of `COLUMNS`."""
        return min(max(len(self.images) + (self.more > 0), 1), COLUMNS)


def alike(method: str, distance: float) -> str:
    """How two images are alike, in few words: `2 bits apart`, `cosine 0.94`."""
    bits = f"{number(distance)} {'bit' if distance == 1 else 'bits'} apart"
    told = {
        "exact_sha256": "same file",
        "exact_pixels": "same pixels",
        "perceptual": bits if distance else "same hash",
        "dihedral": f"turned or mirrored, {bits}" if distance else "turned or mirrored",
        "semantic": f"cosine {1 - distance:.3f}",
        "any": f"{share(distance, 1)} of the radius",
    }
    return told.get(method) or f"{name(method, 40)} {number(distance)}"


def names_of(data: ReportInput) -> dict[bytes, str]:
    """What each image at hand is called."""
    ids, keys = (data.records[column].to_pylist() for column in ("image_id", "key"))
    return {i: name(key, NAME_LIMIT) for i, key in zip(ids, keys, strict=True)}


def sets_of(rows: pa.Table, *columns: str) -> list[list[dict[str, Any]]]:
    """Rows that follow one another with equal `columns`, as sets."""
    grouped = groupby(rows.to_pylist(), key=lambda row: tuple(row[c] for c in columns))
    return [list(members) for _, members in grouped]


def fitting(size: int, at_hand: int) -> tuple[int, int]:
    """(images shown, images left out) of a set: what is left out takes the last tile."""
    shown = min(at_hand, TILES if size <= TILES else TILES - 1)
    return shown, size - shown


def without_picture(sets: Iterable[ImageSet]) -> int:
    """Images shown by name only."""
    return sum(one.picture is None for some in sets for one in some.images)
