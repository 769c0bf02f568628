"""Colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cvdata.image import Image
from cvdata.kernels import color, exposure
from cvdata.measures.base import Field, Value
from cvdata.measures.views import color_view, lab_view, pixel_pass


@dataclass(frozen=True)
class Color:
    """Channel statistics at full size; HSV, LAB and dominant colours on the view of 128.

    `is_gray` holds where R, G and B differ by at most `gray_tolerance` in every pixel.
    """

    gray_tolerance: int = 2

    name: ClassVar[str] = "color"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("mean_r", "float32", "Mean of red, 0..255."),
        Field("mean_g", "float32", "Mean of green, 0..255."),
        Field("mean_b", "float32", "Mean of blue, 0..255."),
        Field("std_r", "float32", "Standard deviation of red, 0..127.5."),
        Field("std_g", "float32", "Standard deviation of green, 0..127.5."),
        Field("std_b", "float32", "Standard deviation of blue, 0..127.5."),
        Field("hist_r", "float32[16]", "Red in 16 equal bins, fractions that sum to 1."),
        Field("hist_g", "float32[16]", "Green in 16 equal bins, fractions that sum to 1."),
        Field("hist_b", "float32[16]", "Blue in 16 equal bins, fractions that sum to 1."),
        Field(
            "hsv_mean_h", "float32", "Circular mean hue weighted by chroma, degrees; null if none."
        ),
        Field("hsv_mean_s", "float32", "Mean HSV saturation, 0..1, on the view."),
        Field("hsv_mean_v", "float32", "Mean HSV value, 0..1, on the view."),
        Field("lab_mean_l", "float32", "Mean CIE L*, 0..100, on the view."),
        Field("lab_mean_a", "float32", "Mean CIE a*, -128..127 (green to red), on the view."),
        Field("lab_mean_b", "float32", "Mean CIE b*, -128..127 (blue to yellow), on the view."),
        Field("lab_std_l", "float32", "Standard deviation of L*, on the view."),
        Field("lab_std_a", "float32", "Standard deviation of a*, on the view."),
        Field("lab_std_b", "float32", "Standard deviation of b*, on the view."),
        Field("colorfulness", "float32", "Hasler-Suesstrunk 2003; 0 is grey, above 80 is vivid."),
        Field("dominant_colors", "uint8[9]", "Three RGB colours of the view, most common first."),
        Field("dominant_fractions", "float32[3]", "Their fractions, descending, sum 1."),
        Field("is_gray", "bool", "Whether R, G and B differ by at most 2 in every pixel."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure colour."""
        scan = pixel_pass(image)
        n = scan.gray.size
        (red, red_std), (green, green_std), (blue, blue_std) = map(exposure.moments, scan.channels)
        histograms = scan.channels.reshape(3, 16, 16).sum(axis=2) / n
        view = color_view(image)
        hue, saturation, value = color.mean_hsv(view)
        lab_mean, lab_std = color.lab_moments(lab_view(image))
        colors, fractions = color.dominant(view)
        return {
            **{"mean_r": red, "mean_g": green, "mean_b": blue},
            **{"std_r": red_std, "std_g": green_std, "std_b": blue_std},
            **dict(zip(("hist_r", "hist_g", "hist_b"), histograms.tolist(), strict=True)),
            **{"hsv_mean_h": hue, "hsv_mean_s": saturation, "hsv_mean_v": value},
            **dict(zip(("lab_mean_l", "lab_mean_a", "lab_mean_b"), lab_mean, strict=True)),
            **dict(zip(("lab_std_l", "lab_std_a", "lab_std_b"), lab_std, strict=True)),
            "colorfulness": color.colorfulness(
                (red, green, blue), scan.rg_squares / n, scan.yb_squares / (4 * n)
            ),
            "dominant_colors": colors,
            "dominant_fractions": fractions,
            "is_gray": scan.spread <= self.gray_tolerance,
        }
