"""What a measure is: named facts of one image, with a type and a line of explanation each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from cvdata.image import Image

Value = float | int | bool | str | bytes | list[float] | list[int] | None


@dataclass(frozen=True)
class Field:
    """One column.

    `dtype` is `bool`, `int8` … `int64`, `uint8` … `uint64`, `float32`, `float64`, `string`,
    `binary[n]` (n bytes) or `TYPE[n]` (a fixed-size list of n numbers, e.g. `float32[16]`).
    `doc` is one line: what, unit, range, direction.
    """

    name: str
    dtype: str
    doc: str


@runtime_checkable
class Measure(Protocol):
    """Facts of one image. A frozen dataclass whose fields are its parameters.

    `version` moves whenever a value can change. A call returns a value (or None) for every
    field in `fields`; it may raise, which nulls its own columns only.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    fields: ClassVar[tuple[Field, ...]]

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Measure `image`."""
        ...
