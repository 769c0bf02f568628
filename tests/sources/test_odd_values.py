"""What JSON, YAML and XML can hold and Arrow, paths or numbers cannot: a problem, never a stop."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .trees import png, records, tar_of, write

LONE = "\ud800"
HUGE = 10**400
FILES: dict[str, bytes | str] = {"a.png": png(1), "b.png": png(2)}


def jsonl(tmp_path: Path, *rows: dict[str, Any], **options: str) -> tuple[Any, list[str]]:
    text = "\n".join(map(json.dumps, rows))
    write(tmp_path, {**FILES, "m.jsonl": text})
    return records(tmp_path / "m.jsonl", options=options)


def test_lone_surrogates_are_escaped_in_labels_ids_splits_and_boxes(tmp_path: Path) -> None:
    box = {"label": LONE, "xyxy": [0, 0, 1, 1]}
    odd = {"path": "a.png", "label": LONE, "id": LONE, "split": LONE, "boxes": [box]}
    rows, _ = jsonl(tmp_path, odd, {"path": "b.png", "label": "ok", "id": "2"}, id="id")
    first, second = rows
    assert (first["label"], first["split"], first["key"]) == ("\\ud800", "\\ud800", b"\\ud800")
    assert [one["label"] for one in first["boxes"]] == ["\\ud800"]
    assert (second["label"], second["key"]) == ("ok", b"2")


def test_a_number_beyond_all_floats_is_a_box_that_is_left_out(tmp_path: Path) -> None:
    boxes = [{"label": "x", "xyxy": [0, 0, 1, HUGE]}, {"label": "y", "xyxy": [0, 0, 1, 1]}]
    rows, problems = jsonl(tmp_path, {"path": "a.png", "boxes": boxes})
    assert [box["label"] for box in rows[0]["boxes"]] == ["y"]
    assert problems == ["m.jsonl:1: box 1: a number that is not finite, or out of all reason"]


def test_a_mask_that_is_no_path_is_noted_and_its_image_kept(tmp_path: Path) -> None:
    rows, problems = jsonl(tmp_path, {"path": "a.png", "mask": "x\0y"}, mask="mask")
    assert [(row["key"], row["mask_uri"]) for row in rows] == [(b"a.png", None)]
    assert problems == ["m.jsonl:1: column 'mask': a NUL byte in a path"]


def test_extra_is_json_that_any_reader_takes(tmp_path: Path) -> None:
    odd = {"path": "a.png", "q": float("nan"), "w": [1, float("inf")]}
    rows, _ = jsonl(tmp_path, odd, extra="q,w")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    extra = json.loads(rows[0]["extra"], parse_constant=refuse)
    assert extra == {"q": None, "w": [1, None]}


def test_odd_names_of_classes(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": LONE}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": category, "bbox": [0, 0, 1, 1]}
            for n, category in enumerate([1, LONE])
        ],
    }
    write(tmp_path / "coco", {"a.png": png(1), "c.json": json.dumps(coco)})
    yaml = 'train: "\\ud800"\nnames: ["\\ud800", b]\n'
    labels = "0 0.5 0.5 0.5 0.5\n² 0.5 0.5 0.5 0.5\n"
    write(tmp_path / "yolo", {
        "images/a.png": png(1), "labels/a.txt": labels, "data.yaml": yaml,
    })  # fmt: skip
    member = json.dumps({"label": LONE, "boxes": [{"label": LONE, "xyxy": [0, 0, 1, HUGE]}]})
    write(tmp_path / "tar", {"s.tar": tar_of([("a.png", png(1)), ("a.json", member.encode())])})
    for name, expected in (("coco", 2), ("yolo", 1), ("tar", 0)):
        rows, problems = records(tmp_path / name)
        assert [box["label"] for box in rows[0]["boxes"]] == ["\\ud800"] * expected, name
        assert len(problems) == 1, name


@pytest.mark.parametrize("encoding", ["nobodys-encoding", "utf-16"])
def test_xml_in_an_encoding_that_it_does_not_have(tmp_path: Path, encoding: str) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding}"?><annotation/>'
    write(tmp_path, {"JPEGImages/a.jpg": b"a", "Annotations/a.xml": xml})
    rows, problems = records(tmp_path)
    assert [row["key"] for row in rows] == [b"JPEGImages/a.jpg"]
    assert [problem.partition(": ")[0] for problem in problems] == ["Annotations/a.xml:1"]


def test_an_empty_shard_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"a.tar": tar_of([("a.png", png(1))]), "b.tar": b""})
    rows, problems = records(tmp_path)
    assert [(row["key"], row["error"]) for row in rows] == [
        (b"a.tar!a.png", None),
        (b"b.tar!@0", "archive_denied"),
    ]
    assert problems == ["b.tar: byte 0: an empty file: not even the end of an archive"]


@pytest.mark.parametrize("dtype", [pa.dictionary(pa.int32(), pa.string()), pa.large_string()])
def test_parquet_paths_of_any_text_type(tmp_path: Path, dtype: pa.DataType) -> None:
    table = pa.table({"path": pa.array(["a.png", "b.png"]).cast(dtype)})
    write(tmp_path, FILES)
    pq.write_table(table, tmp_path / "m.parquet")
    rows, problems = records(tmp_path / "m.parquet")
    assert [row["key"] for row in rows] == [b"a.png", b"b.png"]
    assert problems == []
