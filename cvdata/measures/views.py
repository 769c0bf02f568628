"""What measures share: each pass over an image's pixels is made once and kept with the image."""

import numpy as np
import numpy.typing as npt

from cvdata.image import Image
from cvdata.kernels import blur, color, hashing, resize
from cvdata.kernels.pixels import PixelPass, join, scan_pixels, to_gray
from cvdata.kernels.stencils import StencilPass, scan_stencils

Pixels = npt.NDArray[np.uint8]

GRAY_SIDE = 256
"""Longest side of the grey view: edges, spectrum, texture."""

HASH_SIZES = ((8, 8), (8, 9), (32, 32))
"""Thumbs of the average, difference and DCT hashes; made together, they share a transposition."""

COLOR_SIDE = 128
"""Longest side of the colour view: HSV, LAB, dominant colours."""


def pixel_pass(image: Image) -> PixelPass:
    """Planes, grey, histograms and colour sums at full size."""
    return image.memo("measures.pixels", lambda: scan_pixels(image.rgb))


def stencil_pass(image: Image) -> StencilPass:
    """3×3 neighbourhood sums at full size."""
    return image.memo("measures.stencils", lambda: scan_stencils(pixel_pass(image).gray))


def gray_view(image: Image) -> Pixels:
    """(h, w) uint8, longest side at most 256, by averaging whole blocks of the grey image."""
    return image.memo("measures.gray_view", lambda: resize.view(pixel_pass(image).gray, GRAY_SIDE))


def color_view(image: Image) -> Pixels:
    """(h, w, 3) uint8, longest side at most 128, by averaging whole blocks."""
    planes = pixel_pass(image).planes
    return image.memo(
        "measures.color_view",
        lambda: join([resize.view(plane, COLOR_SIDE) for plane in planes]),
    )


def lab_view(image: Image) -> Pixels:
    """(h, w, 3) uint8: `color_view` in OpenCV's LAB bytes."""
    return image.memo("measures.lab_view", lambda: color.to_lab(color_view(image)))


def hash_thumb(image: Image, height: int, width: int) -> Pixels:
    """(height, width) uint8, one of `HASH_SIZES`: grey reduced exactly by Pillow's LANCZOS."""
    thumbs = image.memo(
        "measures.thumbs", lambda: resize.resize(pixel_pass(image).gray, HASH_SIZES, "lanczos")
    )
    return thumbs[HASH_SIZES.index((height, width))]


def hash_frequencies(image: Image) -> npt.NDArray[np.int64]:
    """(8, 8) int64: the lowest DCT coefficients of the 32×32 thumb."""
    return image.memo(
        "measures.frequencies", lambda: hashing.low_frequencies(hash_thumb(image, 32, 32))
    )


def blur_thumb(image: Image) -> Pixels:
    """(h, w) uint8, longest side at most 64: CleanVision's reduced grey image, to the bit."""

    def reduce() -> Pixels:
        scan = pixel_pass(image)
        height, width = blur.thumb_size(*scan.gray.shape)
        if (height, width) == scan.gray.shape:
            return scan.gray
        size = [(height, width)]
        red, green, blue = (resize.resize(p, size, "bicubic")[0] for p in scan.planes)
        return to_gray((red, green, blue))

    return image.memo("measures.blur_thumb", reduce)
