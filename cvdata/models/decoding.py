"""What the outputs of an outside network mean: detections, label maps, pictures."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.kernels.nms import nms
from cvdata.models.assembly import Outputs
from cvdata.models.base import Floats, Prediction
from cvdata.models.dense import Regions

LAYOUTS = ("yolo", "yolo_objectness", "rows", "boxes")


@dataclass(frozen=True)
class Detections:
    """Boxes of a detector in prepared pixels.

    Layouts: `yolo` one output (N, 4 + classes, anchors) of centre x, y, width, height and class
    scores; `yolo_objectness` one output (N, anchors, 5 + classes), the fifth number multiplying
    the class scores; both need suppression, by class, at `iou`. `rows` one output (N, k, 6) of
    x1, y1, x2, y2, score, class, suppressed within the graph; `boxes` three outputs: boxes
    (N, k, 4) xyxy, scores (N, k) or (N, k, classes), classes (N, k) where scores has two axes.
    `is_relative` boxes are fractions of `height` and `width`.
    """

    layout: str
    outputs: tuple[str, ...]
    height: int
    width: int
    min_score: float = 0.25
    iou: float = 0.45
    max_detections: int = 300
    is_relative: bool = False

    def __post_init__(self) -> None:
        """Check the layout's name."""
        if self.layout not in LAYOUTS:
            raise ConfigError(f"layout is one of {', '.join(LAYOUTS)}, not {self.layout!r}")

    def __call__(self, outputs: Outputs) -> list[Prediction]:
        """One prediction an image."""
        arrays = [outputs[name] for name in (self.outputs or tuple(outputs))]
        return [self._one([array[i] for array in arrays]) for i in range(len(arrays[0]))]

    def _one(self, arrays: list[npt.NDArray[np.float32]]) -> Prediction:
        xyxy, scores, classes = self._unpack(arrays)
        if not np.isfinite(scores).all():
            # Below any threshold they would vanish, and the image look empty.
            raise FloatingPointError("a score is not finite")
        is_kept = scores >= self.min_score
        xyxy, scores, classes = xyxy[is_kept], scores[is_kept], classes[is_kept]
        if self.is_relative:
            xyxy = xyxy * np.array([self.width, self.height] * 2, np.float32)
        if self.layout.startswith("yolo"):
            order = nms(xyxy, scores, classes, self.iou)
        else:
            order = np.argsort(-scores, kind="stable")
        order = order[: self.max_detections]
        return Prediction(classes[order].astype(np.int32), scores[order], xyxy=xyxy[order])

    def _unpack(
        self, arrays: list[npt.NDArray[np.float32]]
    ) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        first = arrays[0].astype(np.float32, copy=False)
        if self.layout == "rows":
            return first[:, :4], first[:, 4], first[:, 5].astype(np.int64)
        if self.layout == "boxes":
            scores = arrays[1].astype(np.float32, copy=False)
            if scores.ndim == 2:
                return first, scores.max(axis=1), scores.argmax(axis=1)
            return first, scores, arrays[2].astype(np.int64)
        if self.layout == "yolo":
            first = first.T
            scores = first[:, 4:]
        else:
            scores = first[:, 5:] * first[:, 4:5]
        return _corners(first[:, :4]), scores.max(axis=1), scores.argmax(axis=1)


@dataclass(frozen=True)
class LabelMap:
    """Logits (N, classes, h, w), or class ids (N, h, w), at the input size: one mask a class."""

    output: str

    def __call__(self, outputs: Outputs) -> list[Prediction]:
        """One prediction an image."""
        values = outputs[self.output] if self.output else next(iter(outputs.values()))
        if values.ndim == 3:
            certain = np.ones(values.shape, np.float32)
            pairs = zip(values.astype(np.int64), certain, strict=True)
        else:
            shifted = np.exp(values - values.max(axis=1, keepdims=True)).astype(np.float32)
            shares = shifted / shifted.sum(axis=1, keepdims=True)
            pairs = zip(shares.argmax(axis=1), shares.max(axis=1), strict=True)
        return Regions()([{"classes": c, "probabilities": p} for c, p in pairs])


@dataclass(frozen=True)
class Picture:
    """An image (N, 3, h, w) or (N, h, w, 3) whose brightest value is `peak`; uint8 is as it is."""

    output: str
    peak: float = 1.0

    def __call__(self, outputs: Outputs) -> list[Prediction]:
        """One prediction an image; it has no labels."""
        values = outputs[self.output] if self.output else next(iter(outputs.values()))
        if values.ndim != 4 or 3 not in (values.shape[1], values.shape[3]):
            raise ConfigError(f"an image model gives (N, 3, h, w), this one {values.shape}")
        if values.shape[3] != 3:
            values = values.transpose(0, 2, 3, 1)
        if values.dtype != np.uint8:
            scaled = values.astype(np.float32) * np.float32(255 / self.peak)
            if not np.isfinite(scaled).all():
                raise FloatingPointError("the picture is not finite")
            values = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        none, zero = np.zeros(0, np.int32), np.zeros(0, np.float32)
        return [Prediction(none, zero, image=np.ascontiguousarray(image)) for image in values]


def _corners(boxes: Floats) -> Floats:
    """Centre x, y, width, height -> xyxy."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
