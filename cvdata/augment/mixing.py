"""Mixing operations: other images of the same split come in; boxes and labels are mixed too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cvdata.augment import checking, warping
from cvdata.augment.base import Params
from cvdata.augment.randomness import below, beta, between
from cvdata.augment.scene import Pixels, Scene, joined, shared
from cvdata.augment.warping import Paint

CORNERS = 4


def _partner(scene: Scene) -> tuple[Scene, tuple[Scene, ...]]:
    return scene.partners[0], scene.partners[1:]


@dataclass(frozen=True)
class Mixup:
    """A weighted mean with another image, stretched to the size of this one, which weighs more.

    The weight is max(w, 1 - w) of w from Beta(alpha, alpha). A box is as visible as its image's
    weight; the mask is that of the heavier image. Zhang et al. 2018.
    """

    name: ClassVar[str] = "mixup"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "mixing"
    n_partners: ClassVar[int] = 1
    zero: ClassVar[Mapping[str, Any]] = {"alpha": 0}

    alpha: float = 0.4

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 100, "alpha")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`weight` of this image."""
        weight = beta(rng, self.alpha)
        return {"weight": max(weight, 1 - weight)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Mix."""
        other, rest = _partner(scene)
        weight = params["weight"]
        if weight == 1:
            return replace(scene, partners=rest)
        other = warping.resize(other, scene.height, scene.width, Paint())
        own = scene.pixels.astype(np.float32)
        theirs = other.pixels.astype(np.float32)
        mixed = np.rint(theirs + np.float32(weight) * (own - theirs))
        united = joined(scene.faded(weight), other.faded(1 - weight))
        return replace(
            united,
            pixels=mixed.astype(np.uint8),
            shares=shared([(scene, weight), (other, 1 - weight)]),
            partners=rest,
        )


@dataclass(frozen=True)
class Cutmix:
    """A rectangle of another image, stretched to the size of this one, pasted over it.

    It takes 1 - max(w, 1 - w) of the area, w from Beta(alpha, alpha), less what lies outside.
    Boxes under it are covered, the other image's are cut to it. Yun et al. 2019.
    """

    name: ClassVar[str] = "cutmix"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "mixing"
    n_partners: ClassVar[int] = 1
    zero: ClassVar[Mapping[str, Any]] = {"alpha": 0}

    alpha: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 100, "alpha")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`rectangle`, xyxy; it may be empty."""
        weight = beta(rng, self.alpha)
        side = (1 - max(weight, 1 - weight)) ** 0.5
        width, height = int(side * scene.width), int(side * scene.height)
        x, y = below(rng, scene.width), below(rng, scene.height)
        left, top = x - width // 2, y - height // 2
        return {
            "rectangle": [
                max(0, left),
                max(0, top),
                min(scene.width, left + width),
                min(scene.height, top + height),
            ]
        }

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Paste."""
        other, rest = _partner(scene)
        x0, y0, x1, y1 = params["rectangle"]
        if x1 <= x0 or y1 <= y0:
            return replace(scene, partners=rest)
        other = warping.resize(other, scene.height, scene.width, Paint())
        patch = warping.crop(other, y0, x0, y1 - y0, x1 - x0)
        below_it = scene.hidden(np.array([params["rectangle"]], np.int64))
        pasted = _pasted(below_it, [(patch, x0, y0)])
        part = (x1 - x0) * (y1 - y0) / (scene.width * scene.height)
        shares = shared([(scene, 1 - part), (patch, part)])
        return replace(pasted, shares=shares, partners=rest)


@dataclass(frozen=True)
class Mosaic:
    """Four images around a point: this one in a corner, three others in the rest of its area.

    The point takes `low` to `high` of each side for this image, which is cut, not resized; the
    others are resized to cover their tiles. Bochkovskiy et al. 2020.
    """

    name: ClassVar[str] = "mosaic"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "mixing"
    n_partners: ClassVar[int] = 3
    zero: ClassVar[Mapping[str, Any]] = {"low": 1, "high": 1}

    low: float = 0.5
    high: float = 0.75

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0.01, 1, "low", "high")
        checking.ordered(self, "low", "high")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`width`, `height` of this image's tile; `corner`, 0 top left, then clockwise.

        `left`, `top`: where in this image its tile is cut.
        """
        width = max(1, round(between(rng, self.low, self.high) * scene.width))
        height = max(1, round(between(rng, self.low, self.high) * scene.height))
        return {
            "width": width,
            "height": height,
            "corner": below(rng, CORNERS),
            "left": below(rng, scene.width - width + 1),
            "top": below(rng, scene.height - height + 1),
        }

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Assemble."""
        others, rest = scene.partners[: self.n_partners], scene.partners[self.n_partners :]
        width, height = params["width"], params["height"]
        if (width, height) == (scene.width, scene.height):
            return replace(scene, partners=rest)
        own = warping.crop(scene, params["top"], params["left"], height, width)
        placed, weighted = [], []
        tiles = _tiles(params, scene.height, scene.width)
        for image, (x0, y0, x1, y1) in zip((own, *others), tiles, strict=True):
            if x1 <= x0 or y1 <= y0:
                continue
            tile = image if image is own else covering(image, y1 - y0, x1 - x0)
            placed.append((tile, x0, y0))
            weighted.append((tile, (x1 - x0) * (y1 - y0) / (scene.width * scene.height)))
        blank = np.zeros((3, scene.height, scene.width), np.uint8).transpose(1, 2, 0)
        pasted = _pasted(Scene(blank), placed)
        return replace(pasted, shares=shared(weighted), partners=rest)


def _tiles(params: Params, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """The xyxy tiles: this image's first, then the others clockwise from it."""
    is_right, is_low = params["corner"] in (1, 2), params["corner"] in (2, 3)
    x = width - params["width"] if is_right else params["width"]
    y = height - params["height"] if is_low else params["height"]
    around = [(0, 0, x, y), (x, 0, width, y), (x, y, width, height), (0, y, x, height)]
    first = params["corner"]
    return around[first:] + around[:first]


def covering(scene: Scene, height: int, width: int) -> Scene:
    """Resized to cover `height` x `width` with its aspect ratio, the middle cut out."""
    factor = max(height / scene.height, width / scene.width)
    tall = max(height, round(scene.height * factor))
    wide = max(width, round(scene.width * factor))
    # Far from the tile's aspect, the middle is cut before it is enlarged: memory stays bounded.
    part_height = min(scene.height, max(1, -(-height * scene.height // tall) + 1))
    part_width = min(scene.width, max(1, -(-width * scene.width // wide) + 1))
    top, left = (scene.height - part_height) // 2, (scene.width - part_width) // 2
    part = warping.crop(scene, top, left, part_height, part_width)
    tall = max(height, round(part_height * factor))
    wide = max(width, round(part_width * factor))
    large = warping.resize(part, tall, wide, Paint())
    return warping.crop(large, (tall - height) // 2, (wide - width) // 2, height, width)


def _pasted(base: Scene, placed: list[tuple[Scene, int, int]]) -> Scene:
    """`base` with scenes painted over it at (x, y), their annotations beside its own."""
    planes = np.array(base.pixels.transpose(2, 0, 1), order="C")
    pixels: Pixels = planes.transpose(1, 2, 0)
    shape = (base.height, base.width)
    masks = _mask_of([base, *(scene for scene, _, _ in placed)], shape)
    shifted = []
    for scene, x, y in placed:
        there = (slice(y, y + scene.height), slice(x, x + scene.width))
        pixels[there] = scene.pixels
        if masks is not None:
            masks[:, there[0], there[1]] = 0
            if scene.masks is not None:
                masks[: len(scene.masks), there[0], there[1]] = scene.masks
        offset = np.array([x, y], np.float32)
        shifted.append(
            replace(
                scene,
                boxes=scene.boxes + np.tile(offset, 2),
                keypoints=_kept_points(scene) + offset,
            )
        )
    return replace(joined(base, *shifted), pixels=pixels, masks=masks)


def _kept_points(scene: Scene) -> Any:
    """Keypoints, those outside the scene moved out of every image: a neighbour must not own them"""
    return np.where(scene.inside()[:, None], scene.keypoints, np.float32(-1e6))


def _mask_of(scenes: list[Scene], shape: tuple[int, int]) -> Pixels | None:
    """The first scene's masks, as many layers as any of the scenes has; None where none has."""
    layers = [len(s.masks) for s in scenes if s.masks is not None]
    if not layers:
        return None
    masks = np.zeros((max(layers), *shape), np.uint8)
    if scenes[0].masks is not None:
        masks[: len(scenes[0].masks)] = scenes[0].masks
    return masks
