"""torchvision's detectors, keypoint finders and segmenters: rows equal a direct call."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torchvision import models

from cvdata.models import ModelOptions, Prediction, Task, resolve
from cvdata.models.batching import Runner
from cvdata.models.restoring import decode_mask
from cvdata.models.rows import schema, to_table

SMALL = {"min_size": 64, "max_size": 128, "box_detections_per_img": 4, "box_score_thresh": 0.0}
DETECTORS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": SMALL,
    "ssdlite320_mobilenet_v3_large": {"score_thresh": 0.0, "detections_per_img": 4},
    "maskrcnn_resnet50_fpn": SMALL,
    "keypointrcnn_resnet50_fpn": SMALL,
    "retinanet_resnet50_fpn": {"min_size": 64, "max_size": 128, "score_thresh": 0.0,
                               "detections_per_img": 4},
}  # fmt: skip


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    shapes = [(90, 120, 3), (130, 64, 3), (1, 1, 3)]
    return [rng.integers(0, 256, shape, np.uint8) for shape in shapes]


@pytest.mark.parametrize("builder", DETECTORS)
def test_detector_rows_equal_a_direct_call(builder: str, images: list[np.ndarray]) -> None:
    options = ModelOptions(weights="random", seed=3, parameters=DETECTORS[builder])
    model = resolve(f"torchvision/{builder}", options)
    runner = Runner(model, "cpu", batch_size=2)
    runner.setup()
    rows = to_table(model, keys(3), runner.predict(images)).to_pylist()
    for row, expected in zip(rows, direct(builder, model.labels, images), strict=True):
        order = np.argsort(-expected["scores"].numpy(), kind="stable")
        assert row["error"] is None
        assert row["label_ids"] == expected["labels"].numpy()[order].tolist()
        assert row["labels"] == [model.labels[i] for i in row["label_ids"]]
        np.testing.assert_allclose(row["scores"], expected["scores"].numpy()[order], atol=1e-5)
        xyxy = expected["boxes"].numpy()[order]
        np.testing.assert_allclose(np.reshape(row["xyxy"], (-1, 4)), xyxy, atol=1e-3)
        if "keypoints" in expected:
            points = expected["keypoints"].numpy()[order]
            np.testing.assert_allclose(
                np.array(row["keypoints"])[..., :2], points[..., :2], atol=1e-3
            )
        if "masks" in expected:
            masks = expected["masks"].numpy()[order, 0] > 0.5
            found = np.array([decode_mask(m) for m in row["masks"]])
            assert np.mean(found != masks) <= 1e-3


def direct(builder: str, labels: list[str], images: list[np.ndarray]) -> list[dict]:
    """torchvision alone, on the same tensors; degenerate boxes dropped, as in a row."""
    torch.manual_seed(3)
    arguments = dict(DETECTORS[builder])
    if builder.startswith("keypoint"):
        arguments["num_keypoints"] = 17
    net = models.get_model(
        builder, weights=None, weights_backbone=None, num_classes=len(labels), **arguments
    ).eval()
    tensors = [torch.from_numpy(rgb).permute(2, 0, 1).float() / 255 for rgb in images]
    with torch.inference_mode():
        found = [net([tensor])[0] for tensor in tensors]
    kept = []
    for one in found:
        sides = one["boxes"][:, 2:] - one["boxes"][:, :2]
        is_kept = (sides > 0).all(dim=1)
        kept.append({key: value[is_kept] for key, value in one.items()})
    return kept


@pytest.mark.parametrize("builder", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_segmenter_rows_equal_a_direct_call(builder: str, images: list[np.ndarray]) -> None:
    from torchvision.transforms.functional import normalize

    model = resolve(f"torchvision/{builder}", ModelOptions(weights="random", seed=1))
    runner = Runner(model, "cpu", batch_size=2)
    runner.setup()
    rgb = images[0]
    row = to_table(model, keys(1), runner.predict([rgb])).to_pylist()[0]
    torch.manual_seed(1)
    net = models.get_model(
        builder, weights=None, weights_backbone=None, num_classes=len(model.labels)
    ).eval()
    pixels = torch.tensor(model.prepare(rgb).pixels).permute(2, 0, 1).float() / 255
    pixels = normalize(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        shares = net(pixels[None])["out"].softmax(dim=1)[0]
    score, classes = (part.numpy() for part in shares.max(dim=0))
    ys = np.floor((np.arange(90) + 0.5) * classes.shape[0] / 90).astype(int)
    xs = np.floor((np.arange(120) + 0.5) * classes.shape[1] / 120).astype(int)
    assert sorted(row["label_ids"]) == sorted(set(np.unique(classes)) - {0})
    for label, mean, mask in zip(row["label_ids"], row["scores"], row["masks"], strict=True):
        np.testing.assert_array_equal(decode_mask(mask), (classes == label)[np.ix_(ys, xs)])
        assert mean == pytest.approx(score[classes == label].mean(), abs=1e-5)


def test_a_large_photo_is_shrunk_before_a_detector_and_boxes_come_back() -> None:
    model = resolve("torchvision/ssdlite320_mobilenet_v3_large", ModelOptions(weights="random"))
    prepared = model.prepare(np.zeros((3000, 4000, 3), np.uint8))
    assert prepared.pixels.shape == (800, 1066, 3)
    geometry = prepared.geometry
    assert (geometry.width, geometry.height) == (4000, 3000)
    assert geometry.scale_x == 1066 / 4000
    small = np.zeros((640, 480, 3), np.uint8)
    assert model.prepare(small).pixels.shape == small.shape


def test_masks_can_be_left_out() -> None:
    name, options = "torchvision/maskrcnn_resnet50_fpn", {"weights": "random", "parameters": SMALL}
    model = resolve(name, ModelOptions(task=Task.DETECT, **options))
    assert "masks" not in schema(model).names
    assert model.fingerprint != resolve(name, ModelOptions(**options)).fingerprint


def test_min_score_drops_what_is_below() -> None:
    options = {"weights": "random", "seed": 3, "parameters": SMALL}
    rgb = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    scores = []
    for least in (None, 0.6246):
        model = resolve(
            "torchvision/maskrcnn_resnet50_fpn", ModelOptions(min_score=least, **options)
        )
        runner = Runner(model, "cpu", batch_size=1)
        runner.setup()
        found = runner.predict([rgb])[0]
        assert isinstance(found, Prediction)
        scores.append(found.scores)
    assert (scores[0] < 0.6246).any()
    np.testing.assert_array_equal(scores[1], scores[0][scores[0] >= 0.6246])


def keys(n: int) -> pa.Table:
    ids = [bytes([i]) * 16 for i in range(n)]
    return pa.table({"image_id": pa.array(ids, pa.binary(16)), "revision": ["1"] * n})
