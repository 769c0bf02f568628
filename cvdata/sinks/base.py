"""What a sink is: the images of a chunk -> files, and the files that speak of all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol, runtime_checkable

from cvdata.sinks.output import Output

Box = dict[str, Any]
"""`{"label": str | None, "xyxy": [x0, y0, x1, y1]}`, pixels of the oriented image."""

UNSPLIT = "unsplit"
"""Folder of images without a split, where others have one."""


@dataclass(slots=True)
class Outgoing:
    """One image on its way out.

    `stem` is its path without extension, safe and unique in the export; `width` and `height` are
    those after orientation, 0 where the sink did not ask for them. `boxes` are in pixels of these
    very `data`; None: nothing is known. `labels` are the (label, weight) pairs of a mixed image.
    """

    image_id: bytes
    stem: str
    extension: str
    data: bytes
    split: str | None = None
    label: str | None = None
    labels: list[tuple[str, float]] | None = None
    boxes: list[Box] | None = None
    mask: tuple[bytes, str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    weight: float = 1.0
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name with its extension."""
        return f"{self.stem}.{self.extension}"


@dataclass(frozen=True)
class Places:
    """What a format has a place for, and what it cannot do without.

    `needs_boxes`: it is for nothing else; `needs_class`: each box must have a class.
    `apart`: folders that keep names apart, so that one name may stand in each of them.
    `unsafe`: characters that names must not have here, besides those that no name has.
    """

    label: bool = False
    mixed: bool = False
    boxes: bool = False
    masks: bool = False
    needs_label: bool = False
    needs_boxes: bool = False
    needs_class: bool = False
    needs_size: bool = False
    needs_bytes: bool = True
    needs_own_file: bool = False
    apart: tuple[str, ...] = ()
    unsafe: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of the whole export before its first image is written.

    `labels` are the images' classes and `objects` those of boxes, in the order of their numbers;
    `folders` the folder of each label, `split_folders` that of each split ("" for all where no
    image has one); `n_chunks` by split.
    """

    labels: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    split_folders: Mapping[str | None, str] = field(default_factory=dict)
    n_chunks: Mapping[str | None, int] = field(default_factory=dict)
    has_boxes: bool = False
    has_masks: bool = False

    @cached_property
    def label_numbers(self) -> Mapping[str, int]:
        """The number of each label, from 0."""
        return {label: n for n, label in enumerate(self.labels)}

    @cached_property
    def object_numbers(self) -> Mapping[str, int]:
        """The number of each class of objects, from 0."""
        return {label: n for n, label in enumerate(self.objects)}

    def below(self, split: str | None, *parts: str) -> str:
        """A path in the folder of a split: `below("train", "a.jpg")` is `train/a.jpg`."""
        return "/".join(part for part in (self.split_folders[split], *parts) if part)


@dataclass(frozen=True)
class ChunkPlace:
    """Which chunk of a split this is, from 0."""

    split: str | None
    number: int


Lines = Callable[[str | None], Iterator[str]]
"""What `write` yielded for the chunks of a split, in order; may be asked for again and again."""


@runtime_checkable
class Sink(Protocol):
    """Where images go to. A frozen dataclass; its options are its fields.

    `write` runs in workers, once a chunk: it writes the files of these images, always the same
    for the same images, and yields lines of text for `assemble`, which runs once at the end and
    writes what speaks of all images, holding no more than a line.
    """

    version: ClassVar[int]
    places: ClassVar[Places]

    def check(self, facts: Facts) -> None:
        """Raise `ConfigError` where the whole cannot be held."""
        ...

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """Write the files of a chunk."""
        ...

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """Write the files of the whole; lines for the card's "how to read it"."""
        ...
