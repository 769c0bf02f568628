"""ImageFolder: [split/]class/image, as torchvision, Keras and most tools read it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.output import Output


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ImageFolder:
    """One folder a class, below one folder a split. Every image needs one label."""

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(label=True, needs_label=True, apart=("split", "label"))

    def check(self, facts: Facts) -> None:
        """Nothing more is asked."""

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """Each image into the folder of its class."""
        for image in images:
            out.put(facts.below(at.split, facts.folders[image.label or ""], image.name), image.data)
        yield from ()

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """The folders say it all."""
        splits = [folder for folder in facts.split_folders.values() if folder]
        root = f"TARGET/{splits[0]}" if splits else "TARGET"
        return [
            f'torchvision.datasets.ImageFolder("{root}")',
            "cvdata ingest TARGET --workspace W --format folder --label-from-folder",
        ]
