"""What measures share: each pass over an image's pixels is made once and kept with the image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.image import Image
from cvdata.kernels import blur, color, resize
from cvdata.kernels.pixels import PixelPass, scan_pixels
from cvdata.kernels.stencils import StencilPass, scan_stencils

Pixels = npt.NDArray[np.uint8]

VIEW_SIDE = 256
"""Longest side of the view that measures use which no peer defines at full size."""


def pixel_pass(image: Image) -> PixelPass:
    """Grey, histograms and colour sums at full size."""
    return image.memo("measures.pixels", lambda: scan_pixels(image.rgb))


def stencil_pass(image: Image) -> StencilPass:
    """3×3 neighbourhood sums at full size."""
    return image.memo("measures.stencils", lambda: scan_stencils(pixel_pass(image).gray))


def rgb_view(image: Image) -> Pixels:
    """(h, w, 3) uint8, longest side at most 256, by averaging whole blocks."""
    return image.memo("measures.rgb_view", lambda: resize.view(image.rgb, VIEW_SIDE))


def gray_view(image: Image) -> Pixels:
    """(h, w) uint8, longest side at most 256, by averaging whole blocks of the grey image."""
    return image.memo("measures.gray_view", lambda: resize.view(pixel_pass(image).gray, VIEW_SIDE))


def lab_view(image: Image) -> Pixels:
    """(h, w, 3) uint8: `rgb_view` in OpenCV's LAB bytes."""
    return image.memo("measures.lab_view", lambda: color.to_lab(rgb_view(image)))


def hash_thumb(image: Image, height: int, width: int) -> Pixels:
    """(height, width) uint8: the grey image reduced by LANCZOS exactly as Pillow does."""
    return image.memo(
        ("measures.thumb", height, width),
        lambda: resize.resize_gray(pixel_pass(image).gray, height, width),
    )


def blur_thumb(image: Image) -> Pixels:
    """(h, w) uint8, longest side at most 64: CleanVision's reduced grey image, to the bit."""

    def reduce() -> Pixels:
        height, width = image.rgb.shape[:2]
        size = blur.thumb_size(height, width)
        if size == (height, width):
            return pixel_pass(image).gray
        return scan_pixels(resize.resize_rgb(image.rgb, *size)).gray

    return image.memo("measures.blur_thumb", reduce)


def floats(values: "npt.NDArray[Any]") -> list[float]:
    """A flat list of Python floats."""
    return [float(v) for v in values.ravel()]
