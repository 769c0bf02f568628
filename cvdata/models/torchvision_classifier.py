"""torchvision's classifiers: a builder, its weights, and where its embedding is taken."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cvdata.models.base import IMAGENET, Normalise
from cvdata.models.resizing import CenterCrop
from cvdata.models.weights import Weights, locate

_FLAGS = {
    "googlenet": {"aux_logits": True, "init_weights": False},
    "inception_v3": {"aux_logits": True, "init_weights": False},
}
"""What these builders need for their state dicts to fit."""


LICENCE = "BSD-3-Clause (torchvision); its weights under the terms of their data sets"


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
    licence: str = LICENCE

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
                _without_auxiliaries(model)
                model.transform_input = self.weights is not None
            module = parts.Classifier(pixels, *parts.split_head(model))
        return module, labels, ("embedding", "probabilities")


def embedding_dimension(builder: str, n_classes: int) -> int:
    """Length of the builder's penultimate features, without allocating its weights."""
    from torchvision import models

    from cvdata.models.torch_network import WithoutMemory, split_head

    if builder.startswith("squeezenet"):
        return 512
    flags: dict[str, Any] = _FLAGS.get(builder, {})
    with WithoutMemory():
        model = models.get_model(builder, weights=None, num_classes=n_classes, **flags)
    _without_auxiliaries(model)
    return split_head(model)[1].in_features


def _without_auxiliaries(model: Any) -> None:
    """GoogLeNet's and Inception's side classifiers are linear too, and run in training only."""
    for name in ("aux1", "aux2", "AuxLogits"):
        if hasattr(model, name):
            model.aux_logits = False
            setattr(model, name, None)


def _densenet_key(key: str) -> str:
    """DenseNet's published files still have `norm.1` where the modules say `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key)


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 class names by class id, as torchvision gives them."""
    from torchvision.models import MobileNet_V2_Weights

    return tuple(MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])
