"""One side of a comparison in bounded memory: counts of everything, a sample of the rows.

Which rows are sampled hangs on nothing but their ids and the seed: not on workers, nor on order.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.chance import shares
from cvdata.keys import KeySet, key_columns
from cvdata.tables import KEY_COLUMNS
from cvdata.vectors import has_direction, matrix
from cvdata.workspace import Workspace

DRAWN = "_drawn"
OK = "ok"


@dataclass
class Collected:
    """Images by label, boxes by label, images by error code, and the sampled rows."""

    labels: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    rows: pa.Table | None = None

    @property
    def n_images(self) -> int:
        """All images, those with an error too."""
        return self.errors.total()


@dataclass(frozen=True)
class Collect:
    """Folds wide rows of one split, or of all where `split` is None; keeps at most `n_rows`.

    The columns `error`, `label`, `split`, `boxes` are counted where they are there; all are kept
    in the sample but `boxes`, together with the id. `after` (url, commit): rows of images that
    this commit held already, in the same revision, are left out.
    """

    split: str | None
    n_rows: int
    seed: int
    after: tuple[str, int] | None = None

    def zero(self) -> Collected:
        """Nothing yet."""
        return Collected()

    def update(self, acc: Collected, table: pa.Table) -> Collected:
        """`acc` with these rows."""
        if self.split is not None:
            table = table.filter(pc.equal(table["split"], self.split))
        if self.after is not None and len(table):
            table = _new(table, *self.after)
        acc.errors.update(_counted(table["error"], OK))
        if "label" in table.column_names:
            acc.labels.update(_counted(table["label"].drop_null(), ""))
        if "boxes" in table.column_names:
            names = pc.struct_field(pc.list_flatten(table["boxes"]), "label")
            acc.objects.update(_counted(names.drop_null(), ""))
            table = table.drop_columns(["boxes"])
        table = table.filter(pc.is_null(table["error"]))
        if "embedding" in table.column_names:
            table = table.filter(pa.array(has_direction(matrix(table["embedding"]))))
        drawn = pa.array(shares(table["image_id"], self.seed))
        return self.merge(acc, Collected(rows=table.append_column(DRAWN, drawn)))

    def merge(self, a: Collected, b: Collected) -> Collected:
        """Both together."""
        a.labels.update(b.labels)
        a.objects.update(b.objects)
        a.errors.update(b.errors)
        some = [x.rows for x in (a, b) if x.rows is not None]
        if some:
            rows = pa.concat_tables(some)
            order = [(DRAWN, "ascending"), ("image_id", "ascending")]
            a.rows = rows.take(pc.sort_indices(rows, sort_keys=order)[: self.n_rows])
        return a

    def finalize(self, acc: Collected) -> Collected:
        """The result."""
        return acc


def _new(table: pa.Table, url: str, seq: int) -> pa.Table:
    """The rows, sorted by image_id, that the commit did not hold."""
    first, last = table["image_id"][0].as_py(), table["image_id"][-1].as_py()
    held = Workspace(url).pin(seq).read("records", KEY_COLUMNS, id_range=(first, _next(last)))
    known = KeySet.of(held["image_id"], held["revision"])
    is_known = known.contains(*key_columns(table["image_id"], table["revision"]))
    return table.filter(pa.array(~is_known))


def _next(image_id: bytes) -> bytes | None:
    """The id after it; None after the last."""
    number = int.from_bytes(image_id, "big") + 1
    return None if number >> 128 else number.to_bytes(16, "big")


def _counted(column: pa.ChunkedArray, null: str) -> dict[str, int]:
    found: list[dict[str, Any]] = pc.value_counts(column).to_pylist()
    return {null if v["values"] is None else v["values"]: v["counts"] for v in found}


def numbers(rows: pa.Table, name: str) -> np.ndarray:
    """(n,) float64 of a numeric or boolean column, NaN where null or not finite."""
    values = np.asarray(rows[name].cast(pa.float64(), safe=False).to_numpy(), np.float64)
    return np.where(np.isfinite(values), values, np.nan)
