"""What a model is: an encoder gives one vector an image, a predictor gives scored labels.

    rgb uint8 (H, W, 3)
      └ prepare()   CPU, beside the decode: resize and crop          -> Prepared (uint8, Geometry)
          └ model() on the device: normalise, run, decode, NMS       -> vectors | Predictions
              └ restore()  back to the pixels of the original image  -> Prediction

Importing this package imports neither torch nor ONNX Runtime; `setup()` and calls do.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Batch = Pixels | Sequence[Pixels]
"""uint8 (N, H, W, 3) where the input size is fixed, else N arrays of (H, W, 3)."""


class Task(StrEnum):
    """What a model tells of an image."""

    EMBED = "embed"
    CLASSIFY = "classify"
    DETECT = "detect"
    SEGMENT = "segment"
    KEYPOINTS = "keypoints"
    OCR = "ocr"
    IMAGE = "image"


@dataclass(frozen=True)
class Geometry:
    """Where the prepared pixels lie in the original: `prepared = original * scale + offset`.

    `width`, `height` are the original's; offsets are in prepared pixels, positive for a border
    that was added (letterbox), negative for what was cropped away.
    """

    width: int
    height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    left: float = 0.0
    top: float = 0.0


@dataclass(frozen=True)
class Prepared:
    """One image as the model takes it: uint8 (H, W, 3), C-contiguous, and where it came from."""

    pixels: Pixels
    geometry: Geometry


class Resize(Protocol):
    """How an original becomes the model's input. A frozen dataclass; its fields are parameters."""

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of every prepared image, or None where it varies with the image."""
        ...

    def __call__(self, rgb: Pixels) -> Prepared:
        """Resize uint8 (H, W, 3)."""
        ...


@dataclass(frozen=True)
class Normalise:
    """`(pixel / 255 - mean) / std` per RGB channel, done on the device."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


IMAGENET = Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Prediction:
    """What a predictor says of one image; k findings, best first.

    `label_ids` int32 (k,), `scores` float32 (k,) in [0, 1]; `xyxy` float32 (k, 4);
    `keypoints` float32 (k, n, 3) as x, y, score; `masks` bool (k, H, W) in prepared pixels, or,
    once restored, COCO run-length encodings of the original size; `texts` k strings; `image`
    uint8 (H, W, 3). What a task does not give is None.
    """

    label_ids: npt.NDArray[np.int32]
    scores: Floats
    xyxy: Floats | None = None
    keypoints: Floats | None = None
    masks: npt.NDArray[np.bool_] | Sequence[Mapping[str, Any]] | None = None
    texts: Sequence[str] | None = None
    image: Pixels | None = None


@runtime_checkable
class Model(Protocol):
    """What encoders and predictors share."""

    @property
    def name(self) -> str:
        """As the catalogue has it; names its table."""
        ...

    @property
    def task(self) -> Task:
        """What it tells."""
        ...

    @property
    def dimension(self) -> int | None:
        """Length of its vectors; None where it is no encoder."""
        ...

    @property
    def licence(self) -> str:
        """Of code and weights."""
        ...

    @property
    def weights_digest(self) -> str:
        """Hex sha256 of the weights file."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """Class names by id; may be empty until `setup()`."""
        ...

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the prepared images, or None where it varies."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of all that can change a result."""
        ...

    def setup(self, device: str) -> None:
        """Load onto `device` (`cpu`, `cuda`, `cuda:1`, or `auto`). Called once in a worker."""
        ...

    def prepare(self, rgb: Pixels) -> Prepared:
        """Resize one decoded image on the CPU."""
        ...


@runtime_checkable
class Encoder(Model, Protocol):
    """One vector an image."""

    def __call__(self, batch: Batch) -> Floats:
        """Vectors float32 (N, dimension), L2-normalised."""
        ...


@runtime_checkable
class Predictor(Model, Protocol):
    """Scored labels, boxes, masks, keypoints or an image, for each image."""

    def __call__(self, batch: Batch) -> Sequence[Prediction]:
        """N predictions in prepared pixels."""
        ...


def digest(value: Any) -> str:
    """Hex sha256 of `value` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def device_name(device: str) -> str:
    """`auto` -> `cuda` where torch sees one, else `cpu`; anything else unchanged.

    Raises `ConfigError` for a `cuda` that torch does not see.
    """
    if device != "auto" and not device.startswith("cuda"):
        return device
    import torch

    is_there = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if is_there else "cpu"
    if not is_there:
        raise ConfigError(
            f"torch sees no GPU here, and the model was asked to run on {device}: leave it to "
            "device: auto, or see that driver and torch's CUDA fit"
        )
    return device
