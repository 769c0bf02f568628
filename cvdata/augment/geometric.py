"""Geometric operations that keep straight lines parallel: boxes, masks and keypoints follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cvdata.augment import checking, warping
from cvdata.augment.base import Params
from cvdata.augment.randomness import below, between, log_between
from cvdata.augment.scene import Scene
from cvdata.augment.warping import Motion, Paint

ATTEMPTS = 10


@dataclass(frozen=True)
class Rotate:
    """Turn by up to `degrees` either way about the middle; the image keeps its size."""

    name: ClassVar[str] = "rotate"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"degrees": 0}

    degrees: float = 15.0
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 180, "degrees")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`angle`, degrees, clockwise."""
        return {"angle": between(rng, -self.degrees, self.degrees)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Turn."""
        paint = Paint(self.interpolation, self.fill)
        return warping.affine(scene, Motion(angle=params["angle"]), paint)


@dataclass(frozen=True)
class Translate:
    """Shift by up to `x` of the width and `y` of the height either way, by whole pixels."""

    name: ClassVar[str] = "translate"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"x": 0, "y": 0}

    x: float = 0.1
    y: float = 0.1
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "x", "y")
        checking.within(self, 0, 255, "fill")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`x` and `y`, pixels."""
        return {
            "x": round(between(rng, -self.x, self.x) * scene.width),
            "y": round(between(rng, -self.y, self.y) * scene.height),
        }

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Shift."""
        paint = Paint("nearest", self.fill)
        return warping.affine(scene, Motion(translate=(params["x"], params["y"])), paint)


@dataclass(frozen=True)
class Scale:
    """Larger or smaller about the middle, by `low` to `high`; the image keeps its size."""

    name: ClassVar[str] = "scale"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"low": 1, "high": 1}

    low: float = 0.8
    high: float = 1.25
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0.01, 100, "low", "high")
        checking.ordered(self, "low", "high")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`scale`, a factor."""
        return {"scale": log_between(rng, self.low, self.high)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Scale."""
        paint = Paint(self.interpolation, self.fill)
        return warping.affine(scene, Motion(scale=params["scale"]), paint)


@dataclass(frozen=True)
class Shear:
    """Slant by up to `x` and `y` degrees either way."""

    name: ClassVar[str] = "shear"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"x": 0, "y": 0}

    x: float = 10.0
    y: float = 0.0
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 60, "x", "y")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`x` and `y`, degrees."""
        return {"x": between(rng, -self.x, self.x), "y": between(rng, -self.y, self.y)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Slant."""
        paint = Paint(self.interpolation, self.fill)
        return warping.affine(scene, Motion(shear=(params["x"], params["y"])), paint)


@dataclass(frozen=True)
class HorizontalFlip:
    """Left and right exchanged, with probability `chance`."""

    name: ClassVar[str] = "horizontal_flip"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"chance": 0}

    chance: float = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "chance")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`is_flipped`."""
        return {"is_flipped": bool(rng.random() < self.chance)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Mirror."""
        return warping.mirror(scene) if params["is_flipped"] else scene


@dataclass(frozen=True)
class VerticalFlip:
    """Top and bottom exchanged, with probability `chance`."""

    name: ClassVar[str] = "vertical_flip"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"chance": 0}

    chance: float = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "chance")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`is_flipped`."""
        return {"is_flipped": bool(rng.random() < self.chance)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Mirror."""
        return warping.mirror(scene, is_vertical=True) if params["is_flipped"] else scene


@dataclass(frozen=True)
class Crop:
    """A part anywhere in the image, each side `low` to `high` of the image's; not resized."""

    name: ClassVar[str] = "crop"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"low": 1, "high": 1}

    low: float = 0.7
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0.01, 1, "low", "high")
        checking.ordered(self, "low", "high")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`top`, `left`, `height`, `width`, pixels."""
        height = max(1, round(scene.height * between(rng, self.low, self.high)))
        width = max(1, round(scene.width * between(rng, self.low, self.high)))
        return _placed(rng, scene, height, width)

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Cut out."""
        return warping.crop(scene, **params)


@dataclass(frozen=True)
class ResizedCrop:
    """A part of `low` to `high` of the area, resized to `height` x `width`.

    Its aspect ratio is the image's times `ratio_low` to `ratio_high`. Height and width 0 are the
    image's own. Szegedy et al. 2015.
    """

    name: ClassVar[str] = "resized_crop"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"low": 1, "high": 1, "ratio_low": 1, "ratio_high": 1}

    low: float = 0.5
    high: float = 1.0
    ratio_low: float = 0.75
    ratio_high: float = 4 / 3
    height: int = 0
    width: int = 0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0.0001, 1, "low", "high")
        checking.within(self, 0.01, 100, "ratio_low", "ratio_high")
        checking.within(self, 0, 16_384, "height", "width")
        checking.ordered(self, "low", "high")
        checking.ordered(self, "ratio_low", "ratio_high")
        checking.one_of(self, "interpolation", warping.INTERPOLATIONS)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`top`, `left`, `height`, `width` of the part, pixels; `to`, the new height and width."""
        for _ in range(ATTEMPTS):
            area = between(rng, self.low, self.high)
            ratio = log_between(rng, self.ratio_low, self.ratio_high)
            height, width = (area / ratio) ** 0.5, (area * ratio) ** 0.5
            if height <= 1 and width <= 1:
                break
        height, width = min(1.0, height), min(1.0, width)
        part = _placed(
            rng, scene, max(1, round(height * scene.height)), max(1, round(width * scene.width))
        )
        return {**part, "to": [self.height or scene.height, self.width or scene.width]}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Cut out and resize."""
        part = {k: params[k] for k in ("top", "left", "height", "width")}
        height, width = params["to"]
        paint = Paint(self.interpolation)
        return warping.resize(warping.crop(scene, **part), height, width, paint)


def _placed(rng: np.random.Generator, scene: Scene, height: int, width: int) -> Params:
    return {
        "top": below(rng, scene.height - height + 1),
        "left": below(rng, scene.width - width + 1),
        "height": height,
        "width": width,
    }
