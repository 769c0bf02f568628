"""Models from a file of the operator's: ONNX graphs and `torch.export` programs."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from cvdata.errors import ConfigError
from cvdata.models.assembly import Card, Decoder, Network, NetworkModel, TopK, Vectors
from cvdata.models.base import Model, Normalise, Resize, Task
from cvdata.models.decoding import Detections, LabelMap, Picture
from cvdata.models.exported import ExportedNetwork
from cvdata.models.onnx_session import OnnxNetwork
from cvdata.models.options import ModelOptions, closest
from cvdata.models.resizing import CenterCrop, Letterbox, ShortSide, Stretch
from cvdata.models.weights import Weights, given_weights, locate

RESIZES = ("crop", "letterbox", "stretch", "short_side", "none")


@dataclass(frozen=True)
class Outside:
    """How an outside model takes pictures and what it gives: the `parameters` of its options.

    `resize` is one of crop, letterbox, stretch (to `height` x `width`), short_side, none.
    Pixels reach a float input as (v / 255 - mean) / std, channels, `mean` and `std` in the order
    of `channels`, rgb or bgr; a uint8 input takes them as they are. `layout`, `iou`,
    `is_relative` are a detector's (see `decoding.Detections`); `dimension` an encoder's;
    `is_logits` a classifier's; `peak` an image model's brightest value. `outputs` names those to
    use where the model has more.
    """

    resize: str = "stretch"
    height: int = 224
    width: int = 224
    short_side: int | None = None
    longest: int = 4096
    interpolation: str = "bilinear"
    fill: int = 114
    is_centred: bool = True
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: str = "rgb"
    outputs: tuple[str, ...] = ()
    dimension: int | None = None
    is_logits: bool = False
    layout: str = "rows"
    iou: float = 0.45
    max_detections: int = 300
    is_relative: bool = False
    peak: float = 1.0
    licence: str = "unknown"

    @classmethod
    def read(cls, options: ModelOptions) -> "Outside":
        """From the options' parameters; a wrong name says the nearest right one."""
        known = [field.name for field in fields(cls)]
        for name in options.parameters:
            if name not in known:
                raise ConfigError(f"no model parameter {name!r}{closest(name, known)}")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in options.parameters.items()
        }
        outside = cls(**values)
        if outside.channels not in ("rgb", "bgr"):
            raise ConfigError(f"channels are rgb or bgr, not {outside.channels!r}")
        return outside

    @property
    def normalise(self) -> Normalise:
        """Mean and standard deviation of 0..1."""
        return Normalise(self.mean, self.std)

    def make_resize(self) -> Resize:
        """The resize that `resize` names."""
        if self.resize == "crop":
            short = self.short_side or min(self.height, self.width)
            return CenterCrop(short, self.height, self.width, self.interpolation)
        if self.resize == "letterbox":
            return Letterbox(
                self.height, self.width, self.fill, self.is_centred, True, self.interpolation
            )
        if self.resize == "stretch":
            return Stretch(self.height, self.width, self.interpolation)
        if self.resize == "short_side":
            short = self.short_side or self.height
            return ShortSide(short, self.longest, True, self.interpolation)
        if self.resize == "none":
            return ShortSide(self.longest, self.longest, False, self.interpolation)
        raise ConfigError(f"resize is one of {', '.join(RESIZES)}, not {self.resize!r}")

    def make_decoder(self, task: Task, options: ModelOptions) -> Decoder:
        """What the outputs mean for `task`."""
        first = self.outputs[0] if self.outputs else ""
        if task is Task.EMBED:
            if self.dimension is None:
                raise ConfigError("give the length of the vectors (parameters: dimension)")
            return Vectors(first)
        if task is Task.CLASSIFY:
            return TopK(first, options.top_k, self.is_logits)
        if task is Task.DETECT:
            least = 0.25 if options.min_score is None else options.min_score
            return Detections(
                self.layout, self.outputs, self.height, self.width, least,
                self.iou, self.max_detections, self.is_relative,
            )  # fmt: skip
        if task is Task.SEGMENT:
            return LabelMap(first)
        if task is Task.IMAGE:
            return Picture(first, self.peak)
        raise ConfigError(f"a model file can embed, classify, detect, segment or image, not {task}")


def onnx_model(name: str, options: ModelOptions) -> Model:
    """`onnx/<name>`: the file `options.weights`, pinned by `options.sha256`."""
    return packaged_onnx(name, options, _given(name, options), Outside.read(options))


def packaged_onnx(name: str, options: ModelOptions, weights: Weights, outside: Outside) -> Model:
    """An ONNX graph from wherever `weights` says, fed as `outside` says."""
    network = OnnxNetwork(
        weights,
        name,
        outside.outputs,
        outside.normalise,
        outside.channels,
        options.execution.threads,
        options.execution.allow_download,
    )
    return _assemble(name, options, weights, outside, network)


def exported_model(name: str, options: ModelOptions) -> Model:
    """`exported/<name>`: a `torch.export` archive (.pt2), pinned by `options.sha256`."""
    outside, weights = Outside.read(options), _given(name, options)
    network = ExportedNetwork(
        weights, name, outside.outputs, outside.normalise, outside.channels, options.execution
    )
    return _assemble(name, options, weights, outside, network)


def _assemble(
    name: str, options: ModelOptions, weights: Weights, outside: Outside, network: Network
) -> Model:
    if options.task is None:
        raise ConfigError(f"say what {name} does (task: embed, classify, detect, segment, image)")
    sha256 = locate(weights, name, options.execution.allow_download).sha256
    parameters: dict[str, Any] = asdict(outside)
    if options.execution.precision != "float32":
        parameters["precision"] = options.execution.precision
    card = Card(
        name, options.task, outside.licence, sha256,
        outside.dimension if options.task is Task.EMBED else None, options.labels, parameters,
    )  # fmt: skip
    decode = outside.make_decoder(options.task, options)
    return NetworkModel(card, outside.make_resize(), network, decode)


def _given(name: str, options: ModelOptions) -> Weights:
    weights = given_weights(options.weights, options.sha256)
    if weights is None:
        raise ConfigError(f"{name} needs its file (weights) and the sha256 of it")
    return weights
