"""Named per-image facts: one frozen dataclass each, and the MEASURES tuple."""

from cvdata.measures.base import Field, Measure, Value
from cvdata.measures.catalogue import (
    DEFAULT_MEASURES,
    MEASURES,
    build,
    measure_all,
    spec_fingerprint,
)

__all__ = [
    "DEFAULT_MEASURES",
    "MEASURES",
    "Field",
    "Measure",
    "Value",
    "build",
    "measure_all",
    "spec_fingerprint",
]
