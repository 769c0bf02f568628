"""Colour operations: pixels change, places do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cvdata.augment import checking
from cvdata.augment.base import Params
from cvdata.augment.randomness import between
from cvdata.augment.scene import Pixels, Scene
from cvdata.augment.tensors import functional, picture, planes


def adjusted(scene: Scene, kernel: str, *arguments: float) -> Scene:
    """The scene with torchvision's `<kernel>_image` on its pixels."""
    image = getattr(functional(), f"{kernel}_image")
    return scene.repainted(picture(image(planes(scene.pixels), *arguments)))


def blended(scene: Scene, pixels: Pixels, strength: float) -> Scene:
    """`strength` of `pixels` over the scene's own."""
    if strength == 0:
        return scene
    if strength == 1:
        return scene.repainted(pixels)
    own = scene.pixels.astype(np.float32)
    mixed = np.rint(own + np.float32(strength) * (pixels.astype(np.float32) - own))
    return scene.repainted(mixed.astype(np.uint8))


def _factor(rng: np.random.Generator, strength: float) -> Params:
    return {"factor": between(rng, 1 - strength, 1 + strength)}


@dataclass(frozen=True)
class Brightness:
    """Times a factor of up to 1 ± `strength`."""

    name: ClassVar[str] = "brightness"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    strength: float = 0.3

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "strength")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`factor`; 1 changes nothing."""
        return _factor(rng, self.strength)

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Brighten or darken."""
        factor = params["factor"]
        return scene if factor == 1 else adjusted(scene, "adjust_brightness", factor)


@dataclass(frozen=True)
class Contrast:
    """The distance to the mean grey times a factor of up to 1 ± `strength`."""

    name: ClassVar[str] = "contrast"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    strength: float = 0.3

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "strength")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`factor`; 1 changes nothing."""
        return _factor(rng, self.strength)

    def apply(self, scene: Scene, params: Params) -> Scene:
        """More or less contrast."""
        factor = params["factor"]
        return scene if factor == 1 else adjusted(scene, "adjust_contrast", factor)


@dataclass(frozen=True)
class Saturation:
    """The distance to each pixel's grey times a factor of up to 1 ± `strength`."""

    name: ClassVar[str] = "saturation"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    strength: float = 0.3

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "strength")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`factor`; 1 changes nothing."""
        return _factor(rng, self.strength)

    def apply(self, scene: Scene, params: Params) -> Scene:
        """More or less colour."""
        factor = params["factor"]
        return scene if factor == 1 else adjusted(scene, "adjust_saturation", factor)


@dataclass(frozen=True)
class Hue:
    """Hue turned by up to `strength` of the circle either way; 0.5 is half of it."""

    name: ClassVar[str] = "hue"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    strength: float = 0.05

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 0.5, "strength")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`turn`, in circles."""
        return {"turn": between(rng, -self.strength, self.strength)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Turn the hue."""
        turn = params["turn"]
        return scene if turn == 0 else adjusted(scene, "adjust_hue", turn)


@dataclass(frozen=True)
class Equalize:
    """Each channel's histogram flattened, mixed in by `strength`."""

    name: ClassVar[str] = "equalize"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "strength")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`strength`, the field's."""
        return {"strength": float(self.strength)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Equalise."""
        return blended(scene, adjusted(scene, "equalize").pixels, params["strength"])


@dataclass(frozen=True)
class Clahe:
    """Lightness equalised within tiles, its contrast limited; mixed in by `strength`.

    `clip_limit` and `tiles` (on each side) are OpenCV's. Zuiderveld 1994.
    """

    name: ClassVar[str] = "clahe"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    clip_limit: float = 2.0
    tiles: int = 8
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0.01, 255, "clip_limit")
        checking.within(self, 1, 64, "tiles")
        checking.within(self, 0, 1, "strength")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`strength`, the field's."""
        return {"strength": float(self.strength)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Equalise the lightness in CIE L*a*b*; grey stays grey."""
        import cv2

        own = np.ascontiguousarray(scene.pixels)
        tiles = (min(self.tiles, scene.width), min(self.tiles, scene.height))
        clahe = cv2.createCLAHE(self.clip_limit, tiles)
        if (own == own[..., :1]).all():
            gray = clahe.apply(np.ascontiguousarray(own[..., 0]))
            return blended(scene, np.repeat(gray[..., None], 3, axis=2), params["strength"])
        lab = cv2.cvtColor(own, cv2.COLOR_RGB2LAB)
        lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
        pixels = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
        return blended(scene, np.asarray(pixels, np.uint8), params["strength"])


@dataclass(frozen=True)
class Grayscale:
    """Colour taken away by `strength`; 1 is grey."""

    name: ClassVar[str] = "grayscale"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "strength")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`strength`, the field's."""
        return {"strength": float(self.strength)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Grey."""
        gray = adjusted(scene, "rgb_to_grayscale", 3).pixels
        return blended(scene, gray, params["strength"])
