"""COCO: JSON files with images, annotations and categories, and the images in folders."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated as Doc
from typing import Any

import pyarrow as pa
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sources.annotated import (
    Annotated,
    BoxesIn,
    entry_record,
    missing_record,
    report,
    turn_record,
)
from cvdata.sources.base import Names, Problems
from cvdata.sources.folder import is_image_name, split_name
from cvdata.sources.json_items import BadJson, Item, json_items
from cvdata.sources.listing import Entry, display
from cvdata.sources.manifest import compact
from cvdata.sources.place import Place
from cvdata.sources.record import Record, tables_of, unique
from cvdata.sources.retry import ordered_map

MAX_JSON_BYTES = 4 * 1024**3
_KEPT = ("iscrowd", "segmentation", "keypoints", "num_keypoints", "area")
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
            images += _CocoFile(self, place, path, files).read()
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


@plain_dataclass
class _CocoFile:
    """One annotation file while it is read."""

    source: Coco
    place: Place
    path: bytes
    files: dict[bytes, Entry]
    categories: dict[Any, str] = field(default_factory=dict)
    images: dict[Any, Annotated] = field(default_factory=dict)
    more: list[Annotated] = field(default_factory=list)
    extras: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)

    def read(self) -> list[Annotated]:
        """The images that the file names."""
        annotations: list[Item] = []
        for item in self._items():
            if item.section == "annotations":
                annotations.append(item)  # images and categories may come behind them
            elif item.section == "categories":
                self._category(item)
            elif item.section == "images":
                self._image(item)
        seen: set[Any] = set()
        for item in annotations:
            self._annotation(item, seen)
        for image_id, image in self.images.items():
            kept = self.extras.get(image_id)
            extra = {"coco": {"image_id": image_id}}
            if kept:
                names = [name for name in _KEPT if any(name in one for one in kept)]
                extra["coco"] |= {name: [one.get(name) for one in kept] for name in names}
            image.record.extra = compact(extra)
        return [*self.images.values(), *self.more]

    def _items(self) -> Iterator[Item]:
        try:
            text = self.place.read(self.path, MAX_JSON_BYTES).decode("utf-8-sig")
        except FileNotFoundError as error:
            raise ConfigError(f"{self.place.url}: there is no {display(self.path)}") from error
        except ValueError as error:
            self._note(0, str(error))
            return
        try:
            yield from json_items(text)
        except BadJson as error:
            self._note(error.line, str(error))

    def _note(self, line: int, message: str) -> None:
        self.source.problems.add(display(self.path), line, message)

    def _category(self, item: Item) -> None:
        value = item.value
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            self._note(item.line, "a category without a name")
        elif not _is_id(value.get("id")):
            self._note(item.line, "a category without an id")
        elif value["id"] in self.categories:
            self._note(item.line, f"category {value['id']} a second time")
        else:
            self.categories[value["id"]] = value["name"]

    def _image(self, item: Item) -> None:
        value = item.value
        name = value.get("file_name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name or "\0" in name:
            self._note(item.line, "an image without a file_name")
            return
        record = self._locate(name, item.line)
        if record is None:
            return
        image = Annotated(record)
        record.split = self.source.split or split_of_file(self.path)
        image_id = value.get("id")
        if not _is_id(image_id) or image_id in self.images:
            what = f"a second time: {image_id}" if _is_id(image_id) else "is missing"
            self._note(item.line, f"the id of {name} {what}")
            self.more.append(image)
            return
        record.boxes = []
        self.images[image_id] = image

    def _locate(self, name: str, line: int) -> Record | None:
        """The record of a file by its name, looked for in the usual folders."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or not parts:
            self._note(line, f"{name} leads out of the folder")
            return None
        try:
            path = "/".join(parts).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            self._note(line, "a file_name that is no text")
            return None
        for folder in self._folders():
            entry = self.files.get(folder + path)
            if entry is not None:
                return entry_record(self.place, entry)
        self._note(line, f"{name} is not there")
        return missing_record(self.place, self._folders()[0] + path)

    def _folders(self) -> list[bytes]:
        if self.source.images is not None:
            folder = self.source.images.strip("/").encode()
            return [folder + b"/" if folder and folder != b"." else b""]
        own, _, name = self.path.rpartition(b"/")
        words = re.split(rb"[_.\-]", name)
        tokens = [word for word in words if split_name(word)]
        found = [t + b"/" for t in tokens] + [b"images/" + t + b"/" for t in tokens]
        return [*found, own + b"/" if own else b"", b"", b"images/"]

    def _annotation(self, item: Item, seen: set[Any]) -> None:
        value = item.value
        image = self.images.get(_hashable(value.get("image_id"))) if _is_dict(value) else None
        if image is None:
            self._note(item.line, "an annotation of an unknown image")
            return
        if _is_id(value.get("id")):
            if value["id"] in seen:
                self._note(item.line, f"annotation {value['id']} a second time")
            seen.add(value["id"])
        if "bbox" not in value and "caption" in value:
            return
        label = self.categories.get(_hashable(value.get("category_id")))
        if label is None:
            self._note(item.line, f"unknown category {json.dumps(value.get('category_id'))}")
            label = str(value["category_id"]) if _is_id(value.get("category_id")) else None
        xyxy = _corners(value.get("bbox"))
        if xyxy is None:
            self._note(item.line, "bbox is not four numbers")
        elif image.keep({"label": label, "xyxy": xyxy}, self.path, item.line):
            self.extras.setdefault(value["image_id"], []).append(value)


def split_of_file(path: bytes) -> str | None:
    """The split in the name of an annotation file: `instances_val2017.json` is val's."""
    words = re.split(rb"[_.\-/]", path)
    return next((split for word in reversed(words) if (split := split_name(word))), None)


def _corners(bbox: Any) -> list[float] | None:
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in bbox):
        return None
    try:
        x, y, width, height = map(float, bbox)
    except OverflowError:
        return None
    return [x, y, x + width, y + height]


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _hashable(value: Any) -> Any:
    return value if _is_id(value) else None


def _is_wanted(name: bytes) -> bool:
    return name.endswith(b".json") or is_image_name(name)
