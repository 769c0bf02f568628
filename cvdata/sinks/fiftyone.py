"""Folders that FiftyOne imports: FiftyOneImageClassificationDataset or …DetectionDataset."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.output import Output
from cvdata.sinks.text import compact


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FiftyOne:
    """[split/]data/ with the images and [split/]labels.json with a label or the boxes of each.

    FiftyOne holds boxes as fractions of the image: x, y of the top left corner, width, height.
    """

    task: Annotated[
        Literal["auto", "classify", "detect"],
        Field(description="labels of images or boxes; auto: boxes where any image has some"),
    ] = "auto"

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        label=True, boxes=True, needs_class=True, needs_size=True, apart=("split",)
    )

    def check(self, facts: Facts) -> None:
        """There must be what the task asks for."""
        if self.task == "detect" and not facts.has_boxes:
            raise ConfigError("no image has boxes; export with --sink-options task=classify")
        if not facts.has_boxes and not facts.labels:
            raise ConfigError("no image has a label or boxes: nothing for FiftyOne's labels.json")

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """The images; of each its line of labels.json."""
        for image in images:
            out.put(facts.below(at.split, "data", image.name), image.data)
            target = self._target(facts, image)
            yield f"{json.dumps(image.stem)}:{'null' if target is None else compact(target)}"

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """One labels.json a split, a line at a time."""
        classes = facts.objects if self._is_detection(facts) else facts.labels
        for split in facts.split_folders:
            with out.stream(facts.below(split, "labels.json")) as file:
                file.write(b'{"classes":' + compact(list(classes)).encode() + b',"labels":{')
                before = b"\n"
                for line in lines(split):
                    file.write(before + line.encode())
                    before = b",\n"
                file.write(b"\n}}\n")
        kind = "Detection" if self._is_detection(facts) else "Classification"
        where = next(iter(facts.split_folders.values()), "")
        return [
            f'fiftyone.Dataset.from_dir(dataset_dir="TARGET{"/" * bool(where)}{where}", '
            f"dataset_type=fiftyone.types.FiftyOneImage{kind}Dataset)"
        ]

    def _is_detection(self, facts: Facts) -> bool:
        return self.task == "detect" or (self.task == "auto" and facts.has_boxes)

    def _target(self, facts: Facts, image: Outgoing) -> Any:
        if not self._is_detection(facts):
            return None if image.label is None else facts.label_numbers[image.label]
        if image.boxes is None:
            return None
        return [
            {
                "label": facts.object_numbers[box["label"]],
                "bounding_box": _fractions(box["xyxy"], image.width, image.height),
            }
            for box in image.boxes
        ]


def _fractions(xyxy: Sequence[float], width: int, height: int) -> list[float]:
    x0, y0, x1, y1 = xyxy
    return [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
