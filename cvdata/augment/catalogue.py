"""Every augmentation, by name; and those from outside."""

import dataclasses
import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from cvdata.augment.base import KINDS, Operation
from cvdata.augment.bending import Elastic, Perspective
from cvdata.augment.color import (
    Brightness,
    Clahe,
    Contrast,
    Equalize,
    Grayscale,
    Hue,
    Saturation,
)
from cvdata.augment.degrading import (
    GaussianBlur,
    GaussianNoise,
    IsoNoise,
    Jpeg,
    MotionBlur,
    SaltAndPepper,
)
from cvdata.augment.erasing import Cutout, GridMask, RandomErasing
from cvdata.augment.geometric import (
    Crop,
    HorizontalFlip,
    ResizedCrop,
    Rotate,
    Scale,
    Shear,
    Translate,
    VerticalFlip,
)
from cvdata.augment.mixing import Cutmix, Mixup, Mosaic
from cvdata.augment.published import AugMix, AutoAugment, RandAugment, TrivialAugment
from cvdata.errors import ConfigError

AUGMENTATIONS: tuple[type[Operation], ...] = (
    Rotate,
    Translate,
    Scale,
    Shear,
    HorizontalFlip,
    VerticalFlip,
    Crop,
    ResizedCrop,
    Perspective,
    Elastic,
    Brightness,
    Contrast,
    Saturation,
    Hue,
    Equalize,
    Clahe,
    Grayscale,
    GaussianNoise,
    SaltAndPepper,
    IsoNoise,
    GaussianBlur,
    MotionBlur,
    Jpeg,
    RandomErasing,
    Cutout,
    GridMask,
    Mixup,
    Cutmix,
    Mosaic,
    RandAugment,
    AutoAugment,
    TrivialAugment,
    AugMix,
)


def build(name: str, parameters: Mapping[str, Any] | None = None) -> Operation:
    """The operation `name`, or `pkg.mod:Class`, with these fields; `ConfigError` says what fits."""
    kind = _imported(name) if ":" in name else _known(name)
    try:
        operation = kind(**dict(parameters or {}))
    except TypeError as error:
        fields = ", ".join(f.name for f in dataclasses.fields(kind)) or "none"
        raise ConfigError(f"augmentation {name!r}: {error}; its fields are {fields}") from error
    if not isinstance(operation, Operation) or operation.kind not in KINDS:
        raise ConfigError(
            f"{name!r} is no augmentation: it needs name, version, kind (one of "
            f"{', '.join(KINDS)}), n_partners, zero, draw and apply"
        )
    return operation


def _known(name: str) -> type[Any]:
    by_name: dict[str, type[Any]] = {kind.name: kind for kind in AUGMENTATIONS}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, 1, 0.0)
    raise ConfigError(
        f"unknown augmentation {name!r}: did you mean {near[0]!r}? Known: {', '.join(by_name)}; "
        "your own class is named 'package.module:Class'"
    )


def _imported(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"cannot import augmentation {path!r}: {error}") from error
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        raise ConfigError(f"augmentation {path!r} is not a dataclass")
    return kind
