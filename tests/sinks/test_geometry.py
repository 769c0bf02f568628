"""Boxes written and read back are the same float32 pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as codec

from cvdata.sinks.geometry import (
    clipped,
    corners_to_fractions,
    corners_to_size,
    neat,
    resized_rle,
    scaled,
    scaled_extra,
    to_f32,
)

PIXELS = st.floats(0, 65_500, width=32)
SIDES = st.integers(1, 65_500)


@st.composite
def _boxes(draw: st.DrawFn) -> list[float]:
    x, y = (sorted((draw(PIXELS), draw(PIXELS))) for _ in range(2))
    return [x[0], y[0], x[1], y[1]]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_neat_number_is_the_same_float32(value: float) -> None:
    assert to_f32(neat(value)) == value
    assert len(repr(neat(value))) <= len(repr(value))


@given(_boxes())
def test_coco_brings_the_corners_back(box: list[float]) -> None:
    x, y, w, h = corners_to_size(box)
    read = [x, y, x + w, y + h]
    assert np.array_equal(np.float32(read), np.float32(box))


@given(st.integers(1, 4096), st.integers(1, 4096), st.data())
def test_yolo_brings_the_corners_back(width: int, height: int, data: st.DataObject) -> None:
    """As its reader computes them; text keeps all digits that were needed."""
    xs = sorted(data.draw(st.tuples(*[st.floats(0, width, width=32)] * 2)))
    ys = sorted(data.draw(st.tuples(*[st.floats(0, height, width=32)] * 2)))
    box = [xs[0], ys[0], xs[1], ys[1]]
    values = corners_to_fractions(box, width, height)
    text = [np.format_float_positional(v, trim="-") for v in values]
    x, y, w, h = map(float, text)
    read = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
    assert read == pytest.approx(box, abs=1.2e-7 * max(width, height))
    assert all(0 <= v <= 1 for v in values)


@given(st.integers(1, 4096), st.integers(1, 4096), st.data())
def test_whole_pixels_come_back_exactly_from_yolo(
    width: int, height: int, data: st.DataObject
) -> None:
    xs = sorted(data.draw(st.tuples(*[st.integers(0, width)] * 2)))
    ys = sorted(data.draw(st.tuples(*[st.integers(0, height)] * 2)))
    x, y, w, h = corners_to_fractions([xs[0], ys[0], xs[1], ys[1]], width, height)
    read = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
    assert np.array_equal(np.round(np.float32(read)), [xs[0], ys[0], xs[1], ys[1]])
    assert read == pytest.approx([xs[0], ys[0], xs[1], ys[1]], abs=1.2e-7 * max(width, height))


@given(_boxes(), SIDES, SIDES)
def test_a_clipped_box_is_the_part_inside(box: list[float], width: int, height: int) -> None:
    found = clipped(box, width, height)
    low, high = np.array(box[:2]), np.minimum(box[2:], [width, height])
    if found is None:
        assert (high <= low).any()
    else:
        assert found == [*low, *high]


@given(_boxes(), st.floats(0.01, 4), st.floats(0.01, 4))
def test_scaling_there_and_back(box: list[float], x: float, y: float) -> None:
    assert scaled(scaled(box, x, y), 1 / x, 1 / y) == pytest.approx(box, rel=1e-9)


def test_polygons_keypoints_and_areas_follow_a_resize() -> None:
    coco = {
        "image_id": 7,
        "segmentation": [[[0, 0, 10, 0, 10, 20]], None],
        "keypoints": [[2, 4, 2, 0, 0, 0], None],
        "area": [100, None],
        "iscrowd": [0, 1],
    }
    found = scaled_extra({"coco": coco, "a": 1}, 0.5, 2.0)
    assert found == {
        "a": 1,
        "coco": {
            "image_id": 7,
            "segmentation": [[[0, 0, 5, 0, 5, 40]], None],
            "keypoints": [[1, 8, 2, 0, 0, 0], None],
            "area": [100, None],
            "iscrowd": [0, 1],
        },
    }
    assert coco["keypoints"] == [[2, 4, 2, 0, 0, 0], None], "the record's own stay as they are"


@pytest.mark.filterwarnings("ignore:.*copy keyword:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("is_compressed", [True, False])
def test_a_run_length_mask_follows_a_resize(is_compressed: bool) -> None:
    pixels = np.zeros((20, 30), np.uint8)
    pixels[4:12, 6:18] = 1
    rle = codec.encode(np.asfortranarray(pixels))
    value = {"size": [20, 30], "counts": rle["counts"].decode()}
    if not is_compressed:
        flat = pixels.flatten(order="F")
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *edges, len(flat)]).tolist()
        value = {"size": [20, 30], "counts": counts}
    found = resized_rle(value, 0.5, 0.5)
    assert np.array_equal(codec.decode(found), pixels[1::2, 1::2])
    assert resized_rle({"no": "mask"}, 0.5, 0.5) == {"no": "mask"}


@pytest.mark.parametrize(
    "value",
    [
        {"size": [10**9, 10**9], "counts": [1]},
        {"size": [4, 4], "counts": [10**6]},
        {"size": [4, 4], "counts": "no mask at all ~~~~"},
        {"size": [-1, 4], "counts": [0]},
        {"size": "ab", "counts": [0]},
        {"size": [4, 4], "counts": ["x"]},
    ],
)
def test_a_hostile_mask_is_left_out(value: object) -> None:
    assert resized_rle(value, 0.5, 0.5) is None
