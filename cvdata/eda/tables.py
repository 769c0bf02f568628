"""The tables of a summary, and how they are looked up."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class SummaryTables:
    """What the eda job writes; schemas in `cvdata.schema`. `answers` is for summary.json."""

    summary: pa.Table
    counts: pa.Table
    histograms: pa.Table
    joint: pa.Table
    cooccurrence: pa.Table
    class_profile: pa.Table
    answers: Mapping[str, Any] = field(default_factory=dict)

    def with_answers(self, answers: Mapping[str, Any]) -> "SummaryTables":
        """The same tables, with the answers."""
        return replace(self, answers=answers)


@dataclass(frozen=True)
class View:
    """Look up numbers of `SummaryTables` by field; None or empty where there are none."""

    tables: SummaryTables

    @cached_property
    def _statistics(self) -> dict[tuple[str, str], dict[str, float]]:
        rows = self.tables.summary
        found: dict[tuple[str, str], dict[str, float]] = {}
        kept = rows.filter(pc.is_in(rows["scope"], pa.array(["all", "label"])))
        for row in kept.to_pylist():
            if row["value"] is not None:
                key = (row["group"] if row["scope"] == "label" else "", row["field"])
                found.setdefault(key, {})[row["statistic"]] = row["value"]
        return found

    @cached_property
    def _counts(self) -> dict[tuple[str, str, str], dict[str, int]]:
        rows = self.tables.counts
        found: dict[tuple[str, str, str], dict[str, int]] = {}
        kept = rows.filter(pc.is_in(rows["scope"], pa.array(["all", "split"])))
        for row in kept.to_pylist():
            key = (row["scope"], row["group"], row["field"])
            found.setdefault(key, {})[row["value"]] = row["n"]
        return found

    @cached_property
    def profile(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """By field and label: value, spread, likeness."""
        found: dict[str, dict[str, dict[str, float | None]]] = {}
        for row in self.tables.class_profile.to_pylist():
            found.setdefault(row["field"], {})[row["label"]] = row
        return found

    def exists(self, rows: Mapping[str, str]) -> bool:
        """Whether a table has rows with these values; `table` names it."""
        found: pa.Table = getattr(self.tables, rows["table"])
        for column, value in rows.items():
            if column != "table" and found.num_rows:
                found = found.filter(pc.equal(found[column], value))
        return bool(found.num_rows)

    def statistics(self, name: str, label: str = "") -> dict[str, float] | None:
        """The statistics of a field over the dataset, or over a label; None if it has no value."""
        found = self._statistics.get((label, name))
        return found if found and found.get("count") else None

    def counts(self, name: str, split: str | None = None) -> dict[str, int]:
        """Values and their n, most frequent first; over the dataset or a split."""
        scope = ("all", "") if split is None else ("split", split)
        return self._counts.get((*scope, name), {})

    def splits(self, name: str) -> list[str]:
        """The splits in which a field was counted."""
        return sorted(g for scope, g, f in self._counts if scope == "split" and f == name)

    def share_between(self, name: str, low: float, high: float) -> float | None:
        """Share of the values in bins that lie within [low, high); None if it has no value."""
        rows = self.tables.histograms
        mine = rows.filter((pc.field("scope") == "all") & (pc.field("field") == name))
        total = pc.sum(mine["n"]).as_py()
        if not total:
            return None
        inside = mine.filter((pc.field("low") >= low) & (pc.field("high") <= high))
        return float((pc.sum(inside["n"]).as_py() or 0) / total)
