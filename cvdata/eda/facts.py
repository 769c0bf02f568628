"""The wide table (measures joined with records) -> the facts that are summarised."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ErrorCode

Floats = npt.NDArray[np.float64]

STANDARD_RATIOS: dict[str, float] = {
    "1:1": 1.0,
    "5:4": 5 / 4,
    "4:3": 4 / 3,
    "7:5": 7 / 5,
    "3:2": 3 / 2,
    "16:10": 16 / 10,
    "16:9": 16 / 9,
    "2:1": 2.0,
    "21:9": 21 / 9,
}
"""Long side : short side; an image is named after one within 1 %, of either orientation."""


def is_readable(table: pa.Table) -> pa.ChunkedArray:
    """(N,) bool: rows that have facts (no error, or only a failed measure)."""
    if "error" not in table.column_names:
        return pa.chunked_array([pa.array(np.ones(table.num_rows, dtype=np.bool_))])
    error = table.column("error")
    return pc.or_(pc.is_null(error), pc.equal(error, str(ErrorCode.MEASURE_FAILED))).fill_null(True)


@dataclass(frozen=True)
class BoxFacts:
    """Boxes, flat: `row` (M,) of the image, labels, and (M,) float64 facts by name."""

    row: npt.NDArray[np.int64]
    label: pa.Array
    numbers: dict[str, Floats]


@dataclass(frozen=True)
class Facts:
    """Rows of readable images. Columns are NaN, or absent, where the table does not have them."""

    table: pa.Table

    def has(self, *names: str) -> bool:
        """Whether the table has these columns."""
        return set(names) <= set(self.table.column_names)

    def column(self, name: str) -> Floats | None:
        """A numeric or boolean column, (N,) float64 with NaN for null; None where absent."""
        if not self.has(name):
            return None
        values = self.table.column(name).cast(pa.float64(), safe=False).to_numpy()
        return np.where(np.isfinite(values), values, np.nan)

    def vector(self, name: str) -> Floats | None:
        """A fixed-size list column, (N, n) float64, rows of NaN for null; None where absent."""
        if not self.has(name):
            return None
        column = self.table.column(name).combine_chunks()
        width = column.type.list_size
        out = np.full((len(column), width), np.nan)
        known = column.is_valid().to_numpy(zero_copy_only=False)
        flat = pc.list_flatten(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
        out[known] = flat.reshape(-1, width)
        return out

    def number(self, name: str) -> Floats | None:
        """A field of `IMAGE_FIELDS`: a column, or derived from columns; None where absent."""
        if name == "megapixels":
            return None if self.pixels is None else self.pixels / 1e6
        if name == "aspect_ratio" and self.pixels is not None:
            return self.sides[0] / self.sides[1]
        if name == "n_boxes":
            if not self.has("boxes"):
                return None
            n = pc.list_value_length(self.table.column("boxes"))
            return np.asarray(n.cast(pa.float64()).to_numpy(), dtype=np.float64)
        return self.column(name)

    @cached_property
    def sides(self) -> tuple[Floats, Floats]:
        """Width and height, NaN where absent."""
        unknown = np.full(self.table.num_rows, np.nan)
        width, height = self.column("width"), self.column("height")
        return (unknown, unknown) if width is None or height is None else (width, height)

    @cached_property
    def pixels(self) -> Floats | None:
        """Pixels: width · height; None where absent."""
        return self.sides[0] * self.sides[1] if self.has("width", "height") else None

    @cached_property
    def boxes(self) -> BoxFacts | None:
        """The boxes; None where there is no such column."""
        if not self.has("boxes"):
            return None
        column = self.table.column("boxes").combine_chunks()
        row = pc.list_parent_indices(column).to_numpy().astype(np.int64)
        flat = pc.list_flatten(column)
        xyxy, label = pc.struct_field(flat, "xyxy"), pc.struct_field(flat, "label")
        placed = xyxy.is_valid().to_numpy(zero_copy_only=False)
        corners = np.full((len(row), 4), np.nan)
        corners[placed] = pc.list_flatten(xyxy).to_numpy(zero_copy_only=False).reshape(-1, 4)
        return BoxFacts(row, label, _box_numbers(corners, self.sides[0][row], self.sides[1][row]))


def _box_numbers(xyxy: Floats, width: Floats, height: Floats) -> dict[str, Floats]:
    """Facts of (M, 4) boxes in images of these (M,) sides; NaN for boxes without area."""
    with np.errstate(invalid="ignore"):
        w, h = xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]
    good = np.isfinite(w) & np.isfinite(h) & (w > 0) & (h > 0)
    w, h = np.where(good, w, np.nan), np.where(good, h, np.nan)
    return {
        "box_side": np.sqrt(w * h),
        "box_area": w * h / (width * height),
        "box_aspect_ratio": w / h,
        "box_center_x": (xyxy[:, 0] + w / 2) / width,
        "box_center_y": (xyxy[:, 1] + h / 2) / height,
        "box_width": w / width,
        "box_height": h / height,
    }


def category(facts: Facts, name: str) -> pa.ChunkedArray | pa.Array | None:
    """A field of `CATEGORIES` or `WIDE_CATEGORIES` as strings; None where absent."""
    derived = {
        "size": _size,
        "aspect": _aspect,
        "orientation": _orientation,
        "exif_month": _month,
        "dominant_color": _dominant_color,
        "jpeg_quality": _quality_band,
    }
    if name in derived:
        return derived[name](facts)
    if not facts.has(name):
        return None
    return facts.table.column(name).cast(pa.string())


def _size(facts: Facts) -> pa.ChunkedArray | None:
    if not facts.has("width", "height"):
        return None
    width, height = (facts.table.column(c).cast(pa.string()) for c in ("width", "height"))
    return pc.binary_join_element_wise(width, height, "×")


def _pick(names: list[str], codes: npt.NDArray[np.int64]) -> pa.Array:
    """`names[codes]`; null where the code is negative."""
    return pa.array(names, pa.string()).take(pa.array(codes, mask=codes < 0))


def _aspect(facts: Facts) -> pa.Array | None:
    """The standard ratio within 1 %, or "other"."""
    if facts.pixels is None:
        return None
    width, height = facts.sides
    ratio = np.maximum(width, height) / np.minimum(width, height)
    codes = np.full(len(ratio), len(STANDARD_RATIOS))
    for i, standard in enumerate(STANDARD_RATIOS.values()):
        codes[np.abs(ratio / standard - 1) <= 0.01] = i
    codes[np.isnan(ratio)] = -1
    return _pick([*STANDARD_RATIOS, "other"], codes)


def _orientation(facts: Facts) -> pa.Array | None:
    if facts.pixels is None:
        return None
    width, height = facts.sides
    codes = np.select([np.isnan(width), width > height, width < height], [-1, 0, 1], 2)
    return _pick(["landscape", "portrait", "square"], codes)


def _quality_band(facts: Facts) -> pa.Array | None:
    """JPEG quality in bands of ten: "1–10" … "91–100"."""
    quality = facts.column("jpeg_quality")
    if quality is None:
        return None
    bands = [f"{low}–{low + 9}" for low in range(1, 100, 10)]
    codes = np.where(np.isnan(quality), -1, np.clip((np.nan_to_num(quality) - 1) // 10, 0, 9))
    return _pick(bands, codes.astype(np.int64))


def _month(facts: Facts) -> pa.ChunkedArray | None:
    """YYYY-MM of the EXIF date; null where there is none, "(invalid)" where it is no date."""
    if not facts.has("exif_datetime"):
        return None
    text = facts.table.column("exif_datetime")
    valid = pc.match_substring_regex(text, r"^(1[89]|20)\d\d[:-](0[1-9]|1[0-2])[:-]")
    year, month = pc.utf8_slice_codeunits(text, 0, 4), pc.utf8_slice_codeunits(text, 5, 7)
    return pc.if_else(valid, pc.binary_join_element_wise(year, month, "-"), "(invalid)")


def _dominant_color(facts: Facts) -> pa.Array | None:
    """The most common colour, as the centre #rrggbb of one of 8 × 8 × 8 cells of RGB."""
    colors = facts.vector("dominant_colors")
    if colors is None:
        return None
    known = ~np.isnan(colors[:, 0])
    cell = np.where(known[:, None], colors[:, :3], 0).astype(np.int64) // 32
    codes = cell @ np.array([64, 8, 1])
    names = [
        f"#{r * 32 + 16:02x}{g * 32 + 16:02x}{b * 32 + 16:02x}"
        for r in range(8)
        for g in range(8)
        for b in range(8)
    ]
    return _pick(names, np.where(known, codes, -1))
