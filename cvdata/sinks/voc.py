"""Pascal VOC: JPEGImages/, Annotations/*.xml, ImageSets/Main/<split>.txt, SegmentationClass/."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar
from xml.sax.saxutils import escape

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.geometry import neat, number
from cvdata.sinks.output import Output

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FLAGS = ("pose", "truncated", "difficult", "occluded")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Voc:
    """One XML file an image; flags of `extra` come along, masks lie in SegmentationClass/."""

    one_based: Annotated[
        bool, Field(description="pixels count from 1 and xmax is inside, as the VOC devkit does")
    ] = False
    whole_pixels: Annotated[
        bool, Field(description="round corners to whole pixels: some readers take no fractions")
    ] = False

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        boxes=True,
        masks=True,
        needs_boxes=True,
        needs_class=True,
        needs_size=True,
        unsafe=" \u00a0",
    )

    def check(self, facts: Facts) -> None:
        """Class names must be such that XML can hold them."""
        for label in facts.objects:
            if _NOT_XML.search(label) or label != label.strip() or not label:
                raise ConfigError(
                    f"class {label!r} cannot be written as XML; rename it in the source, or choose "
                    "another --format"
                )

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """Images, XML files and masks; of each image a line with its name."""
        for image in images:
            out.put(f"JPEGImages/{image.name}", image.data)
            out.put(f"Annotations/{image.stem}.xml", self._xml(image).encode())
            if image.mask is not None:
                data, kind = image.mask
                out.put(f"SegmentationClass/{image.stem}.{kind}", data)
            yield image.stem

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """The list of each split."""
        for split, folder in facts.split_folders.items():
            if folder:
                with out.stream(f"ImageSets/Main/{folder}.txt") as file:
                    for stem in lines(split):
                        file.write(f"{stem}\n".encode())
        counted = " --source-options one_based=true" if self.one_based else ""
        return [f"cvdata ingest TARGET --workspace W --format voc{counted}"]

    def _xml(self, image: Outgoing) -> str:
        objects = image.extra.get("objects")
        boxes = image.boxes or []
        flags: list[Any] = objects if isinstance(objects, list) else []
        if len(flags) != len(boxes):
            flags = [{}] * len(boxes)
        lines = [
            "<annotation>",
            f"  <filename>{escape(image.name)}</filename>",
            f"  <size><width>{image.width}</width><height>{image.height}</height>"
            "<depth>3</depth></size>",
            f"  <segmented>{int(image.mask is not None)}</segmented>",
        ]
        for box, known in zip(boxes, flags, strict=True):
            lines += self._object(box, known if isinstance(known, dict) else {})
        return "\n".join([*lines, "</annotation>", ""])

    def _object(self, box: dict[str, Any], known: dict[str, Any]) -> list[str]:
        corners = []
        for side, value in zip(_SIDES, box["xyxy"], strict=True):
            shown = round(value) if self.whole_pixels else number(neat(value))
            corners.append(shown + 1 if self.one_based and side.endswith("min") else shown)
        inner = "".join(f"<{s}>{v!r}</{s}>" for s, v in zip(_SIDES, corners, strict=True))
        flags = "".join(
            f"<{name}>{escape(_NOT_XML.sub('', str(known[name])))}</{name}>"
            for name in _FLAGS
            if known.get(name) not in (None, "")
        )
        return [
            "  <object>",
            f"    <name>{escape(box['label'])}</name>{flags}",
            f"    <bndbox>{inner}</bndbox>",
            "  </object>",
        ]
