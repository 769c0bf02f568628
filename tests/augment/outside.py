"""Operations from outside: one that works, one that fails on some images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cvdata.augment import Params, Scene


@dataclass(frozen=True)
class Tint:
    """A constant added to one channel; refuses images of the width `refuses`."""

    name: ClassVar[str] = "tint"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "color"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"amount": 0}

    amount: int = 40
    refuses: int = 0

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        return {"channel": int(float(rng.random()) * 3)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        if scene.width == self.refuses:
            raise ZeroDivisionError("this width is refused")
        pixels = scene.pixels.astype(np.int16)
        pixels[..., params["channel"]] += self.amount
        return scene.repainted(np.clip(pixels, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Nameless:
    """No operation: it lacks everything but its fields."""

    amount: int = 1
