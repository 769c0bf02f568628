"""Measures by name, their fingerprints, and what one failure costs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from cvdata.errors import ConfigError
from cvdata.image import DECODE_VERSION, Header, Image
from cvdata.measures import (
    DEFAULT_MEASURES,
    MEASURES,
    Field,
    Value,
    build,
    measure_all,
    spec_fingerprint,
)
from tests.kernels.pictures import noise


@dataclass(frozen=True)
class Corner:
    """The top left pixel's red; an operator's own measure."""

    factor: int = 1

    name: ClassVar[str] = "corner"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (Field("corner", "int32", "Red of the corner."),)

    def __call__(self, image: Image) -> Mapping[str, Value]:
        return {"corner": int(image.rgb[0, 0, 0]) * self.factor}


@dataclass(frozen=True)
class Broken:
    """Divides by zero."""

    name: ClassVar[str] = "broken"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("broken_a", "int32", "Nothing; null always."),
        Field("broken_b", "float32", "Nothing; null always."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        return {"broken_a": 1 // 0, "broken_b": 0.0}


@dataclass(frozen=True)
class Short:
    """Leaves a field out."""

    name: ClassVar[str] = "short"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (Field("short_a", "int32", "Nothing; null always."),)

    def __call__(self, image: Image) -> Mapping[str, Value]:
        return {"other": 3}


@dataclass(frozen=True)
class NotAMeasure:
    """No name, no fields."""


def image() -> Image:
    return Image(b"", Header("PNG", "RGB", 20, 20), noise(20, 20))


def test_names_are_unique_and_the_default_leaves_out_the_slow() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(names) == len(set(names))
    assert set(names) - set(DEFAULT_MEASURES) == {"whash", "colorhash", "hog", "brisque", "piqe"}


def test_a_typo_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'phash'"):
        build("phsh")
    with pytest.raises(ConfigError, match="did you mean 'sharpness'"):
        build("sharpnes")


def test_parameters_are_checked() -> None:
    assert build("border", tolerance=3).tolerance == 3
    with pytest.raises(ConfigError, match=r"parameters are \['tolerance'\]"):
        build("border", tolerence=3)


def test_an_operators_own_measure() -> None:
    corner = build(f"{__name__}:Corner", factor=2)
    picture = image()
    assert corner(picture) == {"corner": 2 * int(picture.rgb[0, 0, 0])}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:Corner", "cannot import"),
        (f"{__name__}:Missing", "cannot import"),
        (f"{__name__}:image", "not a dataclass"),
        (f"{__name__}:NotAMeasure", "is no measure"),
    ],
)
def test_what_is_no_measure_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(path)


def test_a_failure_nulls_its_own_columns_only() -> None:
    good, broken, short = build("geometry"), Broken(), Short()
    values, failures = measure_all([broken, good, short], image())
    assert values["broken_a"] is None
    assert values["broken_b"] is None
    assert values["short_a"] is None
    assert "other" not in values
    assert values["width"] == 20
    assert set(failures) == {"broken", "short"}
    assert failures["broken"].startswith("ZeroDivisionError: ")


def test_running_out_of_memory_is_no_measures_failure() -> None:
    @dataclass(frozen=True)
    class Hungry(Broken):
        def __call__(self, image: Image) -> Mapping[str, Value]:
            raise MemoryError

    with pytest.raises(MemoryError):
        measure_all([Hungry()], image())


def test_fingerprint_is_of_name_version_parameters_and_decode_version() -> None:
    spec = {
        "decode_version": DECODE_VERSION,
        "name": "border",
        "parameters": {"tolerance": 8},
        "version": 1,
    }
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    assert spec_fingerprint(build("border")) == hashlib.sha256(text.encode()).hexdigest()
    prints = [spec_fingerprint(build(measure.name)) for measure in MEASURES]
    prints.append(spec_fingerprint(build("border", tolerance=9)))
    assert len(set(prints)) == len(prints)


def test_file_reads_the_header_and_hashes_the_bytes() -> None:
    header = Header(
        "JPEG",
        "RGB",
        20,
        20,
        n_frames=3,
        exif_make="Maker",
        jpeg_quality=91,
        trailing_bytes=4,
        flags=("wrong_extension", "multi_frame", "trailing_bytes"),
    )
    row = build("file")(Image(b"abc", header, np.zeros((20, 20, 3), np.uint8)))
    assert row["sha256"] == hashlib.sha256(b"abc").digest()
    assert row["size_bytes"] == 3
    assert (row["n_frames"], row["exif_make"], row["jpeg_quality"]) == (3, "Maker", 91)
    assert (row["wrong_extension"], row["multi_frame"], row["was_cmyk"]) == (True, True, False)
    assert row["exif_orientation"] is None


def test_pixel_digest_is_of_shape_and_pixels() -> None:
    digest = build("pixel_digest")

    def of(rgb: np.ndarray) -> Value:
        return digest(Image(b"", Header("PNG", "RGB", 1, 1), rgb))["pixel_digest"]

    wide, tall = np.zeros((2, 8, 3), np.uint8), np.zeros((8, 2, 3), np.uint8)
    assert of(wide) != of(tall)
    assert of(wide) == of(np.zeros((2, 16, 3), np.uint8)[:, ::2])
    one = wide.copy()
    one[1, 7, 2] = 1
    assert of(one) != of(wide)
