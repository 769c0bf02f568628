"""Sharpness, blur and noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cvdata.image import Image
from cvdata.kernels import blur, edges, spectrum, stencils
from cvdata.measures.base import Field, Value
from cvdata.measures.views import blur_thumb, gray_view, stencil_pass


@dataclass(frozen=True)
class Sharpness:
    """Derivatives at full size; Canny edges and the spectrum on the view of 256."""

    name: ClassVar[str] = "sharpness"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "laplacian_variance",
            "float32",
            "Variance of the Laplacian of grey; >= 0, larger is sharper.",
        ),
        Field("tenengrad", "float32", "Mean squared Sobel gradient of grey; larger is sharper."),
        Field("edge_density", "float32", "Fraction of Canny (100, 200) edge pixels, on the view."),
        Field(
            "high_frequency_ratio",
            "float32",
            "Share of spectral power above half Nyquist, 0..1, on the view; null if flat or tiny.",
        ),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure sharpness."""
        scan, view = stencil_pass(image), gray_view(image)
        return {
            "laplacian_variance": stencils.laplacian_variance(scan),
            "tenengrad": stencils.tenengrad(scan),
            "edge_density": edges.edge_density(view),
            "high_frequency_ratio": spectrum.high_frequency_ratio(view),
        }


@dataclass(frozen=True)
class Blur:
    """CleanVision's two blur numbers, on the image shrunk to a longest side of 64."""

    name: ClassVar[str] = "blur"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("blur_edge_std", "float32", "Standard deviation of FIND_EDGES; larger is sharper."),
        Field("blur_histogram_std", "float32", "Standard deviation of the 256 grey counts."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure blur."""
        thumb = blur_thumb(image)
        return {
            "blur_edge_std": blur.edge_std(thumb),
            "blur_histogram_std": blur.histogram_std(thumb),
        }


@dataclass(frozen=True)
class Noise:
    """Noise and JPEG blocks, at full size."""

    name: ClassVar[str] = "noise"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "noise_sigma",
            "float32",
            "Noise in grey levels (Immerkaer 1996), >= 0; null if a side is below 3.",
        ),
        Field(
            "jpeg_blockiness",
            "float32",
            "Extra difference across the 8-pixel grid, -1..1; 0 is none; null if a side < 16.",
        ),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure noise and blocks."""
        scan = stencil_pass(image)
        return {
            "noise_sigma": stencils.noise_sigma(scan),
            "jpeg_blockiness": stencils.blockiness(scan),
        }
