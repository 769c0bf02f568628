"""COCO, VOC and YOLO: real counts, the same boxes from each, malformed ones by file and line."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cvdata.errors import ConfigError
from cvdata.sources.boxes import turn_box
from cvdata.sources.json_items import BadJson, json_items

from .trees import coco, fetch, jpeg, png, records, write, write_memory

WIDTH, HEIGHT = 40, 20
BOXES = {
    "a": [("cat", [2.0, 3.0, 12.0, 13.0]), ("dog", [0.0, 0.0, 40.0, 20.0])],
    "b": [("dog", [10.0, 5.0, 30.0, 15.0])],
    "c": [],
}
NAMES = ["cat", "dog"]


def as_coco() -> dict[str, bytes | str]:
    images = [{"id": n, "file_name": f"{stem}.png"} for n, stem in enumerate(BOXES)]
    annotations = [
        {"id": 100 * n + k, "image_id": n, "category_id": NAMES.index(label) + 7, "iscrowd": k,
         "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]], "segmentation": [[1, 2, 3, 4, 5, 6]]}
        for n, boxes in enumerate(BOXES.values())
        for k, (label, b) in enumerate(boxes)
    ]  # fmt: skip
    categories = [{"id": n + 7, "name": name} for n, name in enumerate(NAMES)]
    return {"annotations/instances_val2017.json": coco(images, annotations, categories),
            **{f"val2017/{stem}.png": png(1, (WIDTH, HEIGHT)) for stem in BOXES}}  # fmt: skip


def xml(boxes: list[tuple[str, list[float]]]) -> str:
    sides = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{label}</name><difficult>1</difficult><bndbox>"
        + "".join(f"<{s}>{v}</{s}>" for s, v in zip(sides, box, strict=True))
        + "</bndbox></object>\n"
        for label, box in boxes
    )
    return f"<annotation>\n<filename>x</filename>\n{objects}</annotation>\n"


def as_voc() -> dict[str, bytes | str]:
    return {"ImageSets/Main/val.txt": "a\nb\nc\n",
            **{f"Annotations/{stem}.xml": xml(boxes) for stem, boxes in BOXES.items()},
            **{f"JPEGImages/{s}.png": png(1, (WIDTH, HEIGHT)) for s in BOXES}}  # fmt: skip


def as_yolo() -> dict[str, bytes | str]:
    def line(label: str, b: list[float]) -> str:
        x, y = (b[0] + b[2]) / 2 / WIDTH, (b[1] + b[3]) / 2 / HEIGHT
        return f"{NAMES.index(label)} {x} {y} {(b[2] - b[0]) / WIDTH} {(b[3] - b[1]) / HEIGHT}\n"

    return {"data.yaml": f"path: /somewhere\nval: ../images/val\nnames: {NAMES}\n",
            **{f"labels/val/{s}.txt": "".join(line(*b) for b in BOXES[s]) for s in BOXES},
            **{f"images/val/{s}.png": png(1, (WIDTH, HEIGHT)) for s in BOXES}}  # fmt: skip


@pytest.mark.parametrize("made", [as_coco, as_voc, as_yolo])
def test_the_same_boxes_from_every_format_and_storage(tmp_path: Path, made: Any) -> None:
    files = made()
    rows, problems = records(write(tmp_path, files))
    assert problems == []
    found = {
        Path(r["key"].decode()).stem: [(b["label"], b["xyxy"]) for b in r["boxes"]] for r in rows
    }
    assert found.keys() == BOXES.keys()
    for stem, boxes in BOXES.items():
        assert [label for label, _ in found[stem]] == [label for label, _ in boxes]
        for (_, got), (_, expected) in zip(found[stem], boxes, strict=True):
            assert got == pytest.approx(expected, abs=1e-4)
    assert {row["split"] for row in rows} == {"val"}
    assert fetch(rows) == [png(1, (WIDTH, HEIGHT))] * 3
    remote, _ = records(write_memory(f"annotated-{made.__name__}", files))
    assert [(r["image_id"], r["boxes"], r["split"]) for r in remote] == [
        (r["image_id"], r["boxes"], r["split"]) for r in rows
    ]


def test_real_yolo(shared_data: Path) -> None:
    rows, problems = records(shared_data / "coco256")
    n_boxes = Counter({"train": 0, "val": 0})
    for row in rows:
        n_boxes[row["split"]] += len(row["boxes"] or [])
        for box in row["boxes"] or []:
            x0, y0, x1, y1 = box["xyxy"]
            assert -1 <= x0 < x1 <= 641
            assert -1 <= y0 < y1 <= 641
    # 12 of the 941 lines of train lie in two files whose images are not in the folder
    orphans = [shared_data / "coco256" / problem.split(": ")[0] for problem in problems]
    lines = sum(len(path.read_text().splitlines()) for path in orphans)
    assert len(orphans) == 2
    assert (n_boxes["train"] + lines, n_boxes["val"]) == (941, 898)
    assert len(rows) == 256


def test_real_voc(shared_data: Path) -> None:
    rows, problems = records(shared_data / "bccd")
    labels = Counter(box["label"] for row in rows for box in row["boxes"])
    assert labels == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    assert len(rows) == 364
    assert problems == [
        "Annotations/BloodImage_00338.xml:163: a box without area: [504.0, 337.0, 504.0, 337.0]",
        "Annotations/BloodImage_00343.xml:55: a box without area: [181.0, 329.0, 181.0, 329.0]",
    ]
    sets = shared_data / "bccd/ImageSets/Main"
    counts = {
        name: len((sets / f"{name}.txt").read_text().split()) for name in ("train", "val", "test")
    }
    assert Counter(row["split"] for row in rows) == counts


def test_coco_keeps_masks_and_crowds_in_extra_in_the_order_of_boxes(tmp_path: Path) -> None:
    rows, _ = records(write(tmp_path, as_coco()))
    extra = json.loads(rows[0]["extra"])["coco"]
    assert extra == {"image_id": 0, "iscrowd": [0, 1], "segmentation": [[[1, 2, 3, 4, 5, 6]]] * 2}
    assert json.loads(rows[2]["extra"]) == {"coco": {"image_id": 2}}


def test_malformed_coco_by_line(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.jpg"},  # line 3
        {"id": 1, "file_name": "b.jpg"},
        {"id": 3, "file_name": "gone.jpg"},
        {"id": 4},
        {"id": 5, "file_name": "../out.jpg"},
        {"id": 6, "file_name": "a.jpg"},  # 8
    ]
    boxes: list[Any] = [[0, 0, 1], [0, 0, -1, 2], [0, 0, 0, 2], ["0", 0, 1, 1], None, [1, 1, 2, 2]]
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": b} for n, b in enumerate(boxes)
    ]
    annotations += [
        {"id": 0, "image_id": 1, "category_id": 99, "bbox": [1, 1, 1, 1]},  # 17: id again, class
        {"id": 8, "image_id": 77, "category_id": 1, "bbox": [1, 1, 1, 1]},
        {"id": 9, "image_id": 1, "category_id": 1, "bbox": [float("nan"), 1, 1, 1]},
        "no object",  # type: ignore[list-item]
    ]
    categories = [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}, {"id": 2}]  # 23 …
    write(tmp_path, {"i.json": coco(images, annotations, categories), "a.jpg": "a", "b.jpg": "b"})
    rows, problems = records(tmp_path / "i.json")
    errors = {row["key"]: row["error"] for row in rows}
    assert errors == {b"a.jpg": None, b"b.jpg": None, b"gone.jpg": "not_found"}
    assert [box["xyxy"] for box in rows[0]["boxes"]] == [
        [0, 0, -1, 2], [0, 0, 0, 2], [1, 1, 3, 3], [1, 1, 2, 2],
    ]  # fmt: skip
    assert rows[0]["boxes"][3]["label"] == "99"
    assert sorted(int(p.split(":")[1]) for p in problems) == sorted(
        [4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 17, 17, 18, 19, 20, 24, 25]
    )


def test_a_coco_file_that_is_cut_gives_what_came_before(tmp_path: Path) -> None:
    text = as_coco()["annotations/instances_val2017.json"]
    assert isinstance(text, str)
    files = as_coco() | {
        "annotations/instances_val2017.json": text[: text.index('"categories"') + 5]
    }
    rows, problems = records(write(tmp_path, files), format="coco")
    assert len(rows) == 3
    assert any("not JSON" in problem for problem in problems)
    assert problems[-1].split(":")[0] == "annotations/instances_val2017.json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4), st.sampled_from([None, 1]))
@settings(deadline=None)
def test_json_items_are_those_of_json_loads(value: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    expected = [
        (name, one) for name, v in value.items() for one in (v if isinstance(v, list) else [v])
    ]
    assert [(item.section, item.value) for item in json_items(text)] == expected
    for cut in range(len(text)):
        with pytest.raises(BadJson):
            list(json_items(text[:cut]))


BAD_XML = {
    "a": ("<annotation>\n<object>\n<name>x</name></object></annotation>", 2, "without a bndbox"),
    "b": ("<annotation>\n\n" + xml([("x", [1, 2, float("nan"), 4])])[13:], 4, "is no number"),
    "c": ("<annotation>\n<object>\n</annotation>", 3, "not XML"),
    "d": ('<!DOCTYPE a [\n<!ENTITY l "l">\n<!ENTITY m "&l;&l;">]>\n<annotation>&m;</annotation>', 2,
          "refused"),
    "e": ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', 1,
          "refused"),
    "f": ("<annotation>" + "<a>" * 100_000, 1, "elements inside each other"),
    "g": (xml([("x", [5, 2, 4, 4])]), 3, "negative width"),
    "h": ("", 1, "not XML"),
    "i": ("<other/>", 1, "not a VOC annotation"),
    "j": ("<annotation><object><bndbox/></object></annotation>", 1, "without a name"),
}  # fmt: skip


def test_malformed_voc_by_line(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"Annotations/{n}.xml": bad[0] for n, bad in BAD_XML.items()}
    files |= {f"JPEGImages/{n}.jpg": b"x" for n in [*BAD_XML, "none"]}
    files |= {"Annotations/gone.xml": xml([("x", [1, 2, 3, 4])])}
    files |= {"ImageSets/Main/train.txt": "a\nb 1\n", "ImageSets/Main/val.txt": "c\na\n"}
    rows, problems = records(write(tmp_path, files))
    errors = {row["key"].decode(): row["error"] for row in rows}
    assert errors == {f"JPEGImages/{n}.jpg": None for n in [*BAD_XML, "none"]} | {
        "JPEGImages/gone.jpg": "not_found"
    }
    for name, (_, line, message) in BAD_XML.items():
        found = [p for p in problems if p.startswith(f"Annotations/{name}.xml:{line}: ")]
        assert len(found) == 1, (name, problems)
        assert message in found[0]
    assert "ImageSets/Main/val.txt:2: a is in train already" in problems
    assert "JPEGImages/none.jpg: no annotation of the same name" in problems
    assert len(problems) == len(BAD_XML) + 3
    splits = {row["key"].decode()[11]: row["split"] for row in rows if row["key"][12:13] == b"."}
    assert (splits["a"], splits["b"], splits["c"], splits["d"]) == ("train", "train", "val", None)


def test_voc_that_counts_from_one(tmp_path: Path) -> None:
    write(tmp_path, {"Annotations/a.xml": xml([("x", [1, 1, 40, 20])]), "JPEGImages/a.jpg": b"x"})
    rows, _ = records(tmp_path, options={"one_based": True})
    assert rows[0]["boxes"][0]["xyxy"] == [0, 0, 40, 20]


def test_malformed_yolo_by_line(tmp_path: Path) -> None:
    lines = [
        "0 0.5 0.5 0.5 0.5", "x 0.5 0.5 0.5 0.5", "9 0.5 0.5 0.5 0.5", "0 0.5 0.5 0.5",
        "0 nan 0.5 0.5 0.5", "0 12 30 5 5", "", "0 0.5 0.5 -0.5 0.5", "0 0.5 0.5 0 0.5",
        "0 0.5 0.5 0.5 0.5", "1 0 0 0.5 0 0.5 1", "0 a b c d",
    ]  # fmt: skip
    yaml = "names: {0: cat, 1: dog}\ntrain: ../../../..\nval: 3\n"
    write(tmp_path, {
        "images/a.png": png(1, (10, 10)), "labels/a.txt": "\n".join(lines),
        "images/b.png": b"no header here", "labels/b.txt": "0 0.5 0.5 0.5 0.5",
        "images/c.png": png(2), "labels/c.txt": b"\xff\xfe", "labels/d.txt": "",
        "images/e.png": png(3), "data.yaml": yaml,
    })  # fmt: skip
    rows, problems = records(tmp_path)
    assert {row["key"]: row["error"] for row in rows} == {
        b"images/a.png": None, b"images/b.png": None, b"images/c.png": None, b"images/e.png": None,
    }  # fmt: skip
    assert [problem.split(": ")[0] for problem in problems] == [
        "data.yaml", "data.yaml", *(f"labels/a.txt:{n}" for n in (2, 3, 4, 5, 6, 8, 9, 10, 12)),
        "images/b.png", "labels/c.txt", "labels/d.txt",
    ]  # fmt: skip
    full = [2.5, 2.5, 7.5, 7.5]
    assert [(box["label"], box["xyxy"]) for box in rows[0]["boxes"]] == [
        ("cat", full), ("9", full), ("cat", [7.5, 2.5, 2.5, 7.5]), ("cat", [5, 2.5, 5, 7.5]),
        ("cat", full), ("dog", [0, 0, 5, 10]),
    ]  # fmt: skip
    assert [row["boxes"] for row in rows[1:]] == [None, None, None]


def test_a_yaml_bomb_is_not_unfolded(tmp_path: Path) -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    text = f"a0: &a0 [lol]\n{levels}\nnames: *a11\ntrain: *a11\n"
    rows, problems = records(write(tmp_path, {"data.yaml": text, "images/a.png": png(1)}))
    assert len(rows) == 1
    assert problems


def test_yolo_splits_by_list_files_and_by_folder_names(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"images/{n}.png": png(1) for n in "ab"}
    files |= {"train.txt": "./images/a.png\n", "data.yaml": "train: train.txt\n"}
    rows, _ = records(write(tmp_path / "lists", files))
    assert [row["split"] for row in rows] == ["train", None]
    files = {"valid/images/a.png": png(1), "valid/labels/a.txt": "3 0.5 0.5 1 1", "data.yaml": ""}
    rows, _ = records(write(tmp_path / "names", files), format="yolo")
    assert rows[0]["split"] == "val"
    assert rows[0]["boxes"] == [{"label": "3", "xyxy": [0, 0, 8, 6]}]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_boxes_are_where_pillow_turns_the_pixels(orientation: int) -> None:
    width, height = 17, 11
    x0, y0, x1, y1 = 3, 2, 8, 9
    pixels = np.zeros((height, width), np.uint8)
    pixels[y0:y1, x0:x1] = 255
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    turned = np.asarray(ImageOps.exif_transpose(image))
    ys, xs = np.nonzero(turned)
    expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert turn_box([x0, y0, x1, y1], width, height, orientation) == expected


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_boxes_in_stored_pixels_and_yolo_fractions_follow_exif(
    tmp_path: Path, orientation: int | None
) -> None:
    data = jpeg((WIDTH, HEIGHT), orientation)
    box = [2.0, 3.0, 12.0, 13.0]
    expected = turn_box(box, WIDTH, HEIGHT, orientation or 1)
    voc = {"Annotations/a.xml": xml([("x", box)]), "JPEGImages/a.jpg": data}
    rows, _ = records(write(tmp_path / "v", voc), options={"boxes_in": "stored"})
    assert rows[0]["boxes"][0]["xyxy"] == expected
    images, annotations = [{"id": 1, "file_name": "a.jpg"}], [
        {"image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 10]}]  # fmt: skip
    text = coco(images, annotations, [{"id": 1, "name": "x"}])
    rows, _ = records(
        write(tmp_path / "c", {"a.jpg": data, "a.json": text}), options={"boxes_in": "stored"}
    )
    assert rows[0]["boxes"][0]["xyxy"] == expected
    yolo = {"images/a.jpg": data, "labels/a.txt": "0 0.5 0.5 1 1"}
    rows, _ = records(write(tmp_path / "y", yolo))
    turned = (HEIGHT, WIDTH) if orientation in (6, 8) else (WIDTH, HEIGHT)
    assert rows[0]["boxes"][0]["xyxy"] == [0, 0, *turned]


def test_guesses(tmp_path: Path) -> None:
    for name, files, message in (
        ("nothing", {"readme.md": "x"}, "holds no images"),
        ("manifest", {"m.csv": "path\n"}, "name that file itself"),
        ("mixed", {"a.tar": b"", "b.parquet": b""}, "several kinds of files"),
    ):
        with pytest.raises(ConfigError, match=message):
            records(write(tmp_path / name, files))  # type: ignore[arg-type]
    write(tmp_path / "json", {"x.json": '{"a": 1}', "l.json": '{"path": "a.jpg"}\n', "a.jpg": "a"})
    assert len(records(tmp_path / "json")[0]) == 1  # a folder with an image
    assert len(records(tmp_path / "json/l.json")[0]) == 1
