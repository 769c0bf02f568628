"""EXIF written into photographs: invented cameras, so that nobody's device is named."""

import struct
from typing import TypeAlias

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

Facts: TypeAlias = dict[str, str | int | bool]

CAMERAS = (
    ("Lumen", "Lumen L-100", "Lumen 1.2"),
    ("Halide Works", "HW 35", "Darkroom 4.1"),
    ("Pocketfon", "Pocketfon 7", "Pocketfon OS 12"),
    ("Pocketfon", "Pocketfon 8 Pro", "Pocketfon OS 13"),
)
ODD_DATES = ("0000:00:00 00:00:00", "2099:12:31 23:59:59")
"""A clock that was never set, and one from the future: each on one image."""

_MAKE, _MODEL, _ORIENTATION, _SOFTWARE, _DATE = 0x010F, 0x0110, 0x0112, 0x0131, 0x0132
_EXIF, _GPS, _ORIGINAL = 0x8769, 0x8825, 0x9003


def shoot(number: int, rng: np.random.Generator) -> Facts:
    """The facts of the `number`-th photograph: a camera, a date, a place on every third."""
    make, model, software = CAMERAS[int(rng.integers(len(CAMERAS)))]
    year, month, day = 2022 + int(rng.integers(3)), 1 + int(rng.integers(12)), rng.integers(1, 29)
    time = f"{rng.integers(24):02d}:{rng.integers(60):02d}:{rng.integers(60):02d}"
    date = f"{year}:{month:02d}:{day:02d} {time}"
    if number < len(ODD_DATES):
        date = ODD_DATES[number]
    return {
        "make": make,
        "model": model,
        "software": software,
        "datetime": date,
        "has_gps": number % 3 == 0,
    }


def exif_bytes(facts: Facts) -> bytes:
    """An EXIF block that says so, as Pillow's `exif=` takes it."""
    exif = Image.Exif()
    tags = {_MAKE: "make", _MODEL: "model", _SOFTWARE: "software", _ORIENTATION: "orientation"}
    for tag, name in tags.items():
        if name in facts:
            exif[tag] = facts[name]
    if "datetime" in facts:
        exif[_DATE] = facts["datetime"]
        exif.get_ifd(_EXIF)[_ORIGINAL] = facts["datetime"]
    if facts.get("has_gps"):
        exif.get_ifd(_GPS).update(_place())
    return exif.tobytes()


def _place() -> dict[int, object]:
    """0 N 0 E, where no one lives."""
    zero = (IFDRational(0), IFDRational(0), IFDRational(0))
    return {0: struct.pack("4B", 2, 3, 0, 0), 1: "N", 2: zero, 3: "E", 4: zero}
