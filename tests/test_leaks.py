"""Every pair across splits, every disagreement among copies, and nothing else."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata import leaks, schema
from cvdata.duplicates import tables
from cvdata.duplicates.groups import Stars
from cvdata.errors import ConfigError
from cvdata.kernels.graph import Neighbors

SPLITS = [None, "train", "test", "external:eval"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Neighbors, list[str | None]]:
    n_units = draw(st.integers(1, 8))
    units = draw(st.lists(st.integers(0, n_units - 1), min_size=1, max_size=20))
    pairs = [(a, b) for a in range(n_units) for b in range(a + 1, n_units)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    split = [draw(st.sampled_from(SPLITS)) for _ in units]
    a = np.array([edge[0] for edge in edges], np.int32)
    b = np.array([edge[1] for edge in edges], np.int32)
    distance = np.arange(1, len(edges) + 1, dtype=np.float32)
    return Neighbors(np.array(units, np.int32), n_units, a, b, distance), split


def images_of(split: list[str | None]) -> pa.Table:
    ids = [schema.image_id("s", bytes([i])) for i in range(len(split))]
    return pa.table({"image_id": pa.array(ids, schema.ID), "split": pa.array(split, pa.string())})


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_every_cross_split_pair_once(graph: tuple[Neighbors, list[str | None]]) -> None:
    neighbors, split = graph
    images = images_of(split)
    ids = images["image_id"].to_pylist()
    distance = {
        (int(a), int(b)): float(d)
        for a, b, d in zip(neighbors.a, neighbors.b, neighbors.distance, strict=True)
    }
    expected = {}
    for i in range(len(split)):
        for j in range(i + 1, len(split)):
            pair = tuple(sorted((int(neighbors.unit[i]), int(neighbors.unit[j]))))
            near = 0.0 if pair[0] == pair[1] else distance.get(pair)  # type: ignore[arg-type]
            if near is None or split[i] is None or split[j] is None or split[i] == split[j]:
                continue
            low, high = sorted((i, j), key=lambda row: ids[row])
            expected[ids[low], ids[high]] = (split[low], split[high], near)
    table = leaks.leaks_table("perceptual", images, neighbors)
    assert table.schema == schema.LEAKS
    rows = table.to_pylist()
    found = {(r["id_a"], r["id_b"]): (r["split_a"], r["split_b"], r["distance"]) for r in rows}
    assert found == expected
    assert len(rows) == len(expected)
    counts = [sum(image_id in pair for pair in expected) for image_id in ids]
    assert leaks.leaking_images(images, neighbors).tolist() == counts


def test_an_explosion_is_refused() -> None:
    same = Neighbors(np.zeros(100, np.int32), 1, *(np.empty(0, t) for t in ("i4", "i4", "f4")))
    images = images_of(["train"] * 50 + ["test"] * 50)
    assert len(leaks.leaks_table("exact_pixels", images, same)) == 2500
    with pytest.raises(ConfigError, match="remove exact copies"):
        leaks.leaks_table("exact_pixels", images, same, max_pairs=100)
    assert leaks.leaking_images(images, same).tolist() == [50] * 100


def test_label_conflicts() -> None:
    labels = ["cat", "cat", "dog", None, "cat", "dog", "owl", "owl"]
    box = [{"label": "car", "xyxy": [0.0, 0, 1, 1]}]
    boxes = [box, box, box, [], box, None, box, box + box]
    images = images_of([None] * 8).append_column("revision", pa.array(["1"] * 8))
    stars = Stars(np.array([0, 0, 0, 0, 4, 4, 6, 6], np.int32), np.zeros(8, np.float32))
    duplicates = tables.duplicates_table("exact_pixels", images, stars)
    records = images.append_column("label", pa.array(labels)).append_column(
        "boxes", pa.array(boxes, pa.list_(schema.BOX))
    )
    found = leaks.conflicts_table(duplicates, records)
    assert found.schema == schema.CONFLICTS
    row_of = {image_id: i for i, image_id in enumerate(images["image_id"].to_pylist())}
    told = {
        (row_of[r["image_id"]], r["kind"]): (r["value"], r["majority"], r["is_majority"])
        for r in found.to_pylist()
    }
    assert told == {
        (0, "label"): ("cat", "cat", True),
        (1, "label"): ("cat", "cat", True),
        (2, "label"): ("dog", "cat", False),
        (3, "label"): (None, "cat", False),
        (4, "label"): ("cat", None, False),
        (5, "label"): ("dog", None, False),
        (6, "boxes"): ("car×1", None, False),
        (7, "boxes"): ("car×2", None, False),
    }
