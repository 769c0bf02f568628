"""Laws that every measure keeps, on every kind of image."""

import dataclasses
import io
import math
import tracemalloc
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image as PilImage

from cvdata.image import Header, Image, open_image
from cvdata.measures import DEFAULT_MEASURES, MEASURES, Field, Measure, Value, build, measure_all
from cvdata.schema import arrow_type, measures_schema
from tests.kernels.pictures import KINDS, SHAPES, Rgb, noise, pictures, smooth

RANGES: dict[str, tuple[float, float]] = {
    "aspect_ratio": (1e-9, 1e9),
    "hsv_mean_h": (0, 360),
    "lab_mean_l": (0, 100),
    "lab_std_l": (0, 50.1),
    "colorfulness": (0, 300),
    "rms_contrast": (0, 0.5),
    "entropy": (0, math.log2(768)),
    "gray_entropy": (0, 8),
    "unique_colors": (1, 16_384),
    "jpeg_blockiness": (-1, 1),
    "laplacian_variance": (0, 1020**2),
    "tenengrad": (0, 2 * 1020**2),
    "blur_edge_std": (0, 127.6),
    "blur_histogram_std": (0, 4096 / math.sqrt(256)),
    "noise_sigma": (0, 400),
}
for _name in ("mean_r", "mean_g", "mean_b"):
    RANGES[_name] = (0, 255)
for _name in ("std_r", "std_g", "std_b"):
    RANGES[_name] = (0, 127.5)
for _name in ("lab_mean_a", "lab_mean_b"):
    RANGES[_name] = (-128, 127)
for _name in ("hsv_mean_s", "hsv_mean_v", "clipped_black", "clipped_white", "border_fraction"):
    RANGES[_name] = (0, 1)
for _name in ("edge_density", "high_frequency_ratio", "brightness_mean"):
    RANGES[_name] = (0, 1)
for _p in (1, 5, 10, 15, 50, 85, 90, 95, 99):
    RANGES[f"brightness_p{_p}"] = (0, 1)
for _name in ("ahash", "dhash", "phash", "whash"):
    RANGES[f"{_name}_bits_set"] = (0, 64)

SUMS_TO_ONE = ("hist_r", "hist_g", "hist_b", "lbp_hist", "dominant_fractions")


def image_of(rgb: Rgb) -> Image:
    height, width = rgb.shape[:2]
    return Image(b"bytes", Header("PNG", "RGB", width, height), rgb)


def all_measures() -> list[Measure]:
    return [build(measure.name) for measure in MEASURES]


def check(field: Field, value: Value) -> None:
    if value is None:
        assert "null" in field.doc, f"{field.name} was null and its line does not say when"
        return
    arrow_type(field.dtype)  # the type exists
    if field.dtype.startswith("binary["):
        assert isinstance(value, bytes)
        assert len(value) == int(field.dtype[7:-1])
    elif "[" in field.dtype:
        check_list(field, value)
    elif field.dtype == "string":
        assert isinstance(value, str)
    elif field.dtype == "bool":
        assert type(value) is bool
    elif field.dtype.startswith("float"):
        assert isinstance(value, float)
        assert math.isfinite(value), field.name
    else:
        assert type(value) is int
    if field.name in RANGES:
        low, high = RANGES[field.name]
        assert isinstance(value, int | float)
        assert low <= value <= high * (1 + 1e-9), (field.name, value)


def check_list(field: Field, value: Value) -> None:
    base, size = field.dtype[:-1].split("[")
    assert isinstance(value, list)
    assert len(value) == int(size)
    kind = int if base.startswith("uint") else float
    assert all(type(v) is kind and math.isfinite(v) for v in value), field.name
    if kind is int:
        assert all(0 <= v <= 255 for v in value)
    if field.name in SUMS_TO_ONE:
        assert sum(value) == pytest.approx(1, abs=1e-9)
        assert min(value) >= 0


def check_row(measure: Measure, row: Mapping[str, Value]) -> None:
    assert set(row) == {field.name for field in measure.fields}
    for field in measure.fields:
        check(field, row[field.name])


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_rows_are_typed_finite_in_range_and_repeat(kind, shape: tuple[int, int]) -> None:
    rgb = kind(*shape)
    shared = image_of(rgb)
    for measure in all_measures():
        row = measure(shared)
        check_row(measure, row)
        # alone or beside others, once or twice: the same
        assert dict(measure(image_of(rgb))) == dict(row)


@settings(max_examples=60, deadline=None)
@given(pictures())
def test_laws_hold_for_any_picture(rgb: Rgb) -> None:
    before = rgb.copy()
    image = image_of(rgb)
    values, failures = measure_all(all_measures(), image)
    assert failures == {}
    for measure in all_measures():
        check_row(measure, {field.name: values[field.name] for field in measure.fields})
    assert np.array_equal(rgb, before), "a measure wrote to the pixels"


def test_the_order_of_measures_does_not_matter() -> None:
    rgb = smooth(90, 70)
    forward, _ = measure_all(all_measures(), image_of(rgb))
    backward, _ = measure_all(all_measures()[::-1], image_of(rgb))
    assert forward == backward


def test_every_column_has_a_type_a_range_or_kind_and_one_owner() -> None:
    fields = [field for measure in MEASURES for field in measure.fields]
    names = [field.name for field in fields]
    assert len(names) == len(set(names))
    assert set(RANGES) <= set(names)
    schema = measures_schema([(field.name, field.dtype) for field in fields])
    assert schema.names[4:] == names
    assert all(field.doc and "\n" not in field.doc for field in fields)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.name)
def test_measures_are_frozen_dataclasses_with_plain_parameters(measure: type[Measure]) -> None:
    built = build(measure.name)
    assert isinstance(built, Measure)
    assert built.__dataclass_params__.frozen
    assert built == measure()
    assert built.version >= 1
    for field in dataclasses.fields(built):
        assert isinstance(getattr(built, field.name), int | float | str | bool)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"]
)
def test_decoded_images_of_every_mode(mode: str) -> None:
    rgba = np.dstack([smooth(40, 50), noise(40, 50)[:, :, :1]])
    if mode in ("I;16", "I", "F"):
        pil = PilImage.fromarray(smooth(40, 50)[:, :, 0].astype(np.int32) * 200).convert(mode)
    else:
        via = "RGBA" if mode in ("LA", "PA", "RGBA") else "RGB"
        pil = PilImage.fromarray(rgba).convert(via).convert(mode)
    packed = io.BytesIO()
    pil.save(packed, "PNG" if mode in ("P", "LA", "RGBA") else "TIFF")
    image = open_image(packed.getvalue(), name="x.tif")
    values, failures = measure_all(all_measures(), image)
    assert failures == {}
    assert (values["height"], values["width"]) == (40, 50)
    for measure in all_measures():
        check_row(measure, {field.name: values[field.name] for field in measure.fields})


def test_twelve_megapixels_need_less_than_400_megabytes() -> None:
    rgb = smooth(3000, 4000)
    measures = [build(name) for name in DEFAULT_MEASURES]
    measure_all(measures, image_of(smooth(50, 50)))
    tracemalloc.start()
    try:
        _, failures = measure_all(measures, image_of(rgb))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert failures == {}
    assert peak < 400e6
