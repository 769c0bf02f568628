"""What runs in the sandbox: bytes -> the values of every measure, and a model's input.

It imports little, because every child waits for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError, printable
from cvdata.image import Header, Image, Limits, open_image
from cvdata.measures import build, measure_all
from cvdata.measures.base import Measure, Value

Row = dict[str, Value]
Prepare = Callable[[npt.NDArray[np.uint8]], Any]
Scanned = tuple[Row, dict[str, str], Any]
"""Values, failures by measure, and what the model takes: None without one, a text where it fails"""


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
    """What the sandbox runs: bytes -> `Scanned`. Small; it travels.

    `prepare` makes a model's input of the decoded pixels; it must be picklable.
    """

    specs: tuple[MeasureSpec, ...]
    limits: Limits
    prepare: Prepare | None = None

    def __call__(self) -> Callable[[bytes, str], Scanned]:
        """Build the measures where the pixels will be."""
        measures = [spec.build() for spec in self.specs]
        # Compiled kernels load on first use: now, not on the time of the first image.
        measure_all(measures, _blank())
        _prepared(self.prepare, _blank())

        def scan(data: bytes, name: str) -> Scanned:
            image = open_image(data, self.limits, name)
            return *measure_all(measures, image), _prepared(self.prepare, image)

        return scan


def _prepared(prepare: Prepare | None, image: Image) -> Any:
    try:
        return None if prepare is None else prepare(image.rgb)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a model may be anybody's code
        return printable(f"{type(error).__name__}: {error}")


def _blank() -> Image:
    rgb = np.zeros((64, 64, 3), np.uint8)
    return Image(b"", Header(format="PNG", mode="RGB", width=64, height=64), rgb)
