"""Resizing on the CPU, beside the decode: original pixels to the model's input size.

Pillow's filters, which widen with the reduction (antialias): what torchvision's and timm's own
preprocessing does with a Pillow image.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from cvdata.errors import ConfigError
from cvdata.kernels.filters import SUPPORT as FILTERS
from cvdata.kernels.resample import Window, resample
from cvdata.models.base import Geometry, Pixels, Prepared


@dataclass(frozen=True)
class CenterCrop:
    """Shorter side to `short_side`, then the middle `height` x `width`: torchvision's preset.

    Only the middle is ever computed; identical, to the bit, to resizing all and cropping. An
    image smaller than the crop is padded with black, as torchvision does.
    """

    short_side: int
    height: int
    width: int
    interpolation: str = "bilinear"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every prepared image."""
        return self.height, self.width

    def __call__(self, rgb: Pixels) -> Prepared:
        """Resize and crop uint8 (H, W, 3)."""
        height, width = rgb.shape[:2]
        new_height, new_width = short_side(height, width, self.short_side)
        top, left = _middle(new_height, self.height), _middle(new_width, self.width)
        scale_y, scale_x = new_height / height, new_width / width
        geometry = Geometry(width, height, scale_x, scale_y, -left, -top)
        y0, y1 = max(top, 0), min(top + self.height, new_height)
        x0, x1 = max(left, 0), min(left + self.width, new_width)
        window = (y0, x0, y1 - y0, x1 - x0)
        pixels = _resize(rgb, new_height, new_width, self.interpolation, window)
        if pixels.shape[:2] != self.size:
            canvas = np.zeros((self.height, self.width, 3), np.uint8)
            canvas[y0 - top : y1 - top, x0 - left : x1 - left] = pixels
            pixels = canvas
        return Prepared(pixels, geometry)


@dataclass(frozen=True)
class Stretch:
    """Exactly `height` x `width`, the aspect ratio not kept."""

    height: int
    width: int
    interpolation: str = "bilinear"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every prepared image."""
        return self.height, self.width

    def __call__(self, rgb: Pixels) -> Prepared:
        """Resize uint8 (H, W, 3)."""
        height, width = rgb.shape[:2]
        geometry = Geometry(width, height, self.width / width, self.height / height)
        return Prepared(_resize(rgb, self.height, self.width, self.interpolation), geometry)


@dataclass(frozen=True)
class Letterbox:
    """The whole image inside `height` x `width`, aspect kept, the rest `fill`: most detectors.

    Centred, or in the top left corner; a small image is enlarged unless `enlarge` is False.
    """

    height: int
    width: int
    fill: int = 114
    is_centred: bool = True
    enlarge: bool = True
    interpolation: str = "bilinear"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every prepared image."""
        return self.height, self.width

    def __call__(self, rgb: Pixels) -> Prepared:
        """Resize and pad uint8 (H, W, 3)."""
        height, width = rgb.shape[:2]
        scale = min(self.height / height, self.width / width)
        if not self.enlarge:
            scale = min(scale, 1.0)
        inner_height = min(max(round(height * scale), 1), self.height)
        inner_width = min(max(round(width * scale), 1), self.width)
        top = (self.height - inner_height) // 2 if self.is_centred else 0
        left = (self.width - inner_width) // 2 if self.is_centred else 0
        canvas = np.full((self.height, self.width, 3), self.fill, np.uint8)
        canvas[top : top + inner_height, left : left + inner_width] = _resize(
            rgb, inner_height, inner_width, self.interpolation
        )
        geometry = Geometry(width, height, inner_width / width, inner_height / height, left, top)
        return Prepared(canvas, geometry)


@dataclass(frozen=True)
class ShortSide:
    """Shorter side to `short_side`, the longer to at most `longest`; the size varies.

    With `enlarge` False a smaller image is left as it is: for models that resize within.
    """

    short_side: int
    longest: int = 4096
    enlarge: bool = True
    interpolation: str = "bilinear"

    @property
    def size(self) -> None:
        """The size varies with the image."""
        return

    def __call__(self, rgb: Pixels) -> Prepared:
        """Resize uint8 (H, W, 3)."""
        height, width = rgb.shape[:2]
        new_height, new_width = short_side(height, width, self.short_side)
        if max(new_height, new_width) > self.longest:
            shrink = self.longest / max(height, width)
            new_height = max(int(height * shrink), 1)
            new_width = max(int(width * shrink), 1)
        if not self.enlarge and new_height >= height and new_width >= width:
            return Prepared(np.ascontiguousarray(rgb), Geometry(width, height))
        geometry = Geometry(width, height, new_width / width, new_height / height)
        return Prepared(_resize(rgb, new_height, new_width, self.interpolation), geometry)


def short_side(height: int, width: int, target: int) -> tuple[int, int]:
    """(height, width) with the shorter side at `target`, the longer truncated as torchvision's."""
    if width <= height:
        return max(int(target * height / width), 1), target
    return target, max(int(target * width / height), 1)


def _middle(outer: int, inner: int) -> int:
    """Offset of the middle `inner` of `outer`; negative where it is padded, as torchvision's."""
    if inner > outer:
        return -((inner - outer) // 2)
    return round((outer - inner) / 2.0)


def _resize(
    rgb: Pixels, height: int, width: int, kind: str, window: Window | None = None
) -> Pixels:
    rgb = np.ascontiguousarray(rgb)
    if kind in FILTERS:
        if window is None and rgb.shape[:2] == (height, width):
            return rgb
        return resample(rgb, height, width, window, kind)
    if kind != "nearest":
        raise ConfigError(f"interpolation is nearest, {', '.join(FILTERS)}; not {kind!r}")
    image = PilImage.fromarray(rgb).resize((width, height), PilImage.Resampling.NEAREST)
    top, left, rows, columns = window or (0, 0, height, width)
    return np.ascontiguousarray(np.asarray(image)[top : top + rows, left : left + columns])
