"""export: masks go out and come back byte for byte, in every format that has a place for them."""

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cvdata import Workspace
from cvdata.sinks import SINKS
from cvdata.sources.fetch import Fetcher, Want
from cvdata.sources.uris import decode_path
from tests.jobs.exporting import export, ingest, told

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def masked(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, tuple[bytes, bytes]]]:
    """A workspace of 100 photos with masks; bytes of image and mask by the file's stem."""
    where = tmp_path_factory.mktemp("masked") / "w"
    photos = shared_data / "person_masks"
    words = ("--source-options", "images=images", "--source-options", "masks=masks")
    rows = ingest(photos, where, *words)
    return where, _bytes(rows)


def _bytes(rows: Rows) -> dict[str, tuple[bytes, bytes]]:
    """Of each image with a mask: the bytes of both, by the image's stem."""
    found = {}
    for row in rows:
        assert row["mask_uri"] is not None
        stem = Path(row["key"].decode().rpartition("!")[2]).stem
        found[stem] = _image(row), _mask(row)
    assert len(found) == len(rows) > 90
    return found


def _image(row: dict[str, Any]) -> bytes:
    with closing(Fetcher()) as fetcher:
        return fetcher.read(Want(row["uri"], row["offset"], row["length"], row["revision"]))


def _mask(row: dict[str, Any]) -> bytes:
    with closing(Fetcher()) as fetcher:
        return fetcher.read(Want(row["mask_uri"], None, None, ""))


def test_masks_come_back_from_lists_and_image_folders(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """source -> export -> ingest: image and mask are the very bytes."""
    where, before = masked
    assert export(where, tmp_path / "list", "list") == 0
    options = f"mask=mask,id=id,roots={Path(_root(before, where))}"
    rows = ingest(tmp_path / "list/images.jsonl", tmp_path / "1", "--source-options", options)
    assert _bytes(rows) == before
    hf = tmp_path / "hf"
    assert export(where, hf, "huggingface", "--sink-options", "layout=imagefolder") == 0
    words = ("--source-options", "images=images", "--source-options", "masks=masks")
    rows = ingest(hf / "data/train", tmp_path / "2", "--format", "folder", *words)
    assert _bytes(rows) == before


def test_masks_come_back_from_voc(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """With a box each, without which it is no VOC dataset."""
    where, before = masked
    root = _root(before, where)
    lines = [
        json.dumps(
            {
                "uri": f"{root}/images/{stem}.jpg",
                "mask": f"{root}/masks/{stem}.png",
                "boxes": [{"label": "person", "xyxy": [1, 2, 30, 40]}],
            }
        )
        for stem in before
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    options = f"mask=mask,boxes=boxes,roots={root}"
    ingest(tmp_path / "list.jsonl", tmp_path / "1", "--source-options", options)
    assert export(tmp_path / "1", tmp_path / "voc", "voc") == 0
    rows = ingest(tmp_path / "voc", tmp_path / "2", "--format", "voc")
    assert _bytes(rows) == before
    assert all(row["boxes"] == [{"label": "person", "xyxy": [1, 2, 30, 40]}] for row in rows)


def _root(before: dict[str, tuple[bytes, bytes]], where: Path) -> str:
    uri = Workspace(str(where)).read("records", ["uri"])["uri"][0].as_py()
    return str(Path(os.fsdecode(decode_path(uri))).parent.parent)


def test_masks_stand_in_shards_and_tables_byte_for_byte(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """webdataset's own reader, Arrow and `datasets` find the masks beside their images."""
    import pyarrow.parquet as pq
    import webdataset

    where, before = masked
    assert export(where, tmp_path / "wds", "webdataset", "--shard-rows", "40") == 0
    shards = sorted(str(p) for p in (tmp_path / "wds").glob("*.tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    found = {s["__key__"]: (s["jpg"], s["mask.png"]) for s in samples}
    assert found == before
    again = ingest(tmp_path / "wds", tmp_path / "w1", "--format", "webdataset")
    assert _bytes(again) == before
    assert export(where, tmp_path / "table", "parquet") == 0
    rows = pq.read_table(tmp_path / "table" / "data-000000.parquet").to_pylist()
    assert {Path(r["file_name"]).stem: (r["bytes"], r["mask_bytes"]) for r in rows} == before
    options = ("--source-options", "id=file_name,mask=mask_bytes,bytes=bytes")
    again = ingest(tmp_path / "table", tmp_path / "w2", "--format", "parquet", *options)
    assert _bytes(again) == before
    assert export(where, tmp_path / "hf", "huggingface") == 0
    (part,) = (tmp_path / "hf" / "data").iterdir()
    rows = pq.read_table(part).to_pylist()
    found = {Path(r["image"]["path"]).stem: (r["image"]["bytes"], r["mask"]["bytes"]) for r in rows}
    assert found == before
    options = ("--source-options", "id=key,mask=mask")
    again = ingest(tmp_path / "hf", tmp_path / "w3", "--format", "parquet", *options)
    assert _bytes(again) == before
    assert export(tmp_path / "w3", tmp_path / "last", "webdataset") == 0
    shards = [str(p) for p in (tmp_path / "last").glob("*.tar")]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert {s["__key__"]: (s["jpg"], s["mask.png"]) for s in samples} == before


def test_formats_without_a_place_for_masks_say_so(
    masked: tuple[Path, dict[str, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    where, before = masked
    without = {name for name, kind in SINKS.items() if not kind.places.masks}
    assert without == {"imagefolder", "coco", "yolo", "fiftyone"}
    assert export(where, tmp_path / "out", "imagefolder", "--unlabeled", "person") == 0
    assert told(tmp_path / "out")["left_out"]["masks"] == len(before)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{len(before)} masks" in card
