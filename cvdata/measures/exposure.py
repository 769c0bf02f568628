"""Exposure and information."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cvdata.image import Image
from cvdata.kernels import exposure
from cvdata.kernels.pixels import BRIGHTNESS_BINS, count_colors
from cvdata.measures.base import Field, Value
from cvdata.measures.views import COLOR_SIDE, pixel_pass

_PERCENTS = (1, 5, 10, 15, 50, 85, 90, 95, 99)
_AT = np.array(_PERCENTS, np.float64)


@dataclass(frozen=True)
class Exposure:
    """Perceived brightness b = sqrt(0.241 R² + 0.691 G² + 0.068 B²)/255, contrast, clipping.

    Percentiles are NumPy's (linear), of b in steps of 1/64 grey level: within 3.1e-5 of
    CleanVision's.
    """

    name: ClassVar[str] = "exposure"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        *(
            Field(f"brightness_p{p}", "float32", f"Percentile {p} of perceived brightness, 0..1.")
            for p in _PERCENTS
        ),
        Field("brightness_mean", "float32", "Mean perceived brightness over pixels, 0..1."),
        Field("rms_contrast", "float32", "Standard deviation of grey / 255, 0..0.5. Peli 1990."),
        Field("clipped_black", "float32", "Fraction of pixels of grey level 0, 0..1."),
        Field("clipped_white", "float32", "Fraction of pixels of grey level 255, 0..1."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure exposure."""
        scan = pixel_pass(image)
        top = BRIGHTNESS_BINS - 1
        levels = exposure.percentiles(scan.brightness, _AT) / top
        _, contrast = exposure.moments(scan.luma)
        return {
            **{f"brightness_p{p}": float(v) for p, v in zip(_PERCENTS, levels, strict=True)},
            "brightness_mean": exposure.mean(scan.brightness) / top,
            "rms_contrast": contrast / 255,
            "clipped_black": int(scan.luma[0]) / scan.gray.size,
            "clipped_white": int(scan.luma[255]) / scan.gray.size,
        }


@dataclass(frozen=True)
class Information:
    """Entropy at full size; number of colours on a sample of whole pixels.

    Colours are counted at every f-th pixel of every f-th row, f the least that leaves at most 128
    a side: exact where the longest side is at most 128.
    """

    name: ClassVar[str] = "information"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("entropy", "float32", "Entropy of the joined R, G, B histograms, bits, 0..9.585."),
        Field("gray_entropy", "float32", "Entropy of the grey histogram, bits, 0..8."),
        Field("unique_colors", "int32", "Distinct RGB colours of the sample, 1..16,384."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure information."""
        scan = pixel_pass(image)
        return {
            "entropy": exposure.entropy(scan.channels),
            "gray_entropy": exposure.entropy(scan.luma),
            "unique_colors": count_colors(scan.planes, COLOR_SIDE),
        }
