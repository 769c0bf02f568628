"""YOLO: images/<split>/a.jpg beside labels/<split>/a.txt, class names and splits in data.yaml."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import yaml
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.geometry import clipped, corners_to_fractions
from cvdata.sinks.output import Output
from cvdata.sources.folder import split_name


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Yolo:
    """`class x y w h` as fractions of the image; boxes are clipped to it, as the format demands.

    An image of which no boxes are known has no text file, one without any an empty file.
    """

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        boxes=True, needs_boxes=True, needs_class=True, needs_size=True, apart=("split",)
    )

    def check(self, facts: Facts) -> None:
        """Nothing more is asked."""

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """The images and their text files."""
        for image in images:
            out.put(f"images/{facts.below(at.split, image.name)}", image.data)
            if image.boxes is not None:
                lines = list(_lines(image, facts))
                out.notes["boxes that lie outside their image"] += len(image.boxes) - len(lines)
                text = "".join(lines).encode()
                out.put(f"labels/{facts.below(at.split, image.stem)}.txt", text)
        yield from ()

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """data.yaml."""
        config: dict[str, Any] = {}
        for split, folder in facts.split_folders.items():
            if folder:
                known = split_name((split or "").encode("utf-8", "surrogateescape"))
                name = known if known and known not in config else folder
                config[name] = f"images/{folder}"
        config["names"] = dict(enumerate(facts.objects))
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        out.put("data.yaml", text.encode())
        return [
            'ultralytics.YOLO("yolo11n.pt").train(data="TARGET/data.yaml")',
            "cvdata ingest TARGET --workspace W --format yolo",
        ]


def _lines(image: Outgoing, facts: Facts) -> Iterator[str]:
    for box in image.boxes or ():
        inside = clipped(box["xyxy"], image.width, image.height)
        if inside is not None:
            values = corners_to_fractions(inside, image.width, image.height)
            numbers = " ".join(np.format_float_positional(value, trim="-") for value in values)
            yield f"{facts.object_numbers[box['label']]} {numbers}\n"
