"""Looks up the eda job's long tables; every answer is empty where the table or field is."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.report.charts import Bin
from cvdata.report.grids import Tile

_EMPTY = pa.table({})

ABSENT = "(none)"
"""What the eda job calls the value of images that have none."""

POOLED = "(other)"
"""What it calls all values beyond those that it lists."""


@dataclass(frozen=True)
class Profile:
    """One class and one fact: its mean, its spread, its likeness: 1 all alike, 0 as the dataset."""

    label: str
    value: float | None
    spread: float
    likeness: float | None


@dataclass(frozen=True)
class Facts:
    """The long tables by name: summary, counts, histograms, joint, cooccurrence, class_profile."""

    tables: Mapping[str, pa.Table]

    def statistic(
        self, field: str, statistic: str, scope: str = "all", group: str = ""
    ) -> float | None:
        """One number of `summary`, or None."""
        where = {"scope": scope, "group": group, "field": field, "statistic": statistic}
        values = self._rows("summary", **where)["value"] if "summary" in self.tables else []
        return None if len(values) == 0 else values[0].as_py()

    def counts(self, field: str, scope: str = "all", group: str = "") -> list[tuple[str, int]]:
        """(value, n) of a categorical field, most frequent first."""
        rows = self._rows("counts", scope=scope, group=group, field=field).to_pylist()
        pairs = [(str(row["value"]), int(row["n"])) for row in rows]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def named(self, field: str, scope: str = "all", group: str = "") -> list[tuple[str, int]]:
        """`counts` without the images for which the field says nothing."""
        return [pair for pair in self.counts(field, scope, group) if pair[0] != ABSENT]

    def sizes(self, scope: str) -> list[tuple[str, int]]:
        """(group, records) of a scope, readable or not, the largest first."""
        rows = self._rows("counts", scope=scope, field="error").to_pylist()
        totals: dict[str, int] = {}
        for row in rows:
            totals[row["group"]] = totals.get(row["group"], 0) + int(row["n"])
        named = [(group, n) for group, n in totals.items() if group != ABSENT]
        return sorted(named, key=lambda pair: (-pair[1], pair[0]))

    def bins(self, field: str, scope: str = "all", group: str = "") -> list[Bin]:
        """The histogram of a numeric field, ascending; [] where nothing was counted."""
        rows = self._rows("histograms", scope=scope, group=group, field=field).to_pylist()
        bins = [Bin(float(r["low"]), float(r["high"]), int(r["n"])) for r in rows]
        return sorted(bins, key=lambda b: b.low) if any(b.n for b in bins) else []

    def tiles(self, field_x: str, field_y: str) -> list[Tile]:
        """The two-dimensional histogram of two fields over the whole dataset."""
        rows = self._rows("joint", scope="all", field_x=field_x, field_y=field_y).to_pylist()
        return [
            Tile((r["x_low"], r["x_high"]), (r["y_low"], r["y_high"]), int(r["n"])) for r in rows
        ]

    def pairs(self) -> list[tuple[str, str, int]]:
        """Objects seen together in an image, most frequent first."""
        rows = self.tables.get("cooccurrence", _EMPTY).to_pylist()
        found = [(str(r["a"]), str(r["b"]), int(r["n"])) for r in rows]
        return sorted(found, key=lambda pair: (-pair[2], pair[:2]))

    def profile(self, field: str) -> list[Profile]:
        """Every class's profile of one field."""
        rows = self._rows("class_profile", field=field).to_pylist()
        return [Profile(r["label"], r["value"], r["spread"] or 0.0, r["likeness"]) for r in rows]

    def _rows(self, name: str, **where: str) -> pa.Table:
        table = self.tables.get(name, _EMPTY)
        for column, value in where.items():
            if table.num_rows:
                table = table.filter(pc.equal(table[column], value))
        return table
