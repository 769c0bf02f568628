"""Published policies as operations: RandAugment, AutoAugment, TrivialAugment, AugMix.

Their tables of operations and strengths are torchvision's own; each drawn operation is applied
here, so that boxes, masks and keypoints follow, which torchvision's transforms refuse.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cvdata.augment import checking, warping
from cvdata.augment.base import Params
from cvdata.augment.color import adjusted
from cvdata.augment.randomness import below, beta
from cvdata.augment.scene import Scene
from cvdata.augment.warping import Motion, Paint

POLICIES = ("imagenet", "cifar10", "svhn")
GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_AUTO_BINS = 10


@functools.cache
def _transform(name: str, **options: Any) -> Any:
    from torchvision.transforms import v2

    if "policy" in options:
        options["policy"] = v2.AutoAugmentPolicy(options["policy"])
    return getattr(v2, name)(**options)


def _space(name: str) -> dict[str, tuple[Any, bool]]:
    """Operation -> (function of bins, height, width that gives the strengths, is signed)."""
    found: dict[str, tuple[Any, bool]] = _transform(name)._AUGMENTATION_SPACE
    return found


def _magnitudes(entry: tuple[Any, bool], bins: int, scene: Scene) -> Any:
    return entry[0](bins, scene.height, scene.width)


def _drawn(rng: np.random.Generator, name: str, value: float, is_signed: bool) -> list[Any]:
    """[operation, strength], the sign drawn."""
    is_negative = bool(rng.random() < 0.5) and is_signed
    return [name, -value if is_negative else value]


def applied(scene: Scene, name: str, strength: float, paint: Paint) -> Scene:
    """One operation of a published policy, as torchvision means its strength."""
    if name == "Identity":
        return scene
    if name in GEOMETRIC:
        return _moved(scene, name, strength, paint)
    if name in ("Brightness", "Color", "Contrast", "Sharpness"):
        kernel = {"Color": "saturation"}.get(name, name.lower())
        return adjusted(scene, f"adjust_{kernel}", 1.0 + strength)
    if name == "Posterize":
        return adjusted(scene, "posterize", int(strength))
    if name == "Solarize":
        return adjusted(scene, "solarize", 255 * strength)
    return adjusted(scene, name.lower())


def _moved(scene: Scene, name: str, strength: float, paint: Paint) -> Scene:
    if name == "Rotate":
        motion = Motion(angle=-strength)
    elif name.startswith("Translate"):
        shift = float(int(strength))
        motion = Motion(translate=(shift, 0.0) if name.endswith("X") else (0.0, shift))
    else:
        angle = math.degrees(math.atan(strength))
        shear = (angle, 0.0) if name.endswith("X") else (0.0, angle)
        motion = Motion(shear=shear, center=(0.0, 0.0))
    return warping.affine(scene, motion, paint)


@dataclass(frozen=True)
class RandAugment:
    """`n` operations out of fourteen, each at `magnitude` of `bins`. Cubuk et al. 2020."""

    name: ClassVar[str] = "randaugment"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "policy"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"n": 0}

    n: int = 2
    magnitude: int = 9
    bins: int = 31
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 20, "n")
        checking.within(self, 2, 1000, "bins")
        checking.within(self, 0, self.bins - 1, "magnitude")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`operations`: [name, strength] each."""
        space = _space("RandAugment")
        names, found = list(space), []
        for _ in range(self.n):
            name = names[below(rng, len(names))]
            values = _magnitudes(space[name], self.bins, scene)
            value = 0.0 if values is None else float(values[self.magnitude])
            found.append(_drawn(rng, name, value, space[name][1]))
        return {"operations": found}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Apply them in turn."""
        return chain(scene, params["operations"], Paint(self.interpolation, self.fill))


@dataclass(frozen=True)
class AutoAugment:
    """One of 25 learned pairs of operations, with probability `chance`. Cubuk et al. 2019.

    `policy` is the dataset that it was learned on: imagenet, cifar10 or svhn.
    """

    name: ClassVar[str] = "autoaugment"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "policy"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"chance": 0}

    policy: str = "imagenet"
    chance: float = 1.0
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.one_of(self, "policy", POLICIES)
        checking.within(self, 0, 1, "chance")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`operations`: those of the pair that take place, [name, strength] each."""
        if rng.random() >= self.chance:
            return {"operations": []}
        pairs, space = (
            _transform("AutoAugment", policy=self.policy)._policies,
            _space("AutoAugment"),
        )
        found = []
        for name, chance, index in pairs[below(rng, len(pairs))]:
            if rng.random() > chance:
                continue
            values = None if index is None else _magnitudes(space[name], _AUTO_BINS, scene)
            value = 0.0 if values is None else float(values[index])
            found.append(_drawn(rng, name, value, space[name][1]))
        return {"operations": found}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Apply them in turn."""
        return chain(scene, params["operations"], Paint(self.interpolation, self.fill))


@dataclass(frozen=True)
class TrivialAugment:
    """One operation at one strength, both uniform, with probability `chance`.

    Müller and Hutter 2021 (wide).
    """

    name: ClassVar[str] = "trivialaugment"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "policy"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"chance": 0}

    bins: int = 31
    chance: float = 1.0
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 2, 1000, "bins")
        checking.within(self, 0, 1, "chance")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`operations`: one [name, strength], or none."""
        if rng.random() >= self.chance:
            return {"operations": []}
        space = _space("TrivialAugmentWide")
        names = list(space)
        name = names[below(rng, len(names))]
        values = _magnitudes(space[name], self.bins, scene)
        value = 0.0 if values is None else float(values[below(rng, self.bins)])
        return {"operations": [_drawn(rng, name, value, space[name][1])]}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Apply it."""
        return chain(scene, params["operations"], Paint(self.interpolation, self.fill))


@dataclass(frozen=True)
class AugMix:
    """The image mixed with `width` chains of one to three operations. Hendrycks et al. 2020.

    `strength` scales the chains' part of the mixture, drawn from Beta(alpha, alpha). Where boxes,
    masks or keypoints must follow, chains leave out operations that move pixels: a mixture of
    several geometries has no one place for them.
    """

    name: ClassVar[str] = "augmix"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "policy"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0}

    severity: int = 3
    width: int = 3
    alpha: float = 1.0
    strength: float = 1.0
    interpolation: str = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 1, 10, "severity", "width")
        checking.within(self, 0.01, 100, "alpha")
        checking.within(self, 0, 1, "strength")
        checking.paintable(self)

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`chains`: [weight, operations] each; the rest of the weight is the image's own."""
        space = _space("AugMix")
        names = [n for n in space if n not in GEOMETRIC or not scene.is_annotated]
        part = beta(rng, self.alpha) * self.strength
        weights = rng.dirichlet([self.alpha] * self.width) * part
        chains = []
        for weight in weights:
            found = []
            for _ in range(1 + below(rng, 3)):
                name = names[below(rng, len(names))]
                values = _magnitudes(space[name], 10, scene)
                index = below(rng, self.severity)
                value = 0.0 if values is None else float(values[index])
                found.append(_drawn(rng, name, value, space[name][1]))
            chains.append([float(weight), found])
        return {"chains": chains}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Mix."""
        own = scene.pixels.astype(np.float32)
        mixed, paint = own.copy(), Paint(self.interpolation, self.fill)
        for weight, operations in params["chains"]:
            if weight > 0:
                changed = chain(scene, operations, paint).pixels.astype(np.float32)
                mixed += np.float32(weight) * (changed - own)
        return scene.repainted(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def chain(scene: Scene, operations: list[list[Any]], paint: Paint) -> Scene:
    """Operations [name, strength], one after the other."""
    for name, strength in operations:
        scene = applied(scene, name, strength, paint)
    return scene
