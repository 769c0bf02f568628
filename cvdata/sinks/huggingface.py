"""A folder that Hugging Face `datasets.load_dataset` reads: Parquet, or image files."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError
from cvdata.schema import BOX
from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.geometry import corners_to_size
from cvdata.sinks.output import Output
from cvdata.sinks.parquet import write_rows
from cvdata.sinks.text import compact, key_text

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_OBJECTS = pa.struct(
    [
        ("area", pa.list_(pa.float32())),
        ("bbox", pa.list_(pa.list_(pa.float32(), 4))),
        ("category", pa.list_(pa.int64())),
        ("id", pa.list_(pa.int64())),
    ]
)
"""In the order of the names, as the features' JSON has them: `datasets` compares the two."""
METADATA_ROWS = 8192
"""Rows of `metadata.parquet` in memory, and in a row group."""
_SPLIT = re.compile(r"\w+(\.\w+)*", re.ASCII)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class HuggingFace:
    """`data/train-00000-of-00012.parquet`, …, and the README's header names splits and features.

    `label` and the category of `objects` are ClassLabels; `objects` is as transformers' detection
    scripts take it (bbox: x, y, width, height), `boxes` as cvdata reads it back. With the layout
    `imagefolder`: `data/<split>/images/`, `masks/`, and the same columns in `metadata.parquet`.
    """

    layout: Annotated[
        Literal["parquet", "imagefolder"],
        Field(description="Parquet with the bytes, or image files beside metadata.parquet"),
    ] = "parquet"
    row_group_bytes: Annotated[
        int, Field(ge=1, description="image bytes in a row group: what a reader holds at once")
    ] = 32 * 1024 * 1024

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        label=True, mixed=True, boxes=True, masks=True, apart=("split",)
    )

    def check(self, facts: Facts) -> None:
        """A split's name must be one that `datasets` takes."""
        for split in facts.split_folders:
            if split is not None and not _SPLIT.fullmatch(split):
                raise ConfigError(
                    f"split {split!r} is no name of a split for `datasets` (letters, digits, _); "
                    "rename it in the source"
                )

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """One file; or the images and masks, and of each a line of metadata."""
        if self.layout == "imagefolder":
            yield from _write_files(facts, at, images, out)
            return
        columns = _columns(facts)
        name = facts.split_folders[at.split] or "train"
        n = facts.n_chunks[at.split]
        with out.stream(f"data/{name}-{at.number:05d}-of-{n:05d}.parquet") as file:
            rows = (_row(image, facts, columns) for image in images)
            write_rows(file, _schema(columns), rows, self.row_group_bytes)

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """The metadata of each split; the README's header is `front_matter`."""
        if self.layout == "imagefolder":
            schema = _schema(_file_columns(facts))
            for split, folder in facts.split_folders.items():
                with (
                    out.stream(f"data/{folder or 'train'}/metadata.parquet") as file,
                    pq.ParquetWriter(file, schema, compression="zstd") as writer,
                ):
                    rows = map(json.loads, lines(split))
                    while some := list(islice(rows, METADATA_ROWS)):
                        writer.write_table(pa.Table.from_pylist(some, schema))
            return ['datasets.load_dataset("TARGET")']
        return [
            'datasets.load_dataset("TARGET")',
            "cvdata ingest TARGET --workspace W --format parquet "
            "--source-options id=image_id --source-options boxes=boxes",
        ]

    def front_matter(self, facts: Facts) -> dict[str, Any]:
        """What `datasets` reads at the top of the README: which files are which split."""
        pattern = "-*.parquet" if self.layout == "parquet" else "/**"
        files = [
            {"split": folder or "train", "path": f"data/{folder or 'train'}{pattern}"}
            for folder in facts.split_folders.values()
        ]
        return {"configs": [{"config_name": "default", "data_files": files}]}


def _columns(facts: Facts) -> dict[str, tuple[pa.DataType, Any]]:
    """Arrow type and feature of each column."""
    string = {"dtype": "string", "_type": "Value"}
    columns: dict[str, tuple[pa.DataType, Any]] = {
        "image": (_IMAGE, {"_type": "Image"}),
        "image_id": (pa.string(), string),
        "key": (pa.string(), string),
        "split": (pa.string(), string),
    }
    if facts.labels:
        columns["label"] = pa.int64(), {"names": list(facts.labels), "_type": "ClassLabel"}
    if facts.has_boxes:
        columns |= _box_columns(facts)
    if facts.has_masks:
        columns["mask"] = _IMAGE, {"_type": "Image"}
    columns["weight"] = pa.float32(), {"dtype": "float32", "_type": "Value"}
    columns["extra"] = pa.string(), string
    return columns


def _box_columns(facts: Facts) -> dict[str, tuple[pa.DataType, Any]]:
    number = {"dtype": "float32", "_type": "Value"}
    four = {"feature": number, "length": 4, "_type": "Sequence"}
    category = {"names": list(facts.objects), "_type": "ClassLabel"}
    inner = {
        "id": {"dtype": "int64", "_type": "Value"},
        "area": number,
        "bbox": four,
        "category": category,
    }
    box = {"label": {"dtype": "string", "_type": "Value"}, "xyxy": four}
    return {
        "objects": (_OBJECTS, {"feature": inner, "_type": "Sequence"}),
        "boxes": (pa.list_(BOX), [box]),
    }


def _features(columns: dict[str, tuple[pa.DataType, Any]]) -> dict[str, Any]:
    return {name: feature for name, (_, feature) in columns.items()}


def _schema(columns: dict[str, tuple[pa.DataType, Any]]) -> pa.Schema:
    """With the features, as `datasets` finds them in a Parquet file."""
    plain = pa.schema([(name, kind) for name, (kind, _) in columns.items()])
    return plain.with_metadata({"huggingface": compact({"info": {"features": _features(columns)}})})


def _file_columns(facts: Facts) -> dict[str, tuple[pa.DataType, Any]]:
    """Columns of `metadata.parquet`: paths where the others hold bytes."""
    path = pa.string(), {"dtype": "string", "_type": "Value"}
    named = {"image": "file_name", "mask": "mask_file_name"}
    return {
        named.get(name, name): path if name in named else column
        for name, column in _columns(facts).items()
    }


def _write_files(
    facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
) -> Iterator[str]:
    """Images and masks as files; their metadata as JSON."""
    columns = _file_columns(facts)
    root = f"data/{facts.split_folders[at.split] or 'train'}"
    for image in images:
        row = _facts(image, facts) | {"file_name": f"images/{image.name}", "mask_file_name": None}
        out.put(f"{root}/{row['file_name']}", image.data)
        if image.mask is not None:
            data, kind = image.mask
            row["mask_file_name"] = f"masks/{image.stem}.{kind}"
            out.put(f"{root}/{row['mask_file_name']}", data)
        yield compact({name: row[name] for name in columns})


def _row(image: Outgoing, facts: Facts, columns: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    mask = None
    if image.mask is not None:
        mask = {"bytes": image.mask[0], "path": f"{image.stem}.mask.{image.mask[1]}"}
    files = {"image": {"bytes": image.data, "path": image.name}, "mask": mask}
    row = _facts(image, facts) | files
    size = len(image.data) + (len(image.mask[0]) if image.mask else 0)
    return size, {name: row[name] for name in columns}


def _facts(image: Outgoing, facts: Facts) -> dict[str, Any]:
    """What is known of an image besides its files."""
    return {
        "image_id": image.image_id.hex(),
        "key": key_text(image),
        "split": image.split,
        "label": None if image.label is None else facts.label_numbers[image.label],
        "objects": _objects(image, facts),
        "boxes": image.boxes,
        "weight": image.weight,
        "extra": compact(_extra(image)) if image.extra or image.labels else None,
    }


def _extra(image: Outgoing) -> dict[str, Any]:
    if not image.labels:
        return image.extra
    return {**image.extra, "labels": [list(pair) for pair in image.labels]}


def _objects(image: Outgoing, facts: Facts) -> dict[str, Any] | None:
    if image.boxes is None:
        return None
    bboxes = [corners_to_size(box["xyxy"]) for box in image.boxes]
    return {
        "id": list(range(len(bboxes))),
        "area": [w * h for _, _, w, h in bboxes],
        "bbox": bboxes,
        "category": [facts.object_numbers.get(box["label"]) for box in image.boxes],
    }
