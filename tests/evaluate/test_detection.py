"""COCO's numbers: pycocotools on JSON files of its own, and average precision by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from cvdata.errors import ConfigError
from cvdata.evaluate import Objects, coco_scores
from cvdata.evaluate.detection import STATS
from cvdata.models.restoring import encode_mask


def made(n: int, seed: int) -> tuple[list[Objects], list[Objects]]:
    """Images with boxes of all sizes and findings that are near, doubled, wrong or missing."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(n):
        k = int(rng.integers(0, 6))
        corner = rng.uniform(0, 300, (k, 2))
        xyxy = np.concatenate([corner, corner + rng.uniform(5, 150, (k, 2))], axis=1)
        labels = rng.integers(1, 4, k)
        truth.append(Objects(labels, xyxy, is_crowd=rng.random(k) < 0.1))
        keep = rng.random(k) < 0.8
        near = xyxy[keep] + rng.normal(0, 4, (keep.sum(), 4))
        stray = rng.uniform(0, 300, (2, 2))
        boxes = np.concatenate([near, near, np.concatenate([stray, stray + 40], axis=1)])
        ids = np.concatenate([labels[keep], labels[keep], rng.integers(1, 4, 2)])
        found.append(Objects(ids, boxes, rng.random(len(ids))))
    return truth, found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_pycocotools_on_files(seed: int, tmp_path: Path, capsys) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = made(40, seed)
    xywh = lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]  # noqa: E731
    annotations = [
        {"image_id": i, "category_id": int(label), "bbox": xywh(box), "iscrowd": int(crowd),
         "area": (box[2] - box[0]) * (box[3] - box[1])}
        for i, o in enumerate(truth)
        for label, box, crowd in zip(o.label_ids, o.xyxy.tolist(), o.is_crowd, strict=True)
    ]  # fmt: skip
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    results = [
        {"image_id": i, "category_id": int(label), "bbox": xywh(box), "score": score}
        for i, o in enumerate(found)
        for label, box, score in zip(o.label_ids, o.xyxy.tolist(), o.scores.tolist(), strict=True)
    ]
    (tmp_path / "truth.json").write_text(json.dumps({
        "info": {}, "images": [{"id": i} for i in range(40)], "annotations": annotations,
        "categories": [{"id": c, "name": str(c)} for c in (1, 2, 3)],
    }))  # fmt: skip
    (tmp_path / "found.json").write_text(json.dumps(results))
    oracle = COCO(str(tmp_path / "truth.json"))
    evaluation = COCOeval(oracle, oracle.loadRes(str(tmp_path / "found.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    capsys.readouterr()
    ours = coco_scores(truth, found)
    assert capsys.readouterr().out == ""
    np.testing.assert_allclose([ours.stats[name] for name in STATS], evaluation.stats, atol=1e-6)
    assert 0.1 < ours.stats["map"] < 0.9
    assert np.mean(list(ours.by_class.values())) == pytest.approx(ours.stats["map"])


def test_average_precision_by_hand() -> None:
    """Three objects; findings hit, miss, hit: precision 1 to recall 1/3, then 2/3 to recall 2/3."""
    boxes = np.array([[0, 0, 50, 50], [100, 0, 150, 50], [0, 100, 50, 150]], float)
    truth = [Objects(np.ones(3, int), boxes)]
    found = boxes.copy()
    found[1] += 300
    findings = [Objects(np.ones(3, int), found[[0, 1, 2]], np.array([0.9, 0.8, 0.7]))]
    recall = np.linspace(0, 1, 101)
    expected = np.mean(np.where(recall <= 1 / 3, 1, np.where(recall <= 2 / 3, 2 / 3, 0)))
    stats = coco_scores(truth, findings).stats
    assert stats["map"] == stats["map_50"] == pytest.approx(expected)
    assert stats["mar_100"] == pytest.approx(2 / 3)
    assert stats["map_small"] == -1


def test_perfect_masks_and_keypoints_score_one_and_shifted_ones_less() -> None:
    mask = np.zeros((80, 80), bool)
    mask[10:60, 10:60] = True
    box = np.array([[10, 10, 60, 60]], float)
    points = np.array([[[20, 20, 2], [40, 30, 2], [30, 50, 1]] + [[0, 0, 0]] * 14], float)
    truth = [Objects(np.ones(1, int), box, masks=[encode_mask(mask)], keypoints=points)]
    score = np.ones(1)
    for kind in ("segm", "keypoints"):
        same = [Objects(np.ones(1, int), box, score, [encode_mask(mask)], points)]
        assert coco_scores(truth, same, kind).stats["map"] == pytest.approx(1)
        moved = [Objects(np.ones(1, int), box, score, [encode_mask(np.roll(mask, 12, 1))],
                         points + np.array([12, 0, 0]))]  # fmt: skip
        assert coco_scores(truth, moved, kind).stats["map"] < 0.8


def test_nothing_found_scores_zero() -> None:
    truth, _ = made(5, 2)
    none = [Objects(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))] * 5
    assert coco_scores(truth, none).stats["map"] == 0


def test_what_does_not_fit_is_refused() -> None:
    truth, found = made(3, 0)
    with pytest.raises(ConfigError, match="3 images of truth, 2 of findings"):
        coco_scores(truth, found[:2])
    with pytest.raises(ConfigError, match="kind is"):
        coco_scores(truth, found, "boxes")
    with pytest.raises(ConfigError, match="needs masks"):
        coco_scores(made(40, 0)[0], made(40, 0)[1], "segm")
