"""What the report is told of doubted labels and of the map: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cvdata.schema import LABEL_ISSUES, MAP

DOUBTED_ROWS = LABEL_ISSUES
"""Flagged rows of each method, rank by rank."""


@dataclass(frozen=True)
class LabelFacts:
    """What the labels job found: `flagged` and `doubted` images by method, `sources` its figures.

    `rows` (LABEL_ISSUES) are the first of each method; `moves` counts images by (label,
    suggested) of the leading method, most first. `is_current` is False where tables changed since.
    """

    flagged: Mapping[str, int]
    doubted: Mapping[str, int]
    sources: Mapping[str, Mapping[str, Any]]
    rows: pa.Table = field(default_factory=DOUBTED_ROWS.empty_table)
    moves: tuple[tuple[str, str, int], ...] = ()
    is_current: bool = True


@dataclass(frozen=True)
class MapFacts:
    """A map: `points` (MAP) of the images shown, their `labels`, and which are flagged.

    `n_images` are on the map in all.
    """

    model: str
    n_images: int
    points: pa.Table = field(default_factory=MAP.empty_table)
    labels: tuple[str | None, ...] = ()
    is_flagged: tuple[bool, ...] = ()
