"""Plain lists: one CSV, JSON Lines or text file that says where the images are; none is copied."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.geometry import neat
from cvdata.sinks.output import Output
from cvdata.sinks.text import boxes_json, compact, key_text

COLUMNS = ("uri", "label", "split", "id", "weight", "boxes", "mask", "labels", "extra")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Listing:
    """`images.jsonl`, `images.csv` or `images.txt`: a line an image, in the order of the uris.

    A path is written as it is; one with bytes that are no text as a `file://` URL. Images inside
    shards and Parquet files are no files of their own and cannot be listed.
    """

    kind: Annotated[Literal["jsonl", "csv", "txt"], Field(description="what to write")] = "jsonl"

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        label=True, mixed=True, boxes=True, masks=True, needs_bytes=False, needs_own_file=True
    )

    def check(self, facts: Facts) -> None:
        """Nothing more is asked."""

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """A line an image."""
        for image in images:
            values = _values(image)
            if self.kind == "jsonl":
                yield compact({k: v for k, v in values.items() if v is not None})
            elif self.kind == "csv":
                yield _csv([values[name] for name in COLUMNS])
            else:
                yield values["uri"]

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """The one file."""
        with out.stream(f"images.{self.kind}") as file:
            if self.kind == "csv":
                file.write(f"{_csv(COLUMNS)}\n".encode())
            for split in facts.split_folders:
                for line in lines(split):
                    file.write(f"{line}\n".encode("utf-8", "surrogateescape"))
        if self.kind == "txt":
            return ["a uri a line"]
        return [
            f"cvdata ingest TARGET/images.{self.kind} --workspace W "
            "--source-options roots=FOLDER_OF_THE_IMAGES --source-options boxes=boxes"
        ]


def _values(image: Outgoing) -> dict[str, Any]:
    labels = [{"label": label, "weight": neat(share)} for label, share in image.labels or ()]
    return {
        "uri": readable(image.record["uri"]),
        "label": image.label,
        "split": image.split,
        "id": key_text(image),
        "weight": neat(image.weight),
        "boxes": None if image.boxes is None else boxes_json(image),
        "mask": readable(mask) if (mask := image.record.get("mask_uri")) else None,
        "labels": labels or None,
        "extra": image.extra or None,
    }


def readable(uri: str) -> str:
    """A uri of records as a reader of lists takes it: escapes only behind `file://`."""
    return f"file://{uri}" if "%" in uri and "://" not in uri else uri


def _csv(values: Iterable[Any]) -> str:
    """One line, every cell quoted: a spreadsheet shall not take one for a formula or a date."""
    cells = ["" if v is None else v if isinstance(v, str | float) else compact(v) for v in values]
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="").writerow(cells)
    return out.getvalue()
