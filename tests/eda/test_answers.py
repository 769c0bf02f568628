"""The ten answers say what the data say."""

import json

import numpy as np
import pyarrow as pa
import pytest

from cvdata.eda import summarize
from cvdata.eda.answer import number, percent, plural
from cvdata.schema import BOX
from tests.eda.wide import fixed, wide

KEYS = [
    *("dimensions", "aspect_ratios", "colors", "brightness", "edges"),
    *("textures", "balance", "objects", "metadata", "likeness"),
]


def answers(table: pa.Table) -> dict[str, dict[str, object]]:
    found = summarize(table).answers
    json.dumps(found, allow_nan=False)
    return {entry["key"]: entry for entry in [*found["questions"], *found["also"]]}


def photographs() -> pa.Table:
    """100 images, by hand: 60 cats on green at 640 × 480, 40 dogs anywhere at 300 × 400."""
    rng = np.random.default_rng(0)
    cat = np.arange(100) < 60
    green = np.tile([60.0, -50.0, 40.0], (60, 1)) + rng.normal(0, 1, (60, 3))
    anywhere = rng.uniform([0, -60, -60], [100, 60, 60], (40, 3))
    dated = ["2023:07:01 12:00:00"] * 30 + ["2024:02:01 12:00:00"] * 20 + [None] * 50
    box = {"xyxy": [10, 10, 110, 110]}
    cats = [{**box, "label": "cat"}, {**box, "label": "sofa"}]
    return pa.table(
        {
            "label": np.where(cat, "cat", "dog"),
            "split": np.where(np.arange(100) % 10 == 0, "val", "train"),
            "width": pa.array(np.where(cat, 640, 300), pa.int32()),
            "height": pa.array(np.where(cat, 480, 400), pa.int32()),
            "brightness_mean": pa.array(np.where(cat, 0.2, 0.8) + rng.uniform(0, 0.05, 100)),
            "rms_contrast": pa.array(np.where(cat, 0.05, 0.2)),
            "edge_density": pa.array(np.where(cat, 0.01, 0.3)),
            "laplacian_variance": pa.array(np.where(cat, 50.0, 900.0)),
            "background_lab": fixed(np.concatenate([green, anywhere]), np.float32),
            "exif_datetime": pa.array(dated),
            "exif_model": pa.array(["EOS 5D"] * 25 + ["D70"] * 5 + [None] * 70),
            "exif_software": pa.nulls(100, pa.string()),
            "has_gps": pa.array(np.arange(100) < 7),
            "boxes": pa.array([cats] * 60 + [[{**box, "label": "dog"}]] * 40, pa.list_(BOX)),
        }
    )


def test_answers_of_a_known_dataset() -> None:
    found = answers(photographs())
    text = {key: str(entry["answer"]) for key, entry in found.items()}
    assert text["dimensions"].startswith("60 % of the images are 640×480 pixels. Widths run from")
    assert "300 to 640 (median 640)" in text["dimensions"]
    assert "4:3 100 %; by orientation: landscape 60 %, portrait 40 %" in text["aspect_ratios"]
    assert "60 % are darker than 0.3, 40 % brighter than 0.7" in text["brightness"]
    assert "60 % of the images are flatter than 0.1" in text["brightness"]
    assert "60 % of the images are smooth" in text["edges"]
    assert "40 % are busy" in text["edges"]
    assert "most textured class is dog (edge density 0.3)" in text["textures"]
    assert "the largest, cat, has 60 images (60 %), the smallest, dog, 40" in text["balance"]
    assert "The classes are balanced." in text["balance"]
    assert text["objects"].startswith("160 boxes of 3 classes; most often cat 38 %, sofa 38 %")
    assert "cat and sofa are most often seen together (60 images)" in text["objects"]
    assert "50 % carry a capture date, 2023-07 to 2024-02" in text["metadata"]
    assert "30 % name a camera, most often EOS 5D" in text["metadata"]
    assert "7 images hold a GPS position" in text["metadata"]
    assert "background is most alike within cat (likeness 1.00" in text["likeness"]
    assert "1 of 2 classes reach 0.5" in text["likeness"]
    assert "side of 100 pixels" in text["boxes"]
    splits = found["balance"]["numbers"]["by_split"]  # type: ignore[index]
    assert splits == {"train": {"cat": 54, "dog": 36}, "val": {"cat": 6, "dog": 4}}
    assert found["metadata"]["numbers"]["months"] == {"2023-07": 30, "2024-02": 20}  # type: ignore[index]


def test_the_ten_in_their_order() -> None:
    found = summarize(wide(50)).answers
    assert [q["key"] for q in found["questions"]] == KEYS
    assert [q["number"] for q in found["questions"]] == list(range(1, 11))


@pytest.mark.parametrize("complete", [True, False])
def test_pictures_exist(complete: bool) -> None:
    """Each picture of a full dataset names rows that there are; without facts there is none."""
    table = wide(400) if complete else wide(400).select(["image_id", "error"])
    tables = summarize(table)
    entries = [*tables.answers["questions"], *tables.answers["also"]]
    for entry in entries:
        assert bool(entry["picture"]) == complete, entry["key"]
        assert bool(entry["needs"]) != complete, entry["key"]
        for picture in entry["picture"]:
            rows = getattr(tables, picture["table"]).to_pylist()
            where = {k: v for k, v in picture.items() if k != "table"}
            assert any(all(row[k] == v for k, v in where.items()) for row in rows), picture


def test_what_is_missing_is_named() -> None:
    bare = answers(pa.table({"image_id": ["a", "b"]}))
    assert bare["dimensions"]["needs"] == ["geometry"]
    assert "`geometry`" in str(bare["dimensions"]["answer"])
    assert bare["brightness"]["needs"] == ["exposure"]
    assert "no labels" in str(bare["balance"]["answer"])
    assert "neither boxes nor labels" in str(bare["objects"]["answer"])
    labeled = answers(pa.table({"label": ["a"] * 20}))
    assert labeled["likeness"]["needs"] == ["border", "exposure"]
    assert "20 images" in str(labeled["balance"]["answer"])


def test_a_dataset_without_exif_says_so() -> None:
    table = pa.table(
        {
            "exif_datetime": pa.nulls(3, pa.string()),
            "exif_model": pa.nulls(3, pa.string()),
            "has_gps": [False, False, False],
        }
    )
    text = str(answers(table)["metadata"]["answer"])
    assert text.startswith("No image carries a capture date, a camera or a software name. 0 images")


def test_invalid_dates_are_no_months() -> None:
    dates = [
        "0000:00:00 00:00:00",
        "2020:13:01 00:00:00",
        "  ",
        "2020:12:01 00:00:00",
        "2021-01-05",
    ]
    table = pa.table({"exif_datetime": dates, "has_gps": [True] * 5})
    assert answers(table)["metadata"]["numbers"]["months"] == {"2020-12": 1, "2021-01": 1}  # type: ignore[index]


def test_hostile_names_do_not_break_the_answers() -> None:
    nasty = ["</script>\u202e", "a|b\n", '"', "(other)", "(none)"] * 4
    found = answers(pa.table({"label": nasty, "exif_model": nasty, "has_gps": [False] * 20}))
    assert found["balance"]["numbers"]["n_classes"] == 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.62, "62 %"), (0.0004, "<0.1 %"), (0.9999, ">99.9 %"),
     (0.034, "3.4 %"), (0.0996, "10 %"), (0.095, "9.5 %")],
)  # fmt: skip
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_numbers_in_words() -> None:
    assert [number(v) for v in (3.0, 1234.5, 0.03123, 18.44)] == ["3", "1,234", "0.0312", "18.4"]
    assert [plural(1, "image"), plural(2000, "image"), plural(3, "class"), plural(2, "box")] == [
        "1 image", "2,000 images", "3 classes", "2 boxes",
    ]  # fmt: skip
