"""A model put together: a resize, a network and a decoder of its outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.models.base import Batch, Floats, Pixels, Prediction, Prepared, Resize, Task, digest

Outputs = Mapping[str, npt.NDArray[Any]]

RUNTIMES = ("auto", "onnx", "torch")
PRECISIONS = ("float32", "float16", "bfloat16")

MODELS_VERSION = 1
"""Moves whenever preparing or decoding changes what a model says; part of every fingerprint."""


@dataclass(frozen=True)
class Execution:
    """How a network is run: none of it changes a result beyond the stated tolerance.

    `runtime` auto is ONNX Runtime for classifiers on a CPU and torch elsewhere. `precision`
    is that of autocast on the device; anything but float32 is a wish that enters the fingerprint.
    """

    runtime: str = "auto"
    precision: str = "float32"
    compile: bool = False
    threads: int = 1
    allow_download: bool = False

    def __post_init__(self) -> None:
        """Check the words."""
        for what, value, known in (
            ("runtime", self.runtime, RUNTIMES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise ConfigError(f"{what} is one of {', '.join(known)}, not {value!r}")


class Network(Protocol):
    """uint8 pictures in, named arrays out."""

    def setup(self, device: str) -> None:
        """Load onto the device."""
        ...

    def __call__(self, batch: Batch) -> Any:
        """Outputs for uint8 (N, H, W, 3) or N arrays (H, W, 3)."""
        ...


class Decoder(Protocol):
    """What a network's outputs mean. A frozen dataclass; its fields are parameters."""

    def __call__(self, outputs: Any) -> Any:
        """Vectors (N, D), or N predictions."""
        ...


@dataclass(frozen=True)
class Card:
    """What is known of a model before it is loaded. `parameters` enter the fingerprint."""

    name: str
    task: Task
    licence: str
    weights_digest: str
    dimension: int | None = None
    labels: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class NetworkModel:
    """An encoder or a predictor, by its decoder."""

    card: Card
    resize: Resize
    network: Network
    decode: Decoder

    @property
    def name(self) -> str:
        """As the catalogue has it."""
        return self.card.name

    @property
    def task(self) -> Task:
        """What it tells."""
        return self.card.task

    @property
    def dimension(self) -> int | None:
        """Length of its vectors, where it is an encoder."""
        return self.card.dimension

    @property
    def licence(self) -> str:
        """Of code and weights."""
        return self.card.licence

    @property
    def weights_digest(self) -> str:
        """Hex sha256 of the weights file, or of the seed."""
        return self.card.weights_digest

    @property
    def labels(self) -> Sequence[str]:
        """Class names by id; those inside a weights file only after `setup()`."""
        return self.card.labels or getattr(self.network, "labels", ())

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of prepared images, or None where it varies."""
        return self.resize.size

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of weights, preparation, decoding and parameters: not of device or batch."""
        return digest(
            {
                "version": MODELS_VERSION,
                "name": self.card.name,
                "task": self.card.task,
                "weights": self.card.weights_digest,
                "resize": describe(self.resize),
                "decode": describe(self.decode),
                "parameters": dict(self.card.parameters),
            }
        )

    def setup(self, device: str = "auto") -> None:
        """Load onto `device`."""
        self.network.setup(device)

    def prepare(self, rgb: Pixels) -> Prepared:
        """Resize one decoded image."""
        return self.resize(rgb)

    @property
    def stage(self) -> Any:
        """What puts a batch of one size on the device ahead of its call, where the network can."""
        return getattr(self.network, "stage", None) if self.size is not None else None

    @property
    def encode_text(self) -> Any:
        """What makes vectors of words; None where the network has no text tower."""
        return getattr(self.network, "encode_text", None)

    def __call__(self, batch: Batch) -> Any:
        """Vectors (N, D), or N predictions in prepared pixels."""
        return self.decode(self.network(batch))


@dataclass(frozen=True)
class Vectors:
    """An output (N, ...), the first where not named, as L2-normalised float32 vectors."""

    output: str

    def __call__(self, outputs: Outputs) -> Floats:
        """float32 (N, D), each of length one."""
        values = outputs[self.output] if self.output else next(iter(outputs.values()))
        vectors = values.reshape(len(values), -1).astype(np.float32, copy=False)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Floats = vectors / np.maximum(norms, np.float32(1e-12))
        return unit


@dataclass(frozen=True)
class TopK:
    """The k most probable classes, best first; ties by the smaller id."""

    output: str
    k: int = 5
    is_logits: bool = False

    def __call__(self, outputs: Outputs) -> list[Prediction]:
        """One prediction a row of (N, classes)."""
        values = outputs[self.output] if self.output else next(iter(outputs.values()))
        values = values.reshape(len(values), -1).astype(np.float32, copy=False)
        if self.is_logits:
            values = np.exp(values - values.max(axis=1, keepdims=True))
            values = values / values.sum(axis=1, keepdims=True)
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.k].astype(np.int32)
        return [Prediction(ids, row[ids]) for ids, row in zip(order, values, strict=True)]


def describe(part: Any) -> dict[str, Any]:
    """Class name and fields of a frozen dataclass, for a fingerprint."""
    return {"class": type(part).__name__, **asdict(part)}
