"""CLIP: both towers equal open_clip's own, from files that are proved before they are read."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from cvdata.errors import ConfigError
from cvdata.models import ModelOptions, Task, resolve
from cvdata.models.batching import Runner
from cvdata.models.text import TextEncoder, text_vectors
from cvdata.models.weights import file_digest

SMALL = "tiny-for-tests"
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2,
    },
}  # fmt: skip
WORDS = ["a red bicycle", "two dogs in the snow", "word " * 200]


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An architecture of two layers among open_clip's own."""
    path = tmp_path_factory.mktemp("configs") / f"{SMALL}.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict as LAION's releases hold it: of a model trained on several GPUs."""
    torch.manual_seed(11)
    model = open_clip.create_model(SMALL, load_weights=False)
    path = tmp_path_factory.mktemp("clip") / "small.pt"
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 32, "name": "test", "state_dict": state}, path)
    return path


def _given(path: Path) -> ModelOptions:
    return ModelOptions(weights=str(path), sha256=file_digest(path))


def test_both_towers_equal_open_clips(weights: Path, imagenet: list[np.ndarray]) -> None:
    net, _, transform = open_clip.create_model_and_transforms(SMALL, pretrained=str(weights))
    some = imagenet[:6]
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(rgb)) for rgb in some])
        images = net.eval().encode_image(batch, normalize=True).numpy()
        words = net.encode_text(open_clip.get_tokenizer(SMALL)(WORDS), normalize=True).numpy()
    model = resolve(f"open_clip/{SMALL}", _given(weights))
    assert isinstance(model, TextEncoder)
    assert model.encode_text is not None
    runner = Runner(model, "cpu", batch_size=4)
    runner.setup()
    found = np.stack(runner.predict(some))
    assert found.shape == (6, 32)
    assert model.dimension == 32
    np.testing.assert_allclose(found, images, atol=1e-4)
    assert (found * images).sum(axis=1).min() >= 0.9999
    np.testing.assert_allclose(text_vectors(model, WORDS), words, atol=1e-5)


def test_preprocessing_is_the_tags_own() -> None:
    for name, tag in (("ViT-B-16", "laion400m_e32"), ("MobileCLIP2-S0", "dfndr2b")):
        known = open_clip.pretrained.get_pretrained_cfg(name, tag)
        model = resolve(f"open_clip/{name}", ModelOptions(weights="random"))
        assert model.network.source.normalise.mean == tuple(known["mean"])  # type: ignore[attr-defined]
        assert model.resize.interpolation == known["interpolation"]  # type: ignore[attr-defined]
        side = open_clip.get_model_config(name)["vision_cfg"]["image_size"]
        assert model.size == (side, side)


def test_the_catalogues_pair_is_fetched_only_when_asked_and_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVDATA_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(ConfigError, match="--allow-download") as caught:
        resolve("clip_vit_b_32")
    assert "vit_b_32-quickgelu-laion400m_e32-46683a32.pt" in str(caught.value)
    (tmp_path / "weights").mkdir()
    other = tmp_path / "weights" / "vit_b_32-quickgelu-laion400m_e32-46683a32.pt"
    other.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="expected 46683a32"):
        resolve("clip_vit_b_32")


@pytest.mark.filterwarnings(
    "ignore:`torch.jit:FutureWarning", "ignore:.torch.load. received:UserWarning"
)
def test_what_is_no_state_dict_is_never_run(tmp_path: Path, weights: Path) -> None:
    archive = tmp_path / "archive.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), archive)
    other = tmp_path / "other.pt"
    torch.save({"visual.proj": torch.zeros(3, 3)}, other)
    for path in (archive, other):
        model = resolve(f"open_clip/{SMALL}", _given(path))
        with pytest.raises(ConfigError, match="is no state dict"):
            model.setup("cpu")
    with pytest.raises(ConfigError, match="is not the weights"):
        resolve(f"open_clip/{SMALL}", ModelOptions(weights=str(weights), sha256="0" * 64))


def test_a_request_that_cannot_be_met_says_what_to_change() -> None:
    cases = {
        ("ViT-B-33", None, None): "did you mean 'ViT-B-32'",
        ("ViT-B-32", None, None): "a published tag (openai, laion400m_e31",
        ("ViT-B-32", "laion2b_s34b_b79k", None): "at laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        ("ViT-B-32", "openai", None): "without its sha256",
        ("ViT-B-16-SigLIP", "random", None): "an architecture with its own",
        ("roberta-ViT-B-32", "random", None): "an architecture with its own",
        ("ViT-B-32", "random", Task.CLASSIFY): "can embed, not classify",
    }
    for (name, given, task), message in cases.items():
        with pytest.raises(ConfigError) as caught:
            resolve(f"open_clip/{name}", ModelOptions(task=task, weights=given))
        assert message in str(caught.value), name
