"""What a dropped copy knew is not lost."""

import numpy as np
import pyarrow as pa
import pytest

from cvdata import schema
from cvdata.duplicates.groups import Stars
from cvdata.duplicates.merge import merged_records
from cvdata.duplicates.tables import duplicates_table
from cvdata.errors import ConfigError


def box(label: str, *xyxy: float) -> dict[str, object]:
    return {"label": label, "xyxy": list(xyxy)}


IDS = pa.array([schema.image_id("s", bytes([i])) for i in range(4)], schema.ID)
IMAGES = pa.table({"image_id": IDS, "revision": pa.array(["1"] * 4)})
SIZES = pa.table({"image_id": IDS, "width": [100, 50, 100, 7], "height": [80, 40, 80, 7]})
STARS = Stars(np.array([0, 0, 0, 3], np.int32), np.zeros(4, np.float32))


def records(labels: list[str | None], boxes: list[list[dict[str, object]] | None]) -> pa.Table:
    return IMAGES.append_column("label", pa.array(labels, pa.string())).append_column(
        "boxes", pa.array(boxes, pa.list_(schema.BOX))
    )


def test_boxes_are_scaled_and_united() -> None:
    table = records(
        [None] * 4,
        [
            [box("car", 10, 10, 30, 30)],
            [box("car", 5, 5, 15, 15), box("dog", 20, 20, 40, 30)],
            [box("dog", 41, 40, 80, 60), box("car", 60, 60, 70, 70)],
            None,
        ],
    )
    merged = merged_records(table, duplicates_table("perceptual", IMAGES, STARS), SIZES)
    assert merged["boxes"].to_pylist() == [
        [
            box("car", 10, 10, 30, 30),
            *sorted([box("dog", 40, 40, 80, 60), box("car", 60, 60, 70, 70)], key=_place(merged)),
        ],
        *table["boxes"].to_pylist()[1:],
    ]
    assert merged.schema == table.schema


def _place(merged: pa.Table):  # type: ignore[no-untyped-def]
    """Copies are visited in the order of their ids, which the test does not want to know."""
    order = [tuple(b["xyxy"]) for b in merged["boxes"][0].as_py()]
    return lambda b: order.index(tuple(b["xyxy"])) if tuple(b["xyxy"]) in order else 99


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["cat", "dog", "dog", None], "cat"),
        ([None, "dog", "dog", None], "dog"),
        ([None, "dog", "cat", None], None),
        ([None, None, "cat", None], "cat"),
    ],
)
def test_a_label_is_never_overruled(labels: list[str | None], expected: str | None) -> None:
    duplicates = duplicates_table("exact_pixels", IMAGES, STARS)
    merged = merged_records(records(labels, [None] * 4), duplicates, SIZES)
    assert merged["label"].to_pylist() == [expected, *labels[1:]]


@pytest.mark.parametrize("method", ["dihedral", "semantic", "any"])
def test_boxes_of_turned_images_are_not_guessed(method: str) -> None:
    with pytest.raises(ConfigError, match=method):
        merged_records(
            records([None] * 4, [None] * 4), duplicates_table(method, IMAGES, STARS), SIZES
        )
