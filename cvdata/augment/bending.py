"""Geometric operations that bend: perspective and elastic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cvdata.augment import checking, warping
from cvdata.augment.base import Params
from cvdata.augment.randomness import between, new_seed, stream
from cvdata.augment.scene import Scene
from cvdata.augment.tensors import functional
from cvdata.augment.warping import Paint


@dataclass(frozen=True)
class Perspective:
    """Each corner moves inwards by up to `distortion` of half a side."""

    name: ClassVar[str] = "perspective"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"distortion": 0}

    distortion: float = 0.3
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 0.9, "distortion")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`ends`: where the corners go, from the top left clockwise, x and y in pixels."""
        width, height = scene.width, scene.height
        inward = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        ends = []
        for (x, y), (dx, dy) in zip(corners, inward, strict=True):
            across = between(rng, 0, self.distortion) * width / 2
            down = between(rng, 0, self.distortion) * height / 2
            ends.append([x + dx * across, y + dy * down])
        return {"ends": ends}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Move the corners."""
        return warping.perspective(scene, params["ends"], Paint(self.interpolation, self.fill))


@dataclass(frozen=True)
class Elastic:
    """A random smooth bending: displacements of up to `alpha` pixels, smoothed over `sigma`.

    Simard et al. 2003; the field is torchvision's: uniform noise in ±1, blurred, times alpha, half
    of which is pixels.
    """

    name: ClassVar[str] = "elastic"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "geometric"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"alpha": 0}

    alpha: float = 50.0
    sigma: float = 5.0
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 10_000, "alpha")
        checking.within(self, 0.1, 100, "sigma")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`alpha`, up to the field's, and the `seed` of the displacements."""
        return {"alpha": between(rng, 0, self.alpha), "seed": new_seed(rng)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Bend."""
        if params["alpha"] == 0:
            return scene
        field = self._field(scene.height, scene.width, params["seed"])
        paint = Paint(self.interpolation, self.fill)
        return warping.elastic(scene, field * np.float32(params["alpha"] / 2), paint)

    def _field(self, height: int, width: int, seed: int) -> npt.NDArray[np.float32]:
        import torch

        noise = stream(seed, 0).random((2, height, width), np.float32) * 2 - 1
        size = [blur_size(self.sigma, side) for side in (width, height)]
        # Eight sigma, as torchvision's own transform has it.
        smooth = functional().gaussian_blur_image(
            torch.from_numpy(noise), size, [self.sigma, self.sigma]
        )
        field: npt.NDArray[np.float32] = smooth.numpy().transpose(1, 2, 0)
        return field


def blur_size(sigma: float, side: int, reach: float = 4.0) -> int:
    """An odd kernel size of `reach` sigma either way, that a side of this length can be padded to.

    Reflection needs more pixels than the kernel reaches.
    """
    return 2 * min(max(1, round(reach * sigma)), side - 1) + 1
