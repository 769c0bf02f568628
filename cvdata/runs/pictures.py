"""Pictures that a model made, out of its table and through a sink: files, shards, Parquet."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError
from cvdata.sinks import Facts, Outgoing, Output, Sink, open_sink
from cvdata.sinks.base import ChunkPlace
from cvdata.sinks.names import folder_names, stem_of, told_apart
from cvdata.workspace import Workspace

CHUNK_ROWS = 512


def picture_sink(name: str, task: str | None) -> Sink:
    """The sink of a format; `ConfigError` for one that is for boxes or has no place for bytes."""
    if task != "image":
        raise ConfigError("--images-to writes what a model makes of images: give --task image")
    sink = open_sink(name)
    if sink.places.needs_boxes or not sink.places.needs_bytes:
        raise ConfigError(
            f"pictures that a model made cannot be written as {name}; take imagefolder, "
            "webdataset, parquet or huggingface"
        )
    return sink


def write_pictures(workspace: Workspace, table: str, sink: Sink, url: str) -> int:
    """Write every picture of the table below `url`; how many there were.

    They keep the split and the label of the image that they were made from, and are named by its
    path and its id. Written anew each time; the same table gives the same files.
    """
    shares = list(_shares(workspace, table))
    facts = _facts(shares, sink)
    sink.check(facts)
    out, lines, n = Output(url), dict[str | None, list[str]](), 0
    for share in shares:
        images = _images(workspace, table, share, sink)
        written = sink.write(facts, share.place, images, out)
        lines.setdefault(share.place.split, []).extend(written)
        n += share.n
    sink.assemble(facts, lambda split: iter(lines.get(split, [])), out)
    out.finish()
    return n


@dataclass(frozen=True)
class _Share:
    """The pictures of one split in one range of ids."""

    id_range: tuple[bytes, bytes | None]
    place: ChunkPlace
    labels: frozenset[str]
    n: int


def _shares(workspace: Workspace, table: str) -> Iterator[_Share]:
    numbers: dict[str | None, int] = {}
    for id_range in workspace.ranges(CHUNK_ROWS):
        records = workspace.read("records", ["image_id", "split", "label"], id_range=id_range)
        made = workspace.read(table, ["image_id", "error"], id_range=id_range)
        made = made.filter(pc.is_null(made["error"]))
        records = records.filter(pc.is_in(records["image_id"], made["image_id"].combine_chunks()))
        for split in pc.unique(records["split"]).to_pylist():
            labels = records.filter(_is(records["split"], split))["label"]
            number = numbers.get(split, 0)
            numbers[split] = number + 1
            known = frozenset(label for label in labels.to_pylist() if label is not None)
            yield _Share(id_range, ChunkPlace(split, number), known, len(labels))


def _facts(shares: list[_Share], sink: Sink) -> Facts:
    labels = sorted(set().union(*(share.labels for share in shares)))
    splits = sorted({share.place.split for share in shares}, key=str)
    named = [split for split in splits if split is not None]
    folders = folder_names(named)
    apart = {split: folders[split] if split is not None else "" for split in splits}
    if len(splits) > len(named) > 0:
        apart[None] = "unsplit"
    return Facts(
        labels=tuple(labels),
        folders={"": "unlabeled", **folder_names(labels)},
        split_folders=apart,
        n_chunks={s: sum(share.place.split == s for share in shares) for s in splits},
    )


def _images(workspace: Workspace, table: str, share: _Share, sink: Sink) -> Iterator[Outgoing]:
    columns = ["image_id", "key", "split", "label", "offset"]
    records = workspace.read("records", columns, id_range=share.id_range)
    records = records.filter(_is(records["split"], share.place.split))
    made = workspace.read(table, ["image_id", "error", "image"], id_range=share.id_range)
    made = made.filter(pc.is_null(made["error"]))
    at = pc.index_in(records["image_id"], value_set=made["image_id"].combine_chunks())
    kept = pc.is_valid(at)
    rows = zip(
        records.filter(kept).to_pylist(), made["image"].take(at.filter(kept)).to_pylist(),
        strict=True,
    )  # fmt: skip
    for record, data in rows:
        stem, _ = stem_of(
            record["key"],
            "path",
            is_member=record["offset"] is not None,
            unsafe=sink.places.unsafe,
        )
        yield Outgoing(
            record["image_id"],
            told_apart(stem, record["image_id"]),
            "png",
            data,
            record["split"],
            record["label"],
        )


def _is(column: pa.ChunkedArray, value: str | None) -> pa.ChunkedArray:
    return pc.is_null(column) if value is None else pc.equal(column, value)
