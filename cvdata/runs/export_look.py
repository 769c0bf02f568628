"""One look at every row before an export: what goes out, under which name, of which class.

Held are about 40 bytes an image and one part at a time.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from cvdata.errors import ConfigError
from cvdata.runs.export_copies import is_copies
from cvdata.runs.export_rows import Kept, reading_order
from cvdata.sinks.base import Places
from cvdata.sinks.names import folded, stem_of

GUESSED_BYTES = 128 * 1024
"""Size of an image of which it is not known."""

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class PlanOptions:
    """What decides which rows go where."""

    naming: str = "name"
    unlabeled: str = ""
    classes: tuple[str, ...] = ()
    misfits: str = "error"
    chunk_rows: int = 10_000
    chunk_bytes: int = 256 * 1024 * 1024
    shuffle: int | None = None
    augmented: tuple[str, ...] = ()


@dataclass
class Gathered:
    """What one look at all rows leaves behind."""

    parts: list[str] = field(default_factory=list)
    part: list[U32] = field(default_factory=list)
    row: list[U32] = field(default_factory=list)
    size: list[npt.NDArray[np.int64]] = field(default_factory=list)
    split: list[U32] = field(default_factory=list)
    name: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    key: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    is_cut: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    weight: list[npt.NDArray[np.float32]] = field(default_factory=list)
    splits: dict[str | None, int] = field(default_factory=dict)
    labels: Counter[str | None] = field(default_factory=Counter)
    objects: Counter[str | None] = field(default_factory=Counter)
    misfits: Counter[str] = field(default_factory=Counter)
    n_records: int = 0
    n_copies: int = 0
    n_unreadable: int = 0
    has_boxes: bool = False
    has_masks: bool = False

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each row."""
        return np.concatenate(self.size)


def look(rows: pa.Table, path: str, how: tuple[Kept, Places, PlanOptions], found: Gathered) -> None:
    """Add the rows of a part that go out."""
    kept, places, options = how
    is_out, weights = kept.of(rows)
    if is_copies(path):
        found.n_copies += len(rows)
    else:
        found.n_records += len(rows)
    is_readable = np.asarray(pc.is_null(rows["error"]))
    is_bad = ~is_readable | (~is_out if kept.is_all and not is_copies(path) else False)
    found.n_unreadable += int(np.count_nonzero(is_bad))
    order = reading_order(rows)
    order = order[(is_out & is_readable)[order]]
    out = rows.take(pa.array(order))
    fits = _fitting(out, places, options, found)
    out, order = out.filter(pa.array(fits)), order[fits]
    if not len(out):
        return
    found.row.append(order.astype(np.uint32))
    found.part.append(np.full(len(order), len(found.parts), np.uint32))
    found.parts.append(path)
    found.weight.append(weights[order])
    sizes = pc.coalesce(out["length"], out["size_bytes"], pa.scalar(GUESSED_BYTES, pa.int64()))
    found.size.append(np.asarray(sizes, np.int64))
    splits = out["split"].to_pylist()
    found.split.append(
        np.array([found.splits.setdefault(s, len(found.splits)) for s in splits], np.uint32)
    )
    _add_names(out, splits, places, options.naming, found)
    _add_facts(out, places, found)


def _fitting(
    out: pa.Table, places: Places, options: PlanOptions, found: Gathered
) -> npt.NDArray[np.bool_]:
    """(N,) which rows the format can hold; the others are counted by what is wrong."""
    wrong: dict[str, Any] = {}
    if places.needs_label and not options.unlabeled:
        wrong["have no label"] = pc.is_null(out["label"])
    if not places.mixed and places.label:
        wrong["have mixed labels"] = pc.is_valid(out["labels"])
    if places.needs_own_file:
        inside = pc.or_(pc.is_valid(out["offset"]), pc.starts_with(out["uri"], "parquet:"))
        masks = pc.starts_with(pc.fill_null(out["mask_uri"], ""), "at:")
        wrong["lie inside a shard or a Parquet file"] = pc.or_(inside, masks)
    if places.needs_class and not options.unlabeled:
        nameless = [
            any(box["label"] is None for box in boxes or ()) for boxes in out["boxes"].to_pylist()
        ]
        wrong["have a box without a class"] = pa.array(nameless, pa.bool_())
    fits = np.ones(len(out), np.bool_)
    for what, is_wrong in wrong.items():
        bad = np.asarray(is_wrong) & fits
        found.misfits[what] += int(np.count_nonzero(bad))
        fits &= ~bad
    return fits


_ADVICE = {
    "have no label": "name a class for them with --unlabeled, ",
    "have a box without a class": "name a class for them with --unlabeled, ",
}


def refuse_misfits(found: Gathered, options: PlanOptions) -> None:
    """Raise `ConfigError` for images that the format cannot hold, unless they may be skipped."""
    for what, n in found.misfits.items():
        if n and options.misfits == "error":
            raise ConfigError(
                f"{n:,} images {what}, which this format cannot hold; {_ADVICE.get(what, '')}"
                "leave them out with --misfits skip, or choose another --format"
            )


def _add_names(
    out: pa.Table, splits: list[str | None], places: Places, naming: str, found: Gathered
) -> None:
    """A digest of each row's path, equal where two would have one name; another where it is cut."""
    if naming == "id":
        found.name.append(np.empty(0, np.uint64))
        found.is_cut.append(np.zeros(len(out), np.bool_))
    else:
        labels = out["label"].to_pylist() if "label" in places.apart else [None] * len(out)
        apart = splits if "split" in places.apart else [None] * len(out)
        members = np.asarray(pc.is_valid(out["offset"])).tolist()
        digests, cuts = [], []
        for key, is_member, split, label in zip(
            out["key"].to_pylist(), members, apart, labels, strict=True
        ):
            stem, is_cut = stem_of(key, naming, is_member=is_member, unsafe=places.unsafe)
            text = f"{split!r}\0{label!r}\0{folded(stem)}"
            digests.append(xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")))
            cuts.append(is_cut)
        found.name.append(np.array(digests, np.uint64))
        found.is_cut.append(np.array(cuts, np.bool_))
    ids = (xxhash.xxh3_64_intdigest(i) for i in out["image_id"].to_pylist())
    found.key.append(np.fromiter(ids, np.uint64, len(out)))


def _add_facts(out: pa.Table, places: Places, found: Gathered) -> None:
    for label, n in _counted(out["label"]):
        found.labels[label] += n
    boxes = pc.list_flatten(out["boxes"])
    for label, n in _counted(pc.struct_field(boxes, "label")) if len(boxes) else ():
        found.objects[label] += n
    found.has_boxes |= out["boxes"].null_count < len(out)
    found.has_masks |= out["mask_uri"].null_count < len(out)
    for labels in out["labels"].drop_null().to_pylist() if places.mixed else ():
        found.labels.update({pair["label"]: 1 for pair in labels})


def _counted(values: Any) -> Iterator[tuple[str | None, int]]:
    for one in pc.value_counts(values):
        yield one["values"].as_py(), one["counts"].as_py()
