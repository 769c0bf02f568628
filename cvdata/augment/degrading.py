"""What cameras, lenses and files do: noise, blur, JPEG."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cvdata.augment import checking
from cvdata.augment.base import Params
from cvdata.augment.bending import blur_size
from cvdata.augment.randomness import below, between, new_seed, stream
from cvdata.augment.scene import Scene
from cvdata.augment.tensors import functional, picture, planes, seeded


@dataclass(frozen=True)
class GaussianNoise:
    """Independent noise on each value, a standard deviation of up to `sigma` of the range."""

    name: ClassVar[str] = "gaussian_noise"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "noise"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"sigma": 0}

    sigma: float = 0.05

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "sigma")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`sigma`, and the `seed` of the noise."""
        return {"sigma": between(rng, 0, self.sigma), "seed": new_seed(rng)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Add noise."""
        if params["sigma"] == 0:
            return scene
        with seeded(params["seed"]):
            noisy = functional().gaussian_noise_image(
                planes(scene.pixels), mean=0.0, sigma=params["sigma"]
            )
        return scene.repainted(picture(noisy))


@dataclass(frozen=True)
class SaltAndPepper:
    """Up to `amount` of the pixels become white or black, half each."""

    name: ClassVar[str] = "salt_and_pepper"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "noise"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"amount": 0}

    amount: float = 0.02

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "amount")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`amount`, a fraction, and the `seed` of the places."""
        return {"amount": between(rng, 0, self.amount), "seed": new_seed(rng)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Strew."""
        noise = stream(params["seed"], 0).random((scene.height, scene.width), np.float32)
        half = np.float32(params["amount"] / 2)
        pixels = scene.pixels.copy()
        pixels[noise < half] = 0
        pixels[noise >= 1 - half] = 255
        return scene.repainted(pixels)


@dataclass(frozen=True)
class IsoNoise:
    """Sensor noise at high gain: its variance grows with the light, and its colour varies less.

    At `intensity` 1 the luminance noise has a standard deviation of 0.05 at black and 0.2 at
    white, each channel's own half as much.
    """

    name: ClassVar[str] = "iso_noise"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "noise"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"intensity": 0}

    intensity: float = 0.3

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 1, "intensity")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`intensity`, and the `seed` of the noise."""
        return {"intensity": between(rng, 0, self.intensity), "seed": new_seed(rng)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Add shot and read noise (Foi et al. 2008: variance = a * light + b)."""
        if params["intensity"] == 0:
            return scene
        noise = stream(params["seed"], 0).standard_normal(
            (scene.height, scene.width, 4), np.float32
        )
        light = scene.pixels.astype(np.float32)
        sigma = np.sqrt(0.0375 * 255 * light + 0.0025 * 255**2, dtype=np.float32)
        sigma *= np.float32(params["intensity"])
        noisy = light + sigma * (noise[..., :1] + np.float32(0.5) * noise[..., 1:])
        return scene.repainted(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class GaussianBlur:
    """Out of focus: a Gaussian of up to `sigma` pixels."""

    name: ClassVar[str] = "gaussian_blur"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "blur"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"sigma": 0}

    sigma: float = 2.0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 50, "sigma")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`sigma`, pixels."""
        return {"sigma": between(rng, 0, self.sigma)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Blur over three sigma either way."""
        sigma = params["sigma"]
        if sigma < 0.05:  # the neighbours' weight is below 1e-80
            return scene
        size = [blur_size(sigma, side, 3.0) for side in (scene.width, scene.height)]
        blurred = functional().gaussian_blur_image(planes(scene.pixels), size, [sigma, sigma])
        return scene.repainted(picture(blurred))


@dataclass(frozen=True)
class MotionBlur:
    """Moved while exposed: an even smear of up to `length` pixels in any direction."""

    name: ClassVar[str] = "motion_blur"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "blur"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"length": 0}

    length: float = 12.0

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 0, 500, "length")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`length`, pixels, and `angle`, degrees."""
        return {"length": between(rng, 0, self.length), "angle": between(rng, 0, 180)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Smear."""
        import cv2

        length = params["length"]
        if length == 0:
            return scene
        reach = int(np.ceil(length / 2))
        radians = np.deg2rad(params["angle"])
        along = np.linspace(-length / 2, length / 2, 16 * reach + 1)
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
        _spread(kernel, reach + along * np.cos(radians), reach + along * np.sin(radians))
        own = np.ascontiguousarray(scene.pixels)
        kernel = (kernel / kernel.sum()).astype(np.float32)
        smeared = cv2.filter2D(own, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        return scene.repainted(np.asarray(smeared, np.uint8))


def _spread(kernel: Any, x: Any, y: Any) -> None:
    """Add points of weight 1, each shared by the four cells around it."""
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - (x - left)) * np.abs(1 - dy - (y - top))
            column = np.minimum(left + dx, kernel.shape[1] - 1)
            row = np.minimum(top + dy, kernel.shape[0] - 1)
            np.add.at(kernel, (row, column), weight)


@dataclass(frozen=True)
class Jpeg:
    """Compressed at a quality of `low` to `high` and decoded; 100 leaves the image as it is."""

    name: ClassVar[str] = "jpeg"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "compression"
    n_partners: ClassVar[int] = 0
    zero: ClassVar[Mapping[str, Any]] = {"low": 100, "high": 100}

    low: int = 40
    high: int = 95

    def __post_init__(self) -> None:
        """Check the fields."""
        checking.within(self, 1, 100, "low", "high")
        checking.ordered(self, "low", "high")

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`quality`."""
        return {"quality": int(self.low) + below(rng, int(self.high) - int(self.low) + 1)}

    def apply(self, scene: Scene, params: Params) -> Scene:
        """Compress (colour at half the resolution) and decode.

        By simplejpeg: torchvision's own kernel is deprecated and warns on each call.
        """
        if params["quality"] == 100:
            return scene
        import simplejpeg

        own = np.ascontiguousarray(scene.pixels)
        data = simplejpeg.encode_jpeg(own, params["quality"], "RGB", "420")
        return scene.repainted(np.asarray(simplejpeg.decode_jpeg(data, "RGB"), np.uint8))
