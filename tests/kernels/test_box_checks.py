"""Box checks against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.kernels.box_checks import box_sides, max_overlap, outside_fraction, row_max

COORDINATE = st.integers(-20, 60)
BOXES = st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=14)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    if min(a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]) <= 0:
        return 0.0
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union


@settings(deadline=None)
@given(BOXES, st.data())
def test_max_overlap_is_brute_force(boxes: list[tuple[int, ...]], data: st.DataObject) -> None:
    xyxy = np.array(boxes, dtype=float).reshape(-1, 4)
    m = len(xyxy)
    rows = np.sort(np.array(data.draw(st.lists(st.integers(0, 3), min_size=m, max_size=m)), int))
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=m, max_size=m)), int)
    expected = np.zeros(4)
    for i in range(m):
        for j in range(i):
            if rows[i] == rows[j] and labels[i] == labels[j]:
                expected[rows[i]] = max(expected[rows[i]], iou(xyxy[i], xyxy[j]))
    found = max_overlap(xyxy, rows * 2 + labels, rows, 4)
    assert found == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), st.integers(0, 2))
def test_outside_fraction_counts_cells(box: tuple[int, ...], tolerance: int) -> None:
    """With integer corners the area outside is a number of unit cells."""
    width, height = 30, 20
    x0, y0, x1, y1 = box
    found = outside_fraction(
        np.array([box], float), np.array([30.0]), np.array([20.0]), float(tolerance)
    )[0]
    if x1 <= x0 or y1 <= y0:
        assert np.isnan(found)
        return
    xs, ys = np.arange(x0, x1), np.arange(y0, y1)
    inside_x = ((xs >= -tolerance) & (xs < width + tolerance)).sum()
    inside_y = ((ys >= -tolerance) & (ys < height + tolerance)).sum()
    assert found == pytest.approx(1 - inside_x * inside_y / (len(xs) * len(ys)), abs=1e-12)


def test_hostile_coordinates_neither_warn_nor_count() -> None:
    inf, nan = np.inf, np.nan
    xyxy = np.array([[-inf, 0, inf, 5], [inf, inf, inf, inf], [nan, 0, 1, 1], [0, 0, 3e38, 3e38]])
    size = np.full(4, 10.0)
    fractions = outside_fraction(xyxy, size, size, 1.0)
    assert np.isnan(fractions[:3]).all()
    assert fractions[3] == pytest.approx(1.0)
    assert np.isnan(box_sides(xyxy)[0][1])
    zeros = np.zeros(4, dtype=np.int64)
    assert np.isfinite(max_overlap(xyxy, zeros, zeros, 1)).all()


def test_row_max_skips_nan_and_empty_rows() -> None:
    found = row_max(np.array([0.2, np.nan, 0.7, np.nan]), np.array([0, 0, 0, 2]), 4)
    assert found.tolist() == [0.7, 0.0, 0.0, 0.0]
