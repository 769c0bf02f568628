"""Joining tables with the truth, and comparing two runs."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp

from cvdata.errors import ConfigError
from cvdata.evaluate import (
    class_ids,
    classification,
    coco_scores,
    compare,
    labelled,
    objects_of_predictions,
    objects_of_records,
)
from cvdata.schema import BOX

NAMES = ["great white shark", "crane", "tench", "crane", "T-shirt"]


def ids(*numbers: int) -> pa.Array:
    return pa.array([bytes([n]) * 16 for n in numbers], pa.binary(16))


def predictions(numbers: list[int], label_ids: list, scores: list) -> pa.Table:
    names = [None if row is None else [NAMES[i] for i in row] for row in label_ids]
    return pa.table(
        {
            "image_id": ids(*numbers),
            "label_ids": pa.array(label_ids, pa.list_(pa.int32())),
            "labels": pa.array(names, pa.list_(pa.string())),
            "scores": pa.array(scores, pa.list_(pa.float32())),
        }
    )


def test_labels_become_classes() -> None:
    labels = ["Great_White_Shark", "tench", "crane", "t shirt", "2", "17", None, "owl"]
    assert class_ids(labels, NAMES).tolist() == [0, 2, -1, 4, 2, -1, -1, -1]


def test_sorted_folders_become_classes() -> None:
    labels = ["n03", "n01", None, "n02", "n03"]
    assert class_ids(labels, ["a", "b", "c"], is_sorted=True).tolist() == [2, 0, -1, 1, 2]
    with pytest.raises(ConfigError, match="3 labels cannot be the 5 classes"):
        class_ids(labels, NAMES, is_sorted=True)


def test_only_images_with_both_are_judged() -> None:
    records = pa.table({"image_id": ids(3, 1, 2, 4), "label": ["tench", "T-shirt", None, "tench"]})
    found = predictions(
        [4, 1, 2, 3], [None, [4, 0], [2, 0], [0, 2]], [None, [0.9, 0.1], [0.8, 0.2], [0.6, 0.4]]
    )
    ours = labelled(records, found, NAMES)
    assert ours.image_ids == ids(1, 3)
    assert ours.truth.tolist() == [4, 2]
    assert ours.label_ids.tolist() == [[4, 0], [0, 2]]
    assert (ours.n_unlabelled, ours.n_failed) == (1, 1)
    assert classification(ours.truth, ours.label_ids, ours.scores, 5).accuracy == 0.5


def test_detections_are_no_classification() -> None:
    records = pa.table({"image_id": ids(1, 2), "label": ["tench", "tench"]})
    with pytest.raises(ConfigError, match="differing numbers"):
        labelled(records, predictions([1, 2], [[2], [2, 0]], [[1.0], [0.5, 0.5]]), NAMES)


def test_boxes_of_tables_reach_coco() -> None:
    boxes = [
        [{"label": "tench", "xyxy": [0, 0, 20, 20]}, {"label": "owl", "xyxy": [0, 0, 9, 9]}],
        None,
    ]
    records = pa.table({"boxes": pa.array(boxes, pa.list_(BOX))})
    found = predictions([1, 2], [[2], None], [[0.9], None]).append_column(
        "xyxy", pa.array([[[0, 0, 20, 20]], None], pa.list_(pa.list_(pa.float32(), 4)))
    )
    truth = objects_of_records(records, NAMES)
    assert [len(o.label_ids) for o in truth] == [1, 0]
    assert coco_scores(truth, objects_of_predictions(found)).stats["map"] == pytest.approx(1)


def test_flips_and_drift_of_two_runs() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.uniform(0.5, 1, (2, 50))
    before = predictions(list(range(50)), [[i % 5] for i in range(50)], old[:, None].tolist())
    labels = [[(i + (i in (7, 30))) % 5] for i in range(52)]
    scores = [*new[:, None].tolist(), [0.5], [0.5]]
    after = predictions(list(range(52)), labels, scores)
    ours = compare(before, after)
    assert (ours.n, ours.n_only_before, ours.n_only_after) == (50, 0, 2)
    assert set(ours.flips["image_id"].to_pylist()) == set(ids(7, 30).to_pylist())
    # 7: tench -> crane, 30: shark -> crane.
    assert set(ours.flips["before"].to_pylist()) == {"tench", "great white shark"}
    assert ours.flip_rate == pytest.approx(0.04)
    assert ours.score_drift == pytest.approx(ks_2samp(old, new).statistic, abs=1e-6)
    assert ours.score_shift == pytest.approx((new - old).mean(), abs=1e-6)
    assert ours.exceeds(0.03, 1)
    assert ours.exceeds(1, 0.01)
    assert not ours.exceeds(0.04, 1)


def test_a_run_equals_itself() -> None:
    run = predictions([1, 2, 3], [[0], [1], None], [[0.5], [0.9], None])
    ours = compare(run, run)
    assert (ours.n, ours.flip_rate, ours.score_drift) == (2, 0, 0)


def test_a_detector_that_goes_blind_is_a_flip_of_everything() -> None:
    """An image without findings has an answer: nothing. An error is none."""
    seen = predictions([1, 2, 3, 4], [[0], [1], [], None], [[0.5], [0.9], [], None])
    blind = predictions([1, 2, 3, 4], [[], [], [], None], [[], [], [], None])
    ours = compare(seen, blind)
    assert (ours.n, ours.n_flips) == (3, 2)
    assert ours.flips["before"].to_pylist() == ["great white shark", "crane"]
    assert ours.flips["after"].to_pylist() == [None, None]
    assert ours.score_drift == pytest.approx(2 / 3)
    assert ours.score_shift == pytest.approx(-(0.5 + 0.9) / 3)
    back = compare(blind, seen)
    assert back.flips["after"].to_pylist() == ["crane", "great white shark"], "the surest first"
    assert compare(blind, blind).n_flips == 0
    assert ours.exceeds(0.5, 1)
