"""First pass: what each image's own rows say, range by range."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.decide.findings import FINDINGS, findings
from cvdata.decide.judge import is_unreadable, judge
from cvdata.decide.lists import NameList
from cvdata.decide.rules import Rules
from cvdata.duplicates.keep import with_derived
from cvdata.errors import ConfigError
from cvdata.reading import IdRange, positions
from cvdata.runs.decide_cut import Cut
from cvdata.runs.decide_spill import Spill

FINDING_TABLES = ("issues", "outliers", "label_issues")
IMAGES, FOUND = "images", "found"
RECORDS_ASKED = ("image_id", "revision", "error", "label", "split", "boxes", "key", "uri")


@dataclass(frozen=True)
class Judged:
    """Receipt of a range: rows, images without a scan, and which lines of the lists matched."""

    n_images: int
    n_unscanned: int
    kept_lines: frozenset[int]
    dropped_lines: frozenset[int]


@dataclass(frozen=True)
class JudgeRange:
    """One range: `images/<n>` (a row an image) and `found/<n>` (FINDINGS) go to the spill.

    `facts` are the columns of `measures` that the keep policy asks for.
    """

    spill: Spill
    cut: Cut
    rules: Rules
    lists: tuple[NameList, NameList]
    tables: tuple[str, ...]
    facts: tuple[str, ...]

    def __call__(self, item: tuple[int, IdRange]) -> Judged:
        """Judge the images of one numbered range."""
        number, id_range = item
        images = self._images(id_range)
        tables = {
            name: _live(self.cut.read(name, id_range=id_range), images)
            for name in FINDING_TABLES
            if name in self.tables
        }
        keep, drop = self.lists
        forced, kept_lines = keep.match(images)
        dropped, dropped_lines = drop.match(images)
        _refuse_both(images, forced & dropped)
        found = [
            judge(images, tables, self.rules),
            findings(images["image_id"].filter(pa.array(dropped)), "user", True),
            findings(images["image_id"].filter(pa.array(forced)), "user", False),
            *self._by_sql(number),
        ]
        rows = images.drop_columns(["key", "uri", "error", "boxes"]).append_column(
            "is_forced", pa.array(forced)
        )
        bad = is_unreadable(images["error"])
        self.spill.put(IMAGES, number, rows.append_column("is_unreadable", bad))
        self.spill.put(FOUND, number, pa.concat_tables(found))
        n_unscanned = pc.sum(pc.invert(images["is_scanned"])).as_py() or 0
        return Judged(len(images), n_unscanned, frozenset(kept_lines), frozenset(dropped_lines))

    def _images(self, id_range: IdRange) -> pa.Table:
        """Records with the facts, the split they were assigned, and what their boxes show."""
        rows = self.cut.read("records", list(RECORDS_ASKED), id_range=id_range)
        rows = rows.append_column("is_scanned", pa.array(np.zeros(len(rows), bool)))
        if "measures" in self.tables:
            asked = ["image_id", "revision", "error", *self.facts]
            facts = self.cut.read("measures", asked, id_range=id_range)
            at = positions(rows, facts)
            taken = facts.take(pa.array(at, mask=at < 0))
            rows = _set(rows, "error", pc.coalesce(taken["error"], rows["error"]))
            rows = _set(rows, "is_scanned", pa.array(at >= 0))
            for name in self.facts:
                rows = _set(rows, name, taken[name])
        if "splits" in self.tables:
            assigned = self.cut.read("splits", id_range=id_range)
            at = positions(rows, assigned)
            split = assigned["split"].take(pa.array(at, mask=at < 0))
            rows = _set(rows, "split", pc.coalesce(split, rows["split"]))
        return _set(with_derived(rows), "objects", _objects(rows["boxes"]))

    def _by_sql(self, number: int) -> Sequence[pa.Table]:
        rows = self.spill.get("sql", number)
        return [] if rows is None else [rows.cast(FINDINGS)]


def _set(table: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.schema.get_field_index(name), name, column)
    return table.append_column(name, column)


def _live(rows: pa.Table, images: pa.Table) -> pa.Table:
    """Findings of these very revisions; `Workspace.read` gives no others."""
    return rows.filter(pc.is_in(rows["image_id"], value_set=images["image_id"].combine_chunks()))


def _objects(boxes: pa.ChunkedArray) -> pa.Array:
    """The distinct labels of each image's boxes, sorted: list<string>."""
    lists = boxes.combine_chunks() if isinstance(boxes, pa.ChunkedArray) else boxes
    if lists.null_count == len(lists):
        return pa.nulls(len(lists), pa.list_(pa.string()))
    parents = pc.list_parent_indices(lists)
    pairs = pa.table({"row": parents, "label": lists.flatten().field("label")})
    pairs = pairs.filter(pc.is_valid(pairs["label"])).group_by(["row", "label"]).aggregate([])
    pairs = pairs.sort_by([("row", "ascending"), ("label", "ascending")])
    counts = np.bincount(np.asarray(pairs["row"], np.int64), minlength=len(lists))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    labels = pairs["label"].combine_chunks().cast(pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), labels)


def _refuse_both(images: pa.Table, both: np.ndarray) -> None:
    if both.any():
        uri = images["uri"][int(np.flatnonzero(both)[0])].as_py()
        raise ConfigError(f"{uri} is in the keep list and in the drop list: take it out of one")
