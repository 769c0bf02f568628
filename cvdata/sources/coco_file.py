"""One COCO annotation file: its images with their boxes, and what is malformed, by line."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cvdata.errors import ConfigError
from cvdata.sources.annotated import Annotated, entry_record, missing_record
from cvdata.sources.base import Problems
from cvdata.sources.folder import split_name
from cvdata.sources.json_items import BadJson, Item, json_items
from cvdata.sources.listing import Entry, display
from cvdata.sources.manifest import compact
from cvdata.sources.place import Place
from cvdata.sources.record import Record, storable

MAX_JSON_BYTES = 4 * 1024**3
_KEPT = ("iscrowd", "segmentation", "keypoints", "num_keypoints", "area")


@dataclass
class CocoFile:
    """One annotation file while it is read."""

    place: Place
    path: bytes
    files: dict[bytes, Entry]
    problems: Problems
    images_folder: str | None = None
    categories: dict[Any, str] = field(default_factory=dict)
    images: dict[Any, Annotated] = field(default_factory=dict)
    more: list[Annotated] = field(default_factory=list)
    extras: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    paths: set[bytes] = field(default_factory=set)

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
        self.problems.add(display(self.path), line, message)

    def _category(self, item: Item) -> None:
        value = item.value
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            self._note(item.line, "a category without a name")
        elif not _is_id(value.get("id")):
            self._note(item.line, "a category without an id")
        elif value["id"] in self.categories:
            self._note(item.line, f"category {value['id']} a second time")
        else:
            self.categories[value["id"]] = storable(value["name"])

    def _image(self, item: Item) -> None:
        value = item.value
        name = value.get("file_name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name or "\0" in name:
            self._note(item.line, "an image without a file_name")
            return
        record = self._locate(name, item.line)
        if record is None:
            return
        if record.key in self.paths:
            self._note(item.line, f"{name} a second time")
        self.paths.add(record.key)
        image = Annotated(record)
        record.split = split_of_file(self.path)
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
        if self.images_folder is not None:
            folder = self.images_folder.strip("/").encode()
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
            number = value.get("category_id")
            label = storable(str(number)) if _is_id(number) else None
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
