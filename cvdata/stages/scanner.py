"""What runs in the sandbox: bytes -> the values of every measure.

It imports little, because every child waits for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cvdata.errors import ConfigError
from cvdata.image import Header, Image, Limits, open_image
from cvdata.measures import build, measure_all
from cvdata.measures.base import Measure, Value

Row = dict[str, Value]


@dataclass(frozen=True)
class MeasureSpec:
    """A measure by name, `pkg.mod:Class` for one from outside, and its parameters."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def parse(value: str | Mapping[str, Mapping[str, Any]]) -> "MeasureSpec":
        """The spec that a config writes as `name` or `{name: {parameter: value}}`."""
        if isinstance(value, str):
            return MeasureSpec(value)
        if len(value) != 1:
            raise ConfigError(f"a measure is `name` or `name: parameters`, not {dict(value)!r}")
        ((name, params),) = value.items()
        return MeasureSpec(name, dict(params or {}))

    def build(self) -> Measure:
        """The measure; `ConfigError` where there is none of that name."""
        return build(self.name, **self.params)


@dataclass(frozen=True)
class ImageScanner:
    """What the sandbox runs: bytes -> (values, failures by measure). Small; it travels."""

    specs: tuple[MeasureSpec, ...]
    limits: Limits

    def __call__(self) -> Callable[[bytes, str], tuple[Row, dict[str, str]]]:
        """Build the measures where the pixels will be."""
        measures = [spec.build() for spec in self.specs]
        # Compiled kernels load on first use: now, not on the time of the first image.
        measure_all(measures, _blank())

        def scan(data: bytes, name: str) -> tuple[Row, dict[str, str]]:
            return measure_all(measures, open_image(data, self.limits, name))

        return scan


def _blank() -> Image:
    rgb = np.zeros((64, 64, 3), np.uint8)
    return Image(b"", Header(format="PNG", mode="RGB", width=64, height=64), rgb)
