"""Which facts are summarised, and into which bins.

The bins never depend on the data, so that histograms of any two parts add up exactly; values
beyond the ends count in the bins at the ends.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Edges = tuple[float, ...]


def linear(low: float, high: float, n: int) -> Edges:
    """`n` bins of one width."""
    return tuple(float(x) for x in np.linspace(low, high, n + 1))


def octaves(low: int, high: int, per: int) -> Edges:
    """`per` bins for each doubling, from 2**low to 2**high."""
    return tuple(float(2.0 ** (k / per)) for k in range(low * per, high * per + 1))


UNIT = linear(0, 1, 50)
GRAY_LEVELS = linear(0, 256, 64)
SIDE = octaves(0, 17, 4)
COARSE_SIDE = octaves(0, 17, 2)
RATIO = octaves(-4, 4, 8)
BYTES = octaves(0, 32, 2)
ENERGY = (0.0, *octaves(-4, 20, 2))
LAB_AXIS = linear(-128, 128, 64)
COUNT = (*(float(i) for i in range(17)), *octaves(4, 20, 2)[1:])


@dataclass(frozen=True)
class Numeric:
    """A numeric field: `name`, the `edges` of its bins, the measure that gives it."""

    name: str
    edges: Edges
    measure: str

    def bin(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """(N,) bin of each value, 0..n_bins−1; bins are [low, high). NaN gives any bin."""
        index = np.searchsorted(np.asarray(self.edges), values, side="right") - 1
        return np.clip(index, 0, self.n_bins - 1)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1


@dataclass(frozen=True)
class Pair:
    """Two fields counted together, in a grid of `x.edges` by `y.edges`."""

    x: Numeric
    y: Numeric


def _all(measure: str, edges: Edges, *names: str) -> tuple[Numeric, ...]:
    return tuple(Numeric(name, edges, measure) for name in names)


IMAGE_FIELDS: tuple[Numeric, ...] = (
    *_all("geometry", SIDE, "width", "height"),
    *_all("geometry", octaves(-14, 10, 2), "megapixels"),
    *_all("geometry", RATIO, "aspect_ratio"),
    *_all("file", BYTES, "size_bytes"),
    *_all("file", linear(1, 101, 100), "jpeg_quality"),
    *_all("color", GRAY_LEVELS, "mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b"),
    *_all("color", linear(0, 100, 50), "lab_mean_l"),
    *_all("color", LAB_AXIS, "lab_mean_a", "lab_mean_b"),
    *_all("color", linear(0, 360, 72), "hsv_mean_h"),
    *_all("color", UNIT, "hsv_mean_s"),
    *_all("color", linear(0, 200, 50), "colorfulness"),
    *_all(
        "exposure",
        UNIT,
        *(f"brightness_p{p}" for p in (1, 5, 50, 95, 99)),
        *("brightness_mean", "rms_contrast", "clipped_black", "clipped_white"),
    ),
    *_all("sharpness", ENERGY, "laplacian_variance", "tenengrad"),
    *_all("sharpness", UNIT, "edge_density", "high_frequency_ratio"),
    *_all("information", linear(0, 10, 50), "entropy"),
    *_all("information", linear(0, 8, 40), "gray_entropy"),
    *_all("information", octaves(0, 27, 2), "unique_colors"),
    *_all("noise", linear(0, 64, 64), "noise_sigma"),
    *_all("noise", linear(-1, 1, 100), "jpeg_blockiness"),
    *_all("border", UNIT, "border_fraction"),
    *_all("records", COUNT, "n_boxes"),
)

BOX_FIELDS: tuple[Numeric, ...] = (
    *_all("records", octaves(-2, 17, 2), "box_side"),
    *_all("records", octaves(-24, 0, 2), "box_area"),
    *_all("records", RATIO, "box_aspect_ratio"),
)
"""Per box: √(w·h) in pixels; share of the image's area; w / h."""

_GRID = linear(0, 1, 20)
_HALF = linear(0, 0.5, 20)

IMAGE_PAIRS: tuple[Pair, ...] = (
    Pair(*_all("geometry", COARSE_SIDE, "width", "height")),
    Pair(*_all("exposure", _GRID, "brightness_mean"), *_all("exposure", _HALF, "rms_contrast")),
    Pair(*_all("sharpness", _GRID, "edge_density"), *_all("sharpness", ENERGY, "tenengrad")),
)

BOX_PAIRS: tuple[Pair, ...] = (
    Pair(*_all("records", _GRID, "box_center_x", "box_center_y")),
    Pair(*_all("records", _GRID, "box_width", "box_height")),
)
"""In shares of the image's width and height."""

CATEGORIES: dict[str, str] = {
    "format": "file",
    "mode": "file",
    "bits": "file",
    "has_alpha": "file",
    "has_icc": "file",
    "has_gps": "file",
    "is_progressive": "file",
    "multi_frame": "file",
    "exif_orientation": "file",
    "jpeg_quality": "file",
    "is_gray": "color",
    "aspect": "geometry",
    "orientation": "geometry",
}
"""Categorical fields with few values, counted in every scope, and the measure that gives each."""

WIDE_CATEGORIES: dict[str, str] = {
    "label": "records",
    "split": "records",
    "source": "records",
    "size": "geometry",
    "dominant_color": "color",
    "exif_make": "file",
    "exif_model": "file",
    "exif_software": "file",
    "exif_month": "file",
}
"""Categorical fields that may have very many values, counted in the scopes all and split."""

TEXTURE_FIELDS: tuple[str, ...] = (
    "edge_density",
    "high_frequency_ratio",
    "gray_entropy",
    *(f"lbp_{i}" for i in range(10)),
)
LIGHT_FIELDS: tuple[str, ...] = ("brightness_mean", "rms_contrast")
BACKGROUND_FIELDS: tuple[str, ...] = ("background_l", "background_a", "background_b")
PROFILE_FIELDS: tuple[str, ...] = (*TEXTURE_FIELDS, *LIGHT_FIELDS, *BACKGROUND_FIELDS)
"""What `class_profile` holds for each class."""

PROFILE_MEASURES: dict[str, str] = {
    "edge_density": "sharpness",
    "high_frequency_ratio": "sharpness",
    "gray_entropy": "information",
    "lbp_hist": "texture",
    "brightness_mean": "exposure",
    "rms_contrast": "exposure",
    "background_lab": "border",
}
"""The columns behind `PROFILE_FIELDS`, and the measure that gives each."""
