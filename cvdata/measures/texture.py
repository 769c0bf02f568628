"""Texture and borders."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cvdata.image import Image
from cvdata.kernels import color, texture
from cvdata.kernels.border import uniform_border
from cvdata.measures.base import Field, Value
from cvdata.measures.views import gray_view, lab_view


@dataclass(frozen=True)
class Texture:
    """Local binary patterns on the view of 256. Ojala et al. 2002."""

    name: ClassVar[str] = "texture"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "lbp_hist",
            "float32[10]",
            "Uniform LBP (P=8, R=1) fractions, sum 1; null if a side is below 3.",
        ),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure texture."""
        histogram = texture.lbp_histogram(gray_view(image))
        return {"lbp_hist": None if histogram is None else histogram.tolist()}


@dataclass(frozen=True)
class Hog:
    """Histogram of oriented gradients on the view of 256, summarised. Dalal and Triggs 2005."""

    name: ClassVar[str] = "hog"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "hog_summary",
            "float32[9]",
            "Mean HOG per orientation over cells and blocks; null if a side is below 16.",
        ),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure oriented gradients."""
        summary = texture.hog_summary(gray_view(image))
        return {"hog_summary": None if summary is None else summary.tolist()}


@dataclass(frozen=True)
class Border:
    """Uniform bands along the edges at full size; the background's colour on the view of 128."""

    tolerance: int = 8

    name: ClassVar[str] = "border"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("border_fraction", "float32", "Fraction in uniform edge bands, 0..1; 1 is flat."),
        Field("border_color", "uint8[3]", "RGB of the largest band; null where there is none."),
        Field("background_lab", "float32[3]", "Mean L*, a*, b* of the view's outer 10 %."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure borders."""
        fraction, rgb = uniform_border(image.rgb, self.tolerance)
        return {
            "border_fraction": fraction,
            "border_color": None if rgb is None else list(rgb),
            "background_lab": list(color.frame_lab(lab_view(image))),
        }
