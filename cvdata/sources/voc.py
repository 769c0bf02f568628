"""Pascal VOC: Annotations/*.xml beside JPEGImages/*, splits in ImageSets/Main/*.txt."""

import math
from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from io import BytesIO
from typing import Annotated as Doc
from typing import Any
from xml.sax import SAXException
from xml.sax.handler import ContentHandler

import pyarrow as pa
from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sources.annotated import (
    MAX_TEXT_BYTES,
    Annotated,
    BoxesIn,
    entry_record,
    missing_record,
    report,
    turn_record,
)
from cvdata.sources.base import Problems
from cvdata.sources.folder import is_image_name
from cvdata.sources.listing import Entry, display, extension, stem
from cvdata.sources.manifest import compact
from cvdata.sources.place import Place
from cvdata.sources.record import tables_of
from cvdata.sources.threads import ordered_map

_FLAGS = ("difficult", "truncated", "occluded", "pose")


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Voc:
    """Images with one XML file each; the key is the path of the image.

    Holds the listing. Boxes are taken as written: `one_based` for data that count pixels from 1
    to the last one, as the original VOC does. A box's flags go into extra.
    """

    place: Place
    source_name: str
    images: Doc[str, Field(description="folder of the images")] = "JPEGImages"
    annotations: Doc[str, Field(description="folder of the XML files")] = "Annotations"
    sets: Doc[str, Field(description="folder of the lists of splits")] = "ImageSets/Main"
    masks: Doc[str, Field(description="folder of masks named as their images")] = (
        "SegmentationClass"
    )
    split: Doc[str | None, Field(description="the split of every image")] = None
    boxes_in: Doc[
        BoxesIn, Field(description="pixels that boxes refer to: oriented, or stored (then turned)")
    ] = "oriented"
    one_based: Doc[
        bool,
        Field(description="pixels count from 1 and xmax is inside: minima lose 1"),
    ] = False
    problems: Problems = Field(default_factory=Problems, init=False)

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by uri."""
        return tables_of(
            self.source_name,
            (
                report(self.problems, image)
                for image in ordered_map(
                    self._read, self._images(), threads=self.place.threads, ahead=8
                )
            ),
        )

    def _images(self) -> Iterator[tuple[Annotated, bytes | None]]:
        """Each image with the path of its annotation, sorted; also those that are not there."""
        entries: dict[bytes, Entry] = {}
        xmls: dict[bytes, bytes] = {}
        masks: dict[bytes, str] = {}
        images, annotations = _prefix(self.images), _prefix(self.annotations)
        beside = _prefix(self.masks)
        for entry in self.place.entries(_is_wanted):
            if entry.path.startswith(images) and extension(entry.path) != b"xml":
                entries[entry.path] = entry
            elif entry.path.startswith(annotations):
                xmls[stem(entry.path[len(annotations) :])] = entry.path
            elif entry.path.startswith(beside) and entry.error is None:
                masks[stem(entry.path[len(beside) :])] = self.place.uri(entry.path)
        if not entries and not xmls:
            raise ConfigError(f"{self.place.url}: no {self.images}/ or {self.annotations}/ here")
        splits = self._splits()
        found = {path: xmls.pop(stem(path[len(images) :]), None) for path in entries}
        found |= {images + name + b".jpg": xml for name, xml in xmls.items()}
        for path in sorted(found, key=self.place.uri):
            if path in entries:
                image = Annotated(entry_record(self.place, entries[path]))
            else:
                image = Annotated(missing_record(self.place, path))
                image.note(found[path] or b"", 0, f"{display(path)} is not there")
            name = stem(path[len(images) :])
            image.record.split = self.split or splits.get(name)
            image.record.mask_uri = masks.get(name)
            yield image, found[path]

    def _splits(self) -> dict[bytes, str]:
        splits: dict[bytes, str] = {}
        for name in ("train", "val", "test"):
            path = _prefix(self.sets) + name.encode() + b".txt"
            try:
                text = self.place.read(path, MAX_TEXT_BYTES * 16)
            except FileNotFoundError:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                words = line.split()
                if not words:
                    continue
                if splits.setdefault(words[0], name) != name:
                    message = f"{display(words[0])} is in {splits[words[0]]} already"
                    self.problems.add(display(path), number, message)
        return splits

    def _read(self, pair: tuple[Annotated, bytes | None]) -> Annotated:
        image, path = pair
        if path is None:
            image.note(image.record.key, 0, "no annotation of the same name")
            return image
        try:
            root = parse_xml(self.place.read(path, MAX_TEXT_BYTES))
        except BadXml as error:
            image.note(path, error.line, str(error))
            return image
        except (ValueError, FileNotFoundError, PermissionError) as error:
            image.note(path, 0, str(error))
            return image
        self._take(image, path, root)
        turn_record(self.place, image, self.boxes_in)
        return image

    def _take(self, image: Annotated, path: bytes, root: "Element") -> None:
        if root.tag != "annotation":
            image.note(path, root.line, f"not a VOC annotation but <{root.tag}>")
            return
        image.record.boxes = []
        objects = [item for item in root.children if item.tag == "object"]
        flags = [
            {name: item.text_of(name) for name in _FLAGS if item.find(name)}
            for item in objects
            if self._take_object(image, path, item)
        ]
        if any(flags):
            image.record.extra = compact({"objects": flags})

    def _take_object(self, image: Annotated, path: bytes, item: "Element") -> bool:
        name = item.text_of("name")
        if not name:
            image.note(path, item.line, "an object without a name")
            return False
        box = item.find("bndbox")
        if box is None:
            image.note(path, item.line, f"object {name!r} without a bndbox")
            return False
        xyxy: list[float] = []
        for side in ("xmin", "ymin", "xmax", "ymax"):
            number = to_float(box.text_of(side))
            if number is None:
                line = (box.find(side) or box).line
                image.note(path, line, f"{side} of {name!r} is no number: {box.text_of(side)!r}")
                return False
            xyxy.append(number - (self.one_based and side.endswith("min")))
        return image.keep({"label": name, "xyxy": xyxy}, path, box.line)


def to_float(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _is_wanted(name: bytes) -> bool:
    return extension(name) == b"xml" or is_image_name(name)


def _prefix(folder: str) -> bytes:
    return folder.strip("/").encode() + b"/"


@plain_dataclass
class Element:
    """An XML element and the line it starts on."""

    tag: str
    line: int
    text: str = ""
    children: "list[Element]" = field(default_factory=list)

    def find(self, tag: str) -> "Element | None":
        """The first child of this name."""
        return next((child for child in self.children if child.tag == tag), None)

    def text_of(self, tag: str) -> str:
        """The text of the first child of this name, stripped; "" where there is none."""
        child = self.find(tag)
        return "" if child is None else child.text.strip()


class BadXml(ValueError):
    """Not XML that may be read; `line` is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


_MAX_DEPTH = 64


class _Builder(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.locator: Any = None
        self.stack: list[Element] = [Element("", 0)]

    def setDocumentLocator(self, locator: Any) -> None:  # noqa: N802  SAX's name
        self.locator = locator

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802  SAX's name
        element = Element(name, self.locator.getLineNumber())
        if len(self.stack) > _MAX_DEPTH:
            raise BadXml(f"more than {_MAX_DEPTH} elements inside each other", element.line)
        self.stack[-1].children.append(element)
        self.stack.append(element)

    def endElement(self, name: str) -> None:  # noqa: N802  SAX's name
        self.stack.pop()

    def characters(self, content: str) -> None:
        self.stack[-1].text += content


def parse_xml(data: bytes) -> Element:
    """The root element; `BadXml` where it is malformed, or has entities or external parts."""
    builder = _Builder()
    parser = DefusedExpatParser(forbid_dtd=False, forbid_entities=True, forbid_external=True)
    parser.setContentHandler(builder)
    try:
        parser.parse(BytesIO(data))
    except DefusedXmlException as error:
        raise BadXml(f"refused: {error}", parser.getLineNumber() or 0) from error
    except LookupError as error:  # an encoding that nobody knows
        raise BadXml(f"not XML that can be read: {error}", 1) from error
    except SAXException as error:
        line = getattr(error, "getLineNumber", parser.getLineNumber)() or 0
        raise BadXml(f"not XML: {error.getMessage()}", line) from error
    return builder.stack[0].children[0]
