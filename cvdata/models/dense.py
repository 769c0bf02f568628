"""torchvision's detectors, keypoint finders and segmenters, with their own NMS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.models.assembly import Execution
from cvdata.models.base import Batch, Normalise, Prediction, device_name
from cvdata.models.weights import Weights, locate

Found = Mapping[str, npt.NDArray[Any]]

_ZERO_EPS = frozenset({"258fb6c6", "bf2d0c1e", "fc266e95", "eeacb38b"})
"""Faster, Mask, Keypoint R-CNN and RetinaNet (ResNet-50, COCO_V1): these published weights go with
batch norms of eps 0 in the backbone, which the file does not say; torchvision sets it so."""


@dataclass(frozen=True)
class TorchvisionDense:
    """A detection, keypoint or segmentation builder; `arguments` are the builder's own."""

    builder: str
    weights: Weights | None
    labels: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def build(self, allow_download: bool) -> Any:
        """The torch module in eval mode."""
        import torch
        from torchvision import models

        from cvdata.models import torch_network as parts

        arguments = {"num_classes": len(self.labels), **self.arguments}
        if self.weights is not None and self.builder.startswith(("fcn", "deeplab")):
            arguments["aux_loss"] = True
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = models.get_model(self.builder, weights=None, weights_backbone=None, **arguments)
        if self.weights is not None:
            path = locate(self.weights, f"torchvision/{self.builder}", allow_download).path
            parts.load_state(model, path)
            if self.weights.sha256[:8] in _ZERO_EPS:
                for part in model.backbone.body.modules():
                    if isinstance(part, torch.nn.BatchNorm2d):
                        part.eps = 0.0
        return model.eval()


@dataclass
class DetectionNetwork:
    """Boxes, and masks or keypoints where the model has them: one dict of arrays an image."""

    source: TorchvisionDense
    min_score: float = 0.0
    execution: Execution = field(default_factory=Execution)
    _run: Any = field(default=None, init=False, repr=False, compare=False)

    def setup(self, device: str) -> None:
        """Load onto `device`."""
        from cvdata.models.torch_network import DetectorInput, TorchRunner

        module = DetectorInput(self.source.build(self.execution.allow_download))
        execution = replace(self.execution, compile=False)
        self._run = TorchRunner(module, device_name(device), execution)

    def __call__(self, batch: Batch) -> list[Found]:
        """Per image: boxes (k, 4), labels (k,), scores (k,), masks bool (k, H, W), keypoints.

        Only pictures of one size run together: torchvision pads a mixed batch to its largest, and
        what a detector finds would then depend on the picture's neighbours.
        """
        found: list[Found] = []
        for _, group in groupby(batch, key=lambda image: image.shape):
            found += [self._host(one) for one in self._run(list(group))]
        return found

    def _host(self, found: Mapping[str, Any]) -> Found:
        is_kept = found["scores"] >= self.min_score
        kept = {key: value[is_kept] for key, value in found.items()}
        if "masks" in kept:
            # torchvision pastes soft masks into the image; 0.5 is its own threshold.
            kept["masks"] = kept["masks"][:, 0] > 0.5
        return {key: value.cpu().numpy() for key, value in kept.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Without what was loaded: it is loaded again where it is needed."""
        return {**self.__dict__, "_run": None}


@dataclass
class SegmentationNetwork:
    """The most probable class of every pixel and its probability, per image."""

    source: TorchvisionDense
    normalise: Normalise
    execution: Execution = field(default_factory=Execution)
    _run: Any = field(default=None, init=False, repr=False, compare=False)

    def setup(self, device: str) -> None:
        """Load onto `device`."""
        from cvdata.models.torch_network import Segmenter, TorchRunner

        module = Segmenter(self.normalise, self.source.build(self.execution.allow_download))
        self._run = TorchRunner(module, device_name(device), self.execution)

    def __call__(self, batch: Batch) -> list[Found]:
        """Per image: classes int64 (H, W), probabilities float32 (H, W)."""
        found: list[Found] = []
        for image in batch:
            classes, probabilities = self._run(image[None])
            found.append(
                {
                    "classes": classes[0].cpu().numpy(),
                    "probabilities": probabilities[0].float().cpu().numpy(),
                }
            )
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without what was loaded: it is loaded again where it is needed."""
        return {**self.__dict__, "_run": None}


@dataclass(frozen=True)
class Findings:
    """A detector's dicts as predictions, best first; `parts` are kept beside the boxes."""

    parts: tuple[str, ...] = ()

    def __call__(self, outputs: Sequence[Found]) -> list[Prediction]:
        """One prediction an image."""
        return [self._one(found) for found in outputs]

    def _one(self, found: Found) -> Prediction:
        order = np.argsort(-found["scores"], kind="stable")
        return Prediction(
            found["labels"][order].astype(np.int32),
            found["scores"][order].astype(np.float32),
            xyxy=found["boxes"][order].astype(np.float32),
            keypoints=self._keypoints(found, order) if "keypoints" in self.parts else None,
            masks=found["masks"][order] if "masks" in self.parts else None,
        )

    @staticmethod
    def _keypoints(found: Found, order: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """x, y, and the heat map's score in place of torchvision's constant visibility."""
        points = found["keypoints"][order].astype(np.float32)
        points[..., 2] = found["keypoints_scores"][order]
        return points


@dataclass(frozen=True)
class Regions:
    """A label map as one mask a class, most certain first; class 0, the background, is left out.

    The score is the mean probability of the class over its pixels.
    """

    def __call__(self, outputs: Sequence[Found]) -> list[Prediction]:
        """One prediction an image."""
        return [self._one(found["classes"], found["probabilities"]) for found in outputs]

    def _one(
        self, classes: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]
    ) -> Prediction:
        n = np.bincount(classes.ravel())
        total = np.bincount(classes.ravel(), probabilities.ravel().astype(np.float64))
        present = np.flatnonzero(n)
        present = present[present > 0]
        scores = (total[present] / n[present]).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        ids = present[order].astype(np.int32)
        masks = classes[None] == ids[:, None, None]
        return Prediction(ids, scores[order], masks=masks)
