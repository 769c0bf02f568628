"""COCO: JSON files with images, annotations and categories, and the images in folders."""

import re
from collections.abc import Iterator
from typing import Annotated as Doc

import pyarrow as pa
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sources.annotated import (
    Annotated,
    BoxesIn,
    report,
    turn_record,
)
from cvdata.sources.base import Names, Problems
from cvdata.sources.coco_file import CocoFile
from cvdata.sources.folder import is_image_name
from cvdata.sources.listing import Entry
from cvdata.sources.place import Place
from cvdata.sources.record import Record, tables_of, unique
from cvdata.sources.threads import ordered_map

_HEAD_BYTES = 64 * 1024
_SECTION = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Coco:
    """Images that COCO files name; the key is the path of the image.

    Holds the listing and one annotation file. The split is that in the name of the file
    (`instances_val2017.json`). What an annotation says beside its box (iscrowd, segmentation,
    keypoints, area) goes into extra, in the order of the boxes.
    """

    place: Place
    source_name: str
    annotations: Doc[
        Names, Field(description="the JSON files; default: every one that is COCO's")
    ] = ()
    images: Doc[
        str | None, Field(description="folder of the images; default: looked for by their names")
    ] = None
    split: Doc[str | None, Field(description="the split of every image")] = None
    boxes_in: Doc[
        BoxesIn, Field(description="pixels that boxes refer to: oriented, or stored (then turned)")
    ] = "oriented"
    problems: Problems = Field(default_factory=Problems, init=False)

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by uri."""
        place = Place(self.place.url, self.place.schemes)
        files: dict[bytes, Entry] = {}
        found: list[bytes] = []
        for entry in place.entries(_is_wanted):
            if entry.path.endswith(b".json"):
                found.append(entry.path)
            else:
                files[entry.path] = entry
        images: list[Annotated] = []
        for path in self._json_files(place, found):
            images += CocoFile(place, path, files, self.problems, self.images).read()
        for image in images if self.split is not None else ():
            image.record.split = self.split
        images.sort(key=lambda image: image.record.uri)
        turned = ordered_map(
            lambda image: self._turned(place, image), images, threads=place.threads, ahead=8
        )
        records = (report(self.problems, image) for image in turned)
        return tables_of(self.source_name, unique(_checked(records)))

    def _turned(self, place: Place, image: Annotated) -> Annotated:
        turn_record(place, image, self.boxes_in)
        return image

    def _json_files(self, place: Place, found: list[bytes]) -> list[bytes]:
        if self.place.file is not None:
            return [self.place.file]
        if self.annotations:
            return [name.encode() for name in self.annotations]
        files = [path for path in found if is_coco(place, path)]
        if not files:
            raise ConfigError(f"{self.place.url}: no JSON file with images and annotations here")
        # COCO's own folder describes each image thrice: instances, keypoints, captions
        instances = [path for path in files if path.rpartition(b"/")[2].startswith(b"instances")]
        return instances or files


def _checked(records: Iterator[Record]) -> Iterator[Record]:
    """Where several files name one image (instances, captions), one record with all boxes."""
    last: Record | None = None
    for record in records:
        if last is not None and last.uri == record.uri and _goes_into(record, last):
            continue
        if last is not None:
            yield last
        last = record
    if last is not None:
        yield last


def _goes_into(record: Record, last: Record) -> bool:
    if record.split != last.split or (record.boxes and last.boxes):
        return False  # another image of the same name: a duplicate key
    if record.boxes:
        last.boxes, last.extra = record.boxes, record.extra
    return True


def is_coco(place: Place, path: bytes) -> bool:
    """Whether a JSON file looks like COCO's: two of its three arrays are at its start or end."""
    with place.open(path) as file:
        head = file.read(_HEAD_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - _HEAD_BYTES))
        ends = head + file.read(_HEAD_BYTES)
        names = set(_SECTION.findall(ends))
        if b"images" in names or len(names) > 1 or size <= 2 * _HEAD_BYTES:
            return b"images" in names
        file.seek(0)
        while chunk := file.read(1024 * 1024):
            if b'"images"' in chunk:
                return bool(names)
    return False


def _is_wanted(name: bytes) -> bool:
    return name.endswith(b".json") or is_image_name(name)
