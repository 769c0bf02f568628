"""Erasing operations: rectangles painted over; boxes that they cover are less visible."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cvdata.augment import checking
from cvdata.augment.base import Params
from cvdata.augment.randomness import below, between, log_between, new_seed, stream
from cvdata.augment.scene import Floats, Scene
from cvdata.augment.tensors import functional, picture, planes

ATTEMPTS = 10


def erased(scene: Scene, rectangles: list[list[int]], fill: int, seed: int | None) -> Scene:
    """These xyxy rectangles painted with `fill`, or with noise where there is a `seed`."""
    import torch

    rectangles = [r for r in rectangles if r[2] > r[0] and r[3] > r[1]]
    if not rectangles:
        return scene
    image = planes(scene.pixels).clone()
    erase = functional().erase_image
    for n, (x0, y0, x1, y1) in enumerate(rectangles):
        value = torch.full((3, 1, 1), fill, dtype=torch.uint8)
        if seed is not None:
            size = (3, y1 - y0, x1 - x0)
            noise = stream(seed, n).integers(0, 256, size, np.uint8)
            value = torch.from_numpy(noise)
        erase(image, y0, x0, y1 - y0, x1 - x0, value, inplace=True)
    return scene.repainted(picture(image)).hidden(np.array(rectangles, np.int64))


@dataclass(frozen=True)
class RandomErasing:
    """One rectangle of `low` to `high` of the area becomes noise, or `fill` where that is 0 … 255.

    Its height is `ratio_low` to `ratio_high` times its width. Zhong et al. 2020.
    """

    name: ClassVar[str] = "random_erasing"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "erasing"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"low": 0, "high": 0}

    low: float = 0.02
    high: float = 0.2
    ratio_low: float = 0.3
    ratio_high: float = 3.3
    fill: int = -1

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "low", "high")
        checking.within(self, 0.01, 100, "ratio_low", "ratio_high")
        checking.within(self, -1, 255, "fill")
        checking.ordered(self, "low", "high")
        checking.ordered(self, "ratio_low", "ratio_high")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`rectangles`: none, or one xyxy; `seed` of the noise."""
        rectangles = []
        for _ in range(ATTEMPTS):
            area = between(rng, self.low, self.high) * scene.height * scene.width
            ratio = log_between(rng, self.ratio_low, self.ratio_high)
            height, width = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if height < scene.height and width < scene.width:
                top, left = (
                    below(rng, scene.height - height + 1),
                    below(rng, scene.width - width + 1),
                )
                rectangles = [[left, top, left + width, top + height]]
                break
        return {"rectangles": rectangles, "seed": new_seed(rng) if self.fill < 0 else None}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Erase."""
        return erased(scene, params["rectangles"], max(0, self.fill), params["seed"])


@dataclass(frozen=True)
class Cutout:
    """`n` squares of `size` of the shorter side painted with `fill`, anywhere, cut at the border.

    DeVries and Taylor 2017.
    """

    name: ClassVar[str] = "cutout"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "erasing"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"size": 0}

    size: float = 0.3
    n: int = 1
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "size")
        checking.within(self, 1, 100, "n")
        checking.within(self, 0, 255, "fill")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`rectangles` xyxy; where squares overlap, the later is cut away from the earlier."""
        side = round(self.size * min(scene.height, scene.width))
        found: list[list[int]] = []
        for _ in range(int(self.n)):
            x, y = below(rng, scene.width), below(rng, scene.height)
            left, top = x - side // 2, y - side // 2
            square = [
                max(0, left),
                max(0, top),
                min(scene.width, left + side),
                min(scene.height, top + side),
            ]
            found.extend(_without(square, found))
        return {"rectangles": found}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Erase."""
        return erased(scene, params["rectangles"], self.fill, None)


def _without(rectangle: list[int], others: list[list[int]]) -> list[list[int]]:
    """What is left of a rectangle outside the others, as rectangles that do not overlap."""
    left = [rectangle]
    for x0, y0, x1, y1 in others:
        pieces = []
        for a0, b0, a1, b1 in left:
            if x1 <= a0 or a1 <= x0 or y1 <= b0 or b1 <= y0:
                pieces.append([a0, b0, a1, b1])
                continue
            c0, c1 = max(a0, x0), min(a1, x1)
            pieces += [[a0, b0, c0, b1], [c1, b0, a1, b1]]
            pieces += [[c0, b0, c1, max(b0, y0)], [c0, min(b1, y1), c1, b1]]
        left = [p for p in pieces if p[2] > p[0] and p[3] > p[1]]
    return left


@dataclass(frozen=True)
class GridMask:
    """A grid of squares painted with `fill`: cells of `cell` of the shorter side, `size` of each.

    Chen et al. 2020.
    """

    name: ClassVar[str] = "grid_mask"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "erasing"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"size": 0}

    cell: float = 0.25
    size: float = 0.5
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0.01, 1, "cell")
        checking.within(self, 0, 1, "size")
        checking.within(self, 0, 255, "fill")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`cell` and `square`, pixels a side; `left` and `top`, where the grid begins."""
        cell = max(1, round(self.cell * min(scene.height, scene.width)))
        return {
            "cell": cell,
            "square": round(self.size * cell),
            "left": -below(rng, cell),
            "top": -below(rng, cell),
        }

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Erase."""
        across = _is_in(params["left"], params["cell"], params["square"], scene.width)
        down = _is_in(params["top"], params["cell"], params["square"], scene.height)
        covers = down[:, None] & across[None, :]
        if not covers.any():
            return scene
        pixels = scene.pixels.copy()
        pixels[covers] = self.fill
        x, y = scene.boxes[:, 0::2], scene.boxes[:, 1::2]
        return scene.repainted(pixels).faded(1 - _share(across, x) * _share(down, y))


def _is_in(start: int, cell: int, square: int, length: int) -> npt.NDArray[np.bool_]:
    """(length,) which pixels along one side squares cover."""
    covered: npt.NDArray[np.bool_] = (np.arange(length) - start) % cell < square
    return covered


def _share(is_covered: npt.NDArray[np.bool_], spans: Floats) -> npt.NDArray[np.float64]:
    """(N,) how much of each (N, 2) span along the side is covered: 0 where it has no length."""
    total = np.append(0, np.cumsum(is_covered))
    at = np.interp(spans.astype(np.float64), np.arange(len(total)), total)
    length = (spans[:, 1] - spans[:, 0]).astype(np.float64)
    covered = at[:, 1] - at[:, 0]
    share = np.zeros_like(length)
    np.divide(covered, length, out=share, where=length > 0)
    return share
