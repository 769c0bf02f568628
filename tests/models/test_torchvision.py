"""Every torchvision image builder resolves; ours equals what torchvision itself builds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from cvdata.errors import ConfigError
from cvdata.models import ModelOptions, Task, resolve
from cvdata.models.assembly import Execution
from cvdata.models.from_torchvision import builders
from cvdata.models.torchvision_classifier import embedding_dimension

EAGER = Execution(runtime="torch")


def test_every_builder_resolves() -> None:
    names = builders()
    assert len(names) == len(set(names)) >= 98
    for name in names:
        if name not in models.list_models(module=models) or name in ("resnet18", "vit_b_16"):
            model = resolve(f"torchvision/{name}", ModelOptions(weights="random"))
            assert len(model.fingerprint) == 64
            assert model.name == f"torchvision/{name}"


@pytest.mark.slow
def test_every_classifier_has_a_dimension() -> None:
    for name in models.list_models(module=models):
        assert embedding_dimension(name, 1000) > 0


@pytest.mark.parametrize(
    "builder", ["squeezenet1_1", "densenet121", "googlenet", "shufflenet_v2_x0_5", "resnet18"]
)
def test_weights_from_torchs_cache_give_what_torchvision_gives(
    builder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in torch's cache, as torchvision would leave it, read by both."""
    entry = models.get_model_weights(builder).IMAGENET1K_V1
    flags = {"init_weights": False} if builder == "googlenet" else {}
    torch.manual_seed(0)
    state = models.get_model(builder, weights=None, **flags).state_dict()
    path = tmp_path / "hub" / "checkpoints" / "made.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    target = path.with_name(entry.url.rpartition("/")[2])
    target.write_bytes(path.read_bytes())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="is not the weights of"):
        resolve(f"torchvision/{builder}", ModelOptions(weights="IMAGENET1K_V1"))
    digest = __import__("hashlib").sha256(target.read_bytes()).hexdigest()
    options = ModelOptions(
        weights=str(target), sha256=digest, task=Task.CLASSIFY, top_k=1000, execution=EAGER
    )
    model = resolve(f"torchvision/{builder}", options)
    model.setup("cpu")
    theirs = models.get_model(builder, weights=entry).eval()
    rgb = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    with torch.inference_mode():
        expected = theirs(entry.transforms()(Image.fromarray(rgb))[None]).softmax(dim=1)[0].numpy()
    found = model(model.prepare(rgb).pixels[None])[0]
    np.testing.assert_allclose(found.scores, expected[found.label_ids], atol=1e-5)
    np.testing.assert_allclose(found.scores, np.sort(expected)[::-1], atol=1e-5)
    assert model.labels[3] == entry.meta["categories"][3]


@pytest.mark.parametrize("builder", ["fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_a_trained_detectors_file_fits(
    builder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision builds frozen batch norms for trained weights: other keys, the same numbers."""
    entry = models.get_model_weights(builder).DEFAULT
    torch.manual_seed(2)
    net = models.get_model(builder, weights=None, weights_backbone=None, num_classes=91)
    state = {k: v for k, v in net.state_dict().items() if "num_batches_tracked" not in k}
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    file = folder / entry.url.rpartition("/")[2]
    torch.save(state, file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    small = {"min_size": 64, "max_size": 96, "box_score_thresh": 0.0, "box_detections_per_img": 4}
    theirs = models.get_model(builder, weights=entry, **small).eval()
    digest = __import__("hashlib").sha256(file.read_bytes()).hexdigest()
    model = resolve(
        f"torchvision/{builder}", ModelOptions(weights=str(file), sha256=digest, parameters=small)
    )
    model.setup("cpu")
    rgb = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    with torch.inference_mode():
        expected = theirs([torch.from_numpy(rgb).permute(2, 0, 1).float() / 255])[0]
    found = model([model.prepare(rgb).pixels])[0]
    np.testing.assert_allclose(found.scores, expected["scores"].numpy(), atol=1e-6)
    np.testing.assert_allclose(found.xyxy, expected["boxes"].numpy(), atol=1e-3)


def test_embedding_is_the_input_of_the_last_layer() -> None:
    model = resolve("torchvision/resnet18", ModelOptions(weights="random", seed=5, execution=EAGER))
    model.setup("cpu")
    rgb = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    torch.manual_seed(5)
    net = models.resnet18(weights=None).eval()
    net.fc = torch.nn.Identity()
    transforms = models.ResNet18_Weights.DEFAULT.transforms()
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(net(transforms(Image.fromarray(rgb))[None]))
    np.testing.assert_allclose(model(model.prepare(rgb).pixels[None]), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("torchvision/resnet51", {}, "did you mean 'resnet50'"),
        ("torchvision/resnet18", {}, "allow the download of https://download.pytorch.org"),
        ("torchvision/resnet18", {"weights": "IMAGENET1K_V9"}, "IMAGENET1K_V1"),
        ("torchvision/resnet18", {"weights": "random", "task": Task.DETECT}, "not detect"),
        ("torchvision/lraspp_mobilenet_v3_large", {"weights": "random", "task": Task.EMBED},
         "can segment"),
        ("mobilenetv2", {}, "did you mean 'mobilenet_v2'"),
        ("mobilenet_v2", {"weights": "random", "task": Task.OCR}, "not ocr"),
        ("no.such.package:Model", {}, "cannot make a model"),
        (":Model", {}, "cannot make a model"),
        ("mobilenet_v2", {"parameters": {"resize": "crop"}}, "takes no model parameters .resize."),
        ("rapidocr", {"parameters": {"side": 2}}, "takes no model parameters .side."),
        ("open_nsfw", {"weights": "w.onnx", "sha256": "0" * 64}, "has its own weights"),
        ("centerface", {"weights": "random"}, "has its own weights"),
    ],
)  # fmt: skip
def test_a_bad_request_says_what_to_change(
    name: str, options: dict, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=match):
        resolve(name, ModelOptions(**options))


@pytest.mark.parametrize(
    ("fields", "match"),
    [({"runtime": "tensorrt"}, "runtime is one of auto, onnx, torch"),
     ({"precision": "fp16"}, "precision is one of float32, float16, bfloat16")],
)  # fmt: skip
def test_how_a_model_is_run_is_one_of_a_few_words(fields: dict[str, str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Execution(**fields)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so it is used")
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        "torchvision/ssdlite320_mobilenet_v3_large",
        "torchvision/lraspp_mobilenet_v3_large",
    ],
)
def test_a_gpu_that_is_not_there_is_no_bug_of_torch(name: str) -> None:
    model = resolve(name, ModelOptions(weights="random"))
    with pytest.raises(ConfigError, match=r"torch sees no GPU here.* device: auto"):
        model.setup("cuda")
