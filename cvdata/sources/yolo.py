"""YOLO: images/…/a.jpg beside labels/…/a.txt, names and splits in data.yaml or config.yaml."""

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from pathlib import PurePosixPath
from typing import Annotated as Doc
from typing import Any

import pyarrow as pa
import yaml
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sources.annotated import (
    MAX_TEXT_BYTES,
    Annotated,
    entry_record,
    header_of,
    report,
)
from cvdata.sources.base import Problems
from cvdata.sources.folder import is_image_name, split_name
from cvdata.sources.headers import Stored
from cvdata.sources.listing import Entry, display, stem
from cvdata.sources.place import Place
from cvdata.sources.record import storable, tables_of
from cvdata.sources.threads import ordered_map
from cvdata.sources.voc import to_float

CONFIG_NAMES = ("data.yaml", "data.yml", "config.yaml", "config.yml", "dataset.yaml")
_LARGEST = 1.01
"""Fractions are at most 1, and a little more where a tool rounded."""
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@plain_dataclass
class YoloConfig:
    """What the YAML file says: class names by number, and the folders or files of each split."""

    names: dict[int, str] = field(default_factory=dict)
    folders: list[tuple[bytes, str]] = field(default_factory=list)
    files: dict[bytes, str] = field(default_factory=dict)

    def split_of(self, path: bytes) -> str | None:
        """The split whose list or folder has `path`; else one that a folder's name says."""
        if path in self.files:
            return self.files[path]
        found = next((name for folder, name in self.folders if path.startswith(folder)), None)
        if found is None and not self.folders and not self.files:
            names = (split_name(part) for part in path.split(b"/")[:-1])
            found = next((name for name in names if name is not None), None)
        return found


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Yolo:
    """Images with one text file each: `class x y w h`, fractions of the oriented image.

    The key is the path of the image. The header of each labelled image is read for its size. An
    image without a text file has no boxes known (null), an empty file says that there are none.
    """

    place: Place
    source_name: str
    config: Doc[
        str | None, Field(description=f"the YAML file; default: the first of {CONFIG_NAMES}")
    ] = None
    split: Doc[str | None, Field(description="the split of every image")] = None
    problems: Problems = Field(default_factory=Problems, init=False)

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by uri."""
        config = self._config()
        images = self._images(config)
        read = ordered_map(
            lambda pair: self._read(pair, config), images, threads=self.place.threads, ahead=8
        )
        return tables_of(self.source_name, (report(self.problems, image) for image in read))

    def _images(self, config: YoloConfig) -> Iterator[tuple[Annotated, bytes | None]]:
        labels: set[bytes] = set()
        images: list[Entry] = []
        for entry in self.place.entries(_is_wanted):
            if entry.path.endswith(b".txt"):
                labels.add(entry.path)
            elif config.split_of(entry.path) or b"images" in entry.path.split(b"/")[:-1]:
                images.append(entry)
        if not images:
            raise ConfigError(f"{self.place.url}: no images below a folder called images")
        for entry in images:
            image = Annotated(entry_record(self.place, entry))
            image.record.split = self.split or config.split_of(entry.path)
            label = label_path(entry.path)
            yield image, label if label in labels else None
            labels.discard(label)
        for path in sorted(labels):
            if b"labels" in path.split(b"/")[:-1]:
                self.problems.add(display(path), 0, "no image of the same name")

    def _read(self, pair: tuple[Annotated, bytes | None], config: YoloConfig) -> Annotated:
        image, path = pair
        if path is None:
            return image
        try:
            text = self.place.read(path, MAX_TEXT_BYTES).decode()
        except (ValueError, FileNotFoundError, PermissionError) as error:
            image.note(path, 0, str(error))
            return image
        lines = [(n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        stored = header_of(self.place, image) if lines else None
        if lines and stored is None:
            return image
        image.record.boxes = []
        seen: set[tuple[str, ...]] = set()
        for number, words in lines:
            if stored is not None:
                problem = _take(image, (path, number), words, (config, stored))
                if problem is None and tuple(words) in seen:
                    problem = "the same line again"
                if problem is not None:
                    image.note(path, number, problem)
                seen.add(tuple(words))
        return image

    def _config(self) -> YoloConfig:
        for name in (self.config,) if self.config is not None else CONFIG_NAMES:
            path = name.encode()
            try:
                text = self.place.read(path, MAX_TEXT_BYTES)
            except FileNotFoundError:
                continue
            try:
                value = yaml.safe_load(text)
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                mark = getattr(error, "problem_mark", None)
                self.problems.add(name, mark.line + 1 if mark else 0, f"not YAML: {error}")
                return YoloConfig()
            return self._parsed(name, value)
        if self.config is not None:
            raise ConfigError(f"{self.place.url}: there is no {self.config}")
        return YoloConfig()

    def _parsed(self, name: str, value: Any) -> YoloConfig:
        if not isinstance(value, dict):
            self.problems.add(name, 0, "not a mapping of names and splits")
            return YoloConfig()
        config = YoloConfig(self._names(name, value.get("names")))
        base = value.get("path")
        for key, split in _SPLITS.items():
            written = value.get(key)
            for text in written if isinstance(written, list) else [written]:
                if isinstance(text, str):
                    path = _inside(storable(base) if isinstance(base, str) else "", storable(text))
                    self._add_split(config, name, split, path)
                elif text is not None:
                    self.problems.add(name, 0, f"{key} is not a path")
        config.folders.sort(key=lambda pair: -len(pair[0]))
        return config

    def _add_split(self, config: YoloConfig, name: str, split: str, path: str | None) -> None:
        if path is None:
            self.problems.add(name, 0, f"the path of {split} leads out of the folder")
        elif path.endswith(".txt"):
            try:
                listed = self.place.read(path.encode(), MAX_TEXT_BYTES).decode()
            except (FileNotFoundError, PermissionError, ValueError) as error:
                self.problems.add(name, 0, f"the list of {split}: {error}")
                return
            folder = str(PurePosixPath(path).parent)
            inside = (_inside(folder, line) for line in listed.splitlines() if line.strip())
            config.files |= {text.encode(): split for text in inside if text is not None}
        else:
            config.folders.append((path.encode() + b"/", split))

    def _names(self, name: str, value: Any) -> dict[int, str]:
        pairs = enumerate(value) if isinstance(value, list) else None
        if isinstance(value, dict) and all(isinstance(key, int) for key in value):
            pairs = value.items()  # type: ignore[assignment]
        if pairs is None:
            if value is not None:
                self.problems.add(name, 0, "names is neither a list nor a mapping from numbers")
            return {}
        names: dict[int, str] = {}
        for number, text in pairs:
            if isinstance(text, str | int | float):
                names[number] = storable(str(text))
            else:
                self.problems.add(name, 0, f"the name of class {number} is not text")
        return names


def _take(
    image: Annotated, place: tuple[bytes, int], words: list[str], known: tuple[YoloConfig, Stored]
) -> str | None:
    """Add the box, or the box around the polygon, of one line; else what is wrong with it."""
    config, stored = known
    if not (words[0].isascii() and words[0].isdigit()) or len(words[0]) > 9:
        return f"class {words[0]!r} is no number"
    number = int(words[0])
    found = [to_float(word) for word in words[1:]]
    values = [value for value in found if value is not None]
    if len(values) != len(found):
        return f"a number that is none, or not finite: {' '.join(words[1:])}"
    if len(values) == 4:
        x, y, w, h = values
        corners = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    elif len(values) >= 6 and len(values) % 2 == 0:
        corners = [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    else:
        return f"{len(words)} values: a class and four numbers, or a polygon, were expected"
    if max(map(abs, values)) > _LARGEST:
        return "not fractions of width and height"
    width, height = stored.oriented
    xyxy = [side * size for side, size in zip(corners, (width, height) * 2, strict=True)]
    label = config.names.get(number, str(number))
    image.keep({"label": label, "xyxy": xyxy}, *place)
    return f"unknown class {number}" if config.names and number not in config.names else None


def label_path(image: bytes) -> bytes:
    """Where the labels of an image are: the last folder called images is called labels there."""
    folders = image.split(b"/")
    for n in range(len(folders) - 2, -1, -1):
        if folders[n] == b"images":
            folders[n] = b"labels"
            break
    return stem(b"/".join(folders)) + b".txt"


def _inside(base: str, text: str) -> str | None:
    """A split's path below the root, or None.

    `path:` and leading `../` are often only true on the machine where the file was written: what
    remains below the root is taken.
    """
    for start in (base, ""):
        path = PurePosixPath(start) / text
        parts = [part for part in path.parts if part != "."]
        while parts and parts[0] == "..":
            parts = parts[1:]
        if parts and not path.is_absolute() and ".." not in parts:
            return "/".join(parts)
    return None


def _is_wanted(name: bytes) -> bool:
    return name.endswith(b".txt") or is_image_name(name)
