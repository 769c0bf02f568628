"""Objects counted by a fold: any cut of the rows gives the same; surprise leaves the image out."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.outliers.objects import CountFold, UnexpectedObjects, objects_column
from cvdata.outliers.rows import OBJECTS, Rows
from cvdata.schema import ID
from tests.outliers.making import ids_of

IMAGES = st.lists(
    st.tuples(
        st.sampled_from(["street", "zoo", None]),
        st.none() | st.lists(st.sampled_from(["car", "dog", "yak"]), max_size=4),
    ),
    max_size=30,
)


def table(images: list[tuple[str | None, list[str] | None]]) -> pa.Table:
    return pa.table(
        {
            "image_id": pa.array(ids_of(len(images)), ID),
            "label": pa.array([label for label, _ in images], pa.string()),
            OBJECTS: pa.array([objects for _, objects in images], pa.list_(pa.string())),
        }
    )


@settings(max_examples=60, deadline=None)
@given(IMAGES, st.integers(0, 30))
def test_counts_are_plain_counts_whatever_the_cut(
    images: list[tuple[str | None, list[str] | None]], cut: int
) -> None:
    fold, whole = CountFold(), table(images)
    parts = [fold.update(fold.zero(), part) for part in (whole[cut:], whole[:cut])]
    counts = fold.finalize(fold.merge(*parts))
    expected: Counter[tuple[str | None, str]] = Counter()
    for label, objects in images:
        for name in set(objects or ()):
            expected[None, name] += 1
            if label is not None:
                expected[label, name] += 1
    assert counts.objects == expected
    assert counts.images[None] == sum(objects is not None for _, objects in images)
    assert counts.labels == Counter(label for label, _ in images if label is not None)


def test_what_occurs_nowhere_else_is_most_surprising() -> None:
    images = [("street", ["car"])] * 60 + [("street", ["car", "yak"]), ("street", []), (None, None)]
    rows = Rows(table(images))
    counts = CountFold().update(CountFold().zero(), rows.table)
    method = UnexpectedObjects.fit(counts, None)
    scores = method.score(rows)
    assert np.argmax(np.nan_to_num(scores)) == 60
    assert scores[60] == pytest.approx(np.log2(62))
    assert scores[61] == 0
    assert np.isnan(scores[62])
    (told,) = method.explain(rows.take(np.array([60])))
    assert told["objects"][0] == {"label": "yak", "other_images": 0, "of": 62}
    within = UnexpectedObjects.fit(counts, "street")
    assert within.n_images == 62


def test_objects_are_of_boxes_and_sure_predictions() -> None:
    box = {"xyxy": [0.0, 0.0, 1.0, 1.0]}
    boxes = pa.array(
        [[{"label": "car", **box}, {"label": None, **box}], None, [], None],
        pa.list_(pa.struct([("label", pa.string()), ("xyxy", pa.list_(pa.float32(), 4))])),
    )
    rows = pa.table(
        {
            "boxes": boxes,
            "labels": pa.array([["dog"], ["yak", "dog"], None, None]),
            "scores": pa.array([[0.4], [0.9, 0.1], None, None], pa.list_(pa.float32())),
        }
    )
    found = objects_column(rows, 0.5)
    assert found is not None
    assert found.to_pylist() == [["car"], ["yak"], [], None]
    assert objects_column(rows.select([]), 0.5) is None
