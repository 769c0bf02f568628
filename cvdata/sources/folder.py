"""A folder of image files, at any depth."""

import re
from collections.abc import Iterator
from itertools import groupby, islice
from typing import Annotated, Any

import pyarrow as pa
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ErrorCode, printable
from cvdata.sources.base import TABLE_ROWS, Names, Problems
from cvdata.sources.listing import Entry, display, extension, stem
from cvdata.sources.ordering import sort_tables
from cvdata.sources.place import Place
from cvdata.sources.record import column_table

IMAGE_EXTENSIONS = frozenset(
    b"apng avif bmp dib gif heic heif ico j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx pbm pgm png "
    b"pnm ppm psd tga tif tiff webp".split()
)
"""Taken as images by their name; what they really are, the decoder finds out."""

_SPLIT = re.compile(r"^(train|val|test)(?:ing|idation|id)?(?:[-_]?\d+)?$")


def split_name(name: bytes) -> str | None:
    """`train`, `val` or `test` where a folder or file is called so (`valid`, `train2017`, …)."""
    text = name.decode("utf-8", "replace").lower()
    if text in ("dev", "validation", "valid"):
        return "val"
    match = _SPLIT.match(text)
    return match[1] if match else None


def is_image_name(name: bytes) -> bool:
    """Whether a file's name ends like an image's."""
    return extension(name) in IMAGE_EXTENSIONS


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Folder:
    """Every image file below a folder; the key is its relative path."""

    place: Place
    source_name: str
    label_from_folder: Annotated[
        bool, Field(description="the name of the folder that holds an image is its label")
    ] = False
    split_from_folder: Annotated[
        bool, Field(description="a top folder named train, val or test is the split")
    ] = True
    split: Annotated[str | None, Field(description="the split of every image")] = None
    all_files: Annotated[
        bool, Field(description="take every file, not only those named like images")
    ] = False
    follow_symlinks: Annotated[
        bool, Field(description="follow links that stay inside the folder or one of roots")
    ] = False
    roots: Annotated[Names, Field(description="other folders that links may lead into")] = ()
    images: Annotated[
        str | None, Field(description="subfolder that holds the images; default: all")
    ] = None
    masks: Annotated[
        str | None, Field(description="subfolder that holds a mask of the same name per image")
    ] = None
    problems: Problems = Field(default_factory=Problems, init=False)

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by uri."""
        if self.follow_symlinks:  # the uri of a link is where it leads
            return sort_tables(self._tables())
        return self._tables()

    def _tables(self) -> Iterator[pa.Table]:
        masks = self._masks()
        entries = self._entries()
        while chunk := list(islice(entries, TABLE_ROWS)):
            yield self._table(chunk, masks)
        for name in sorted(masks or ()):
            self.problems.add(display(name), 0, "a mask without an image of the same name")

    def _entries(self) -> Iterator[Entry]:
        wanted = _any_name if self.all_files else is_image_name
        entries = self.place.entries(wanted, follow=self.follow_symlinks, roots=self.roots)
        images, masks = _prefix(self.images), _prefix(self.masks)
        if not images and not masks:
            return entries
        return (
            entry
            for entry in entries
            if entry.path.startswith(images) and not (masks and entry.path.startswith(masks))
        )

    def _table(self, entries: list[Entry], masks: dict[bytes, str] | None) -> pa.Table:
        paths = [entry.path for entry in entries]
        columns: dict[str, Any] = {
            "key": paths,
            "uri": self.place.uris(paths),
            "revision": [entry.revision for entry in entries],
            "size_bytes": [entry.size_bytes for entry in entries],
        }
        labels, splits = self._folder_facts(paths)
        columns |= {"label": labels} if self.label_from_folder else {}
        columns |= {"split": splits} if self.split or self.split_from_folder else {}
        columns |= {"mask_uri": self._mask_uris(entries, masks)} if masks is not None else {}
        if any(entry.error or entry.target for entry in entries):
            columns |= self._exceptions(entries, columns["uri"])
        return column_table(self.source_name, columns)

    def _folder_facts(self, paths: list[bytes]) -> tuple[list[str | None], list[str | None]]:
        """Label and split of each path, worked out once for a run of files of one folder."""
        labels: list[str | None] = []
        splits: list[str | None] = []
        for folder, run in groupby(path.rpartition(b"/")[0] for path in paths):
            n = sum(1 for _ in run)
            top, _, _ = folder.partition(b"/")
            named = split_name(top) if self.split_from_folder else None
            label = display(folder.rpartition(b"/")[2])
            # train/1.jpg has a split and no label
            labels += [None if not label or (named and folder == top) else label] * n
            splits += [self.split or named] * n
        return labels, splits

    def _exceptions(self, entries: list[Entry], uris: pa.Array) -> dict[str, Any]:
        for entry in entries:
            if entry.error is ErrorCode.ACCESS_DENIED:
                self.problems.add(display(entry.path), 0, entry.detail or "")
        return {
            "uri": [e.target or uri for e, uri in zip(entries, uris.to_pylist(), strict=True)],
            "size_bytes": [None if entry.error else entry.size_bytes for entry in entries],
            "error": [entry.error and str(entry.error) for entry in entries],
            "error_detail": [entry.detail and printable(entry.detail) for entry in entries],
        }

    def _mask_uris(self, entries: list[Entry], masks: dict[bytes, str]) -> list[str | None]:
        start = len(_prefix(self.images))
        found = [masks.pop(stem(e.path[start:]), None) if not e.error else None for e in entries]
        for entry, mask in zip(entries, found, strict=True):
            if mask is None and not entry.error:
                self.problems.add(display(entry.path), 0, "no mask of the same name")
        return found

    def _masks(self) -> dict[bytes, str] | None:
        if self.masks is None:
            return None
        prefix = _prefix(self.masks)
        return {
            stem(entry.path[len(prefix) :]): self.place.uri(entry.path)
            for entry in self.place.entries(is_image_name)
            if entry.path.startswith(prefix) and entry.error is None
        }


def _prefix(folder: str | None) -> bytes:
    return folder.strip("/").encode() + b"/" if folder else b""


def _any_name(name: bytes) -> bool:
    return bool(name)
