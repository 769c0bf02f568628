"""A folder of image files, at any depth."""

import re
from collections.abc import Iterator
from typing import Annotated

import pyarrow as pa
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ErrorCode
from cvdata.sources.base import Problems
from cvdata.sources.listing import Entry, display, extension, parts, stem
from cvdata.sources.place import Place
from cvdata.sources.record import Record, denied, tables_of

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
    roots: Annotated[
        tuple[str, ...], Field(description="other folders that links may lead into")
    ] = ()
    images: Annotated[
        str | None, Field(description="subfolder that holds the images; default: all")
    ] = None
    masks: Annotated[
        str | None, Field(description="subfolder that holds a mask of the same name per image")
    ] = None
    problems: Problems = Field(default_factory=Problems, init=False)

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by uri."""
        return tables_of(self.source_name, self._records())

    def _records(self) -> Iterator[Record]:
        masks = self._masks()
        mask_folder = _prefix(self.masks)
        image_folder = _prefix(self.images)
        for entry in self._entries():
            if not entry.path.startswith(image_folder):
                continue
            if mask_folder and entry.path.startswith(mask_folder):
                continue
            record = self._record(entry)
            if mask_folder and record.error is None:
                name = stem(entry.path[len(image_folder) :])
                record.mask_uri = masks.pop(name, None)
                if record.mask_uri is None:
                    self.problems.add(display(entry.path), 0, "no mask of the same name")
            yield record
        for name in sorted(masks):
            self.problems.add(masks[name], 0, "a mask without an image of the same name")

    def _entries(self) -> Iterator[Entry]:
        wanted = _any_name if self.all_files else is_image_name
        return self.place.entries(wanted, follow=self.follow_symlinks, roots=self.roots)

    def _record(self, entry: Entry) -> Record:
        path = entry.path
        record = Record(path, self.place.uri(path), entry.revision, entry.size_bytes)
        if entry.target is not None:
            record.uri = entry.target
        if self.label_from_folder and b"/" in path:
            record.label = display(path.rsplit(b"/", 2)[-2])
        record.split = self.split
        if record.split is None and self.split_from_folder and b"/" in path:
            record.split = split_name(parts(path)[0])
        if entry.error is None:
            return record
        if entry.error is ErrorCode.ACCESS_DENIED:
            self.problems.add(display(path), 0, entry.detail or "")
        record.size_bytes = None
        return denied(record, entry.error, entry.detail or "")

    def _masks(self) -> dict[bytes, str]:
        if self.masks is None:
            return {}
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
