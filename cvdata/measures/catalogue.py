"""Every measure by name, and how to build and run a set of them."""

import dataclasses
import difflib
import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cvdata.errors import ConfigError, printable
from cvdata.image import DECODE_VERSION, Image
from cvdata.measures.base import Measure, Value
from cvdata.measures.color import Color
from cvdata.measures.exposure import Exposure, Information
from cvdata.measures.file import File
from cvdata.measures.geometry import Geometry, PixelDigest
from cvdata.measures.hashes import AHash, ColorHash, DHash, PHash, PHashDihedral, WHash
from cvdata.measures.quality import Brisque, Piqe
from cvdata.measures.sharpness import Blur, Noise, Sharpness
from cvdata.measures.texture import Border, Hog, Texture

MEASURES: tuple[type[Measure], ...] = (
    File,
    Geometry,
    PixelDigest,
    Color,
    Exposure,
    Sharpness,
    Blur,
    Information,
    Texture,
    Noise,
    Border,
    AHash,
    DHash,
    PHash,
    PHashDihedral,
    WHash,
    ColorHash,
    Hog,
    Brisque,
    Piqe,
)
"""All that ship with cvdata; add a class here and it has a column, a docs row and the law tests."""

_ON_REQUEST = frozenset({"whash", "colorhash", "hog", "brisque", "piqe"})

DEFAULT_MEASURES: tuple[str, ...] = tuple(m.name for m in MEASURES if m.name not in _ON_REQUEST)
"""Names of the default set: all but those slow ones that are asked for by name."""


def build(name_or_path: str, **params: Any) -> Measure:
    """A measure by its name (`"phash"`) or as `package.module:Class` from outside.

    `params` are the dataclass's fields. Raises `ConfigError` naming the nearest name.
    """
    kind = _imported(name_or_path) if ":" in name_or_path else _known(name_or_path)
    try:
        measure = kind(**params)
    except TypeError as error:
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        raise ConfigError(
            f"measure {name_or_path!r}: {error}; its parameters are {names}"
        ) from error
    if not isinstance(measure, Measure):
        raise ConfigError(
            f"{name_or_path!r} is no measure: it needs name, version, fields and a call"
        )
    return measure


def _known(name: str) -> type[Measure]:
    by_name = {m.name: m for m in MEASURES}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, 1, 0.0)
    raise ConfigError(
        f"unknown measure {name!r}: did you mean {near[0]!r}? Known: {', '.join(by_name)};"
        " your own class is named 'package.module:Class'"
    )


def _imported(path: str) -> type[Any]:
    module_name, _, class_name = path.partition(":")
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot import measure {path!r}: {error}") from error
    if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
        raise ConfigError(f"measure {path!r} is not a dataclass")
    return kind


def spec_fingerprint(measure: Measure) -> str:
    """Hex SHA-256 of all that can change its values: name, version, parameters, decode version."""
    spec = {
        "name": measure.name,
        "version": measure.version,
        "parameters": dataclasses.asdict(measure),  # type: ignore[call-overload]
        "decode_version": DECODE_VERSION,
    }
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def measure_all(
    measures: Sequence[Measure], image: Image
) -> tuple[dict[str, Value], dict[str, str]]:
    """Values of every field of every measure, and a message for each measure that raised.

    A measure that raises gets None in its own columns; the others are not touched.
    """
    values: dict[str, Value] = {}
    failures: dict[str, str] = {}
    for measure in measures:
        try:
            values.update(_checked(measure, measure(image)))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  a measure may be anybody's code
            failures[measure.name] = printable(f"{type(error).__name__}: {error}")
            values.update({field.name: None for field in measure.fields})
    return values, failures


def _checked(measure: Measure, row: Mapping[str, Value]) -> Mapping[str, Value]:
    if len(row) != len(measure.fields) or any(f.name not in row for f in measure.fields):
        expected = sorted(field.name for field in measure.fields)
        raise ValueError(f"returned {sorted(row)} instead of {expected}")
    return row
