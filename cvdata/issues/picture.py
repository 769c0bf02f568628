"""Issues of the picture itself.

`dark` to `blurry` follow CleanVision 0.3.7: severity = 1 − its score, threshold = 1 − its
threshold, so that the flags agree.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cvdata.issues.base import Columns, Context, Floats

_CLEANVISION = "CleanVision 0.3.7's default."


@dataclass(frozen=True)
class Dark:
    """The brightest pixels are dark."""

    name: ClassVar[str] = "dark"
    doc: ClassVar[str] = "Even the brightest pixels are dark: underexposed, or nearly black."
    definition: ClassVar[str] = "1 − the 99th percentile of perceived brightness"
    reason: ClassVar[str] = _CLEANVISION
    columns: ClassVar[tuple[str, ...]] = ("brightness_p99",)
    threshold: float = 0.68

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        return 1.0 - columns.number("brightness_p99")


@dataclass(frozen=True)
class Light:
    """The darkest pixels are bright."""

    name: ClassVar[str] = "light"
    doc: ClassVar[str] = "Even the darkest pixels are bright: overexposed, or nearly white."
    definition: ClassVar[str] = "the 5th percentile of perceived brightness"
    reason: ClassVar[str] = _CLEANVISION
    columns: ClassVar[tuple[str, ...]] = ("brightness_p5",)
    threshold: float = 0.95

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        return columns.number("brightness_p5")


@dataclass(frozen=True)
class LowInformation:
    """Few different values."""

    name: ClassVar[str] = "low_information"
    doc: ClassVar[str] = "Hardly any content: flat colour, a gradient, a blank page."
    definition: ClassVar[str] = "1 − min(1, entropy in bits / 10)"
    reason: ClassVar[str] = _CLEANVISION
    columns: ClassVar[tuple[str, ...]] = ("entropy",)
    threshold: float = 0.7

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        return 1.0 - np.minimum(1.0, 0.1 * columns.number("entropy"))


@dataclass(frozen=True)
class Blurry:
    """Neither edges nor a structured histogram."""

    name: ClassVar[str] = "blurry"
    doc: ClassVar[str] = "Out of focus or smeared: no edges even when shrunk to 64 pixels."
    definition: ClassVar[str] = (
        "1 − min(1, b + h), b = 1 − exp(−blur_edge_std / 100), "
        "h = 1 − exp(−blur_histogram_std / 100), taken as 0 where ≤ 0.18"
    )
    reason: ClassVar[str] = _CLEANVISION
    columns: ClassVar[tuple[str, ...]] = ("blur_edge_std", "blur_histogram_std")
    threshold: float = 0.71

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        edges = 1.0 - np.exp(-0.01 * columns.number("blur_edge_std"))
        histogram = 1.0 - np.exp(-0.01 * columns.number("blur_histogram_std"))
        return 1.0 - np.minimum(edges + np.where(histogram <= 0.18, 0.0, histogram), 1.0)


@dataclass(frozen=True)
class Grayscale:
    """No colour."""

    name: ClassVar[str] = "grayscale"
    doc: ClassVar[str] = "No colour: R, G and B agree within 2 in every pixel."
    definition: ClassVar[str] = "1 where is_gray, else 0"
    reason: ClassVar[str] = "Yes or no. CleanVision reads the mode string and misses gray RGB."
    columns: ClassVar[tuple[str, ...]] = ("is_gray",)
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity, 0 or 1."""
        return columns.number("is_gray")


@dataclass(frozen=True)
class Noisy:
    """Strong noise."""

    name: ClassVar[str] = "noisy"
    doc: ClassVar[str] = "Grainy: strong noise from pixel to pixel."
    definition: ClassVar[str] = "noise_sigma / (noise_sigma + sigma), sigma = 20 gray levels"
    reason: ClassVar[str] = (
        "0.5 is noise_sigma = 20: a peak signal-to-noise ratio of 22 dB. Fine texture counts as "
        "noise in Immerkær's estimate, so a lower limit would flag foliage and gravel."
    )
    columns: ClassVar[tuple[str, ...]] = ("noise_sigma",)
    threshold: float = 0.5
    sigma: float = 20.0

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        noise = columns.number("noise_sigma")
        return noise / (noise + self.sigma)


@dataclass(frozen=True)
class Clipped:
    """Pixels at the end of the scale."""

    name: ClassVar[str] = "clipped"
    doc: ClassVar[str] = "Detail lost in pure black or pure white: burnt out, or cut out."
    definition: ClassVar[str] = "clipped_black + clipped_white: the fraction of such pixels"
    reason: ClassVar[str] = "Above 0.5 most of the picture holds no detail."
    columns: ClassVar[tuple[str, ...]] = ("clipped_black", "clipped_white")
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        lost = columns.number("clipped_black") + columns.number("clipped_white")
        return np.minimum(lost, 1.0)


@dataclass(frozen=True)
class Bordered:
    """A uniform frame."""

    name: ClassVar[str] = "bordered"
    doc: ClassVar[str] = "A uniform border, frame or letterbox around the picture."
    definition: ClassVar[str] = "border_fraction: the area of the uniform border"
    reason: ClassVar[str] = (
        "Above 0.1 of the area: a widescreen film in a 4:3 frame loses 0.25; the pixel or two "
        "that scanners and resizers leave stay below."
    )
    columns: ClassVar[tuple[str, ...]] = ("border_fraction",)
    threshold: float = 0.1

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1."""
        return columns.number("border_fraction")


@dataclass(frozen=True)
class Overcompressed:
    """A low JPEG quality."""

    name: ClassVar[str] = "overcompressed"
    doc: ClassVar[str] = "Saved at so low a JPEG quality that its blocks show, now or once before."
    definition: ClassVar[str] = "the larger of 1 − jpeg_quality / 100 and jpeg_blockiness"
    reason: ClassVar[str] = (
        "Above 0.5 is a quality below 50, coarser than the quantisation tables of the standard "
        "itself (ITU-T T.81, Annex K), which were set at the threshold of visibility; or steps "
        "across the 8-pixel grid three times those inside it, whatever the file says now."
    )
    columns: ClassVar[tuple[str, ...]] = ("jpeg_quality", "jpeg_blockiness")
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """(N,) severity in 0..1; of the one that is known where the other is not."""
        quality = 1.0 - columns.number("jpeg_quality") / 100.0
        return np.clip(np.fmax(quality, columns.number("jpeg_blockiness")), 0.0, 1.0)
