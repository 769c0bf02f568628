"""One range of labelled images as arrays, and the chance that each image draws from its id."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.chance import U64, bits, draw
from cvdata.kernels.neighbors import F32, unit_rows
from cvdata.label_issues.confident import I64
from cvdata.reading import IdRange, positions
from cvdata.vectors import has_direction, matrix
from cvdata.workspace import Workspace

DUPLICATES = "duplicates"


@dataclass(frozen=True)
class Labelled:
    """N images that have a label and whatever was asked for, sorted by id.

    `keys` (image_id, revision), `labels` as in records, `groups` (N,) 64 bits that copies share,
    `has_copy` (N,) whether it is one of a group.
    """

    keys: pa.Table
    labels: pa.ChunkedArray
    groups: U64
    has_copy: npt.NDArray[np.bool_]
    table: pa.Table

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def ids(self) -> U64:
        """(N,) the first 64 bits of each id."""
        return bits(self.keys["image_id"])

    def take(self, mask: npt.NDArray[np.bool_]) -> "Labelled":
        """The rows of the mask."""
        chosen = pa.array(mask)
        return Labelled(
            self.keys.filter(chosen),
            self.labels.filter(chosen),
            self.groups[mask],
            self.has_copy[mask],
            self.table.filter(chosen),
        )

    def vectors(self) -> F32:
        """(N, D) the embeddings, of length one."""
        return unit_rows(matrix(self.table["embedding"]))


@dataclass(frozen=True)
class LabelReader:
    """Reads ranges of a pinned commit: records with a label, joined with a model's rows."""

    url: str
    seq: int
    table: str
    columns: tuple[str, ...]
    has_groups: bool

    def read(self, id_range: IdRange) -> Labelled:
        """Images with a label whose model row is no error and whose vector has a direction."""
        workspace = Workspace(self.url).pin(self.seq)
        asked = ["image_id", "revision", "error", *self.columns]
        rows = workspace.read(self.table, asked, id_range=id_range)
        rows = rows.filter(pc.is_null(rows["error"]))
        if "embedding" in self.columns:
            rows = rows.filter(pa.array(has_direction(matrix(rows["embedding"]))))
        records = workspace.read("records", ["image_id", "revision", "label"], id_range=id_range)
        at = positions(rows, records)
        labels = records["label"].take(pa.array(at, mask=at < 0))
        has_label = pc.is_valid(labels)
        rows, labels = rows.filter(has_label), labels.filter(has_label)
        groups, has_copy = self._groups(workspace, rows, id_range)
        keys = rows.select(["image_id", "revision"])
        return Labelled(keys, labels, groups, has_copy, rows.select(list(self.columns)))

    def _groups(
        self, workspace: Workspace, rows: pa.Table, id_range: IdRange
    ) -> tuple[U64, npt.NDArray[np.bool_]]:
        own = bits(rows["image_id"])
        if not self.has_groups:
            return own, np.zeros(len(rows), bool)
        wanted = ["image_id", "revision", "method", "group_id"]
        found = workspace.read(DUPLICATES, wanted, id_range=id_range)
        found = found.filter(pc.equal(found["method"], "any"))
        at = positions(rows, found)
        shared = np.zeros(len(rows), np.uint64)
        shared[at >= 0] = bits(found["group_id"])[at[at >= 0]]
        return np.where(at >= 0, shared, own), at >= 0


def folds_of(groups: U64, n_folds: int, seed: int) -> I64:
    """(N,) the fold of each image: that of its group, so that copies are never apart."""
    return (draw(groups, seed + 1) * n_folds).astype(np.int64)


@dataclass
class LabelCounts:
    """Images by label: `images` all of them, `alone` those without a copy.

    `copies` are (label, group) of the others: a group may lie in several ranges, and its first
    image may be the one without a label.
    """

    images: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    copies: set[tuple[str, int]] = field(default_factory=set)

    def add(self, other: "LabelCounts") -> None:
        """With those of another range."""
        self.images.update(other.images)
        self.alone.update(other.alone)
        self.copies |= other.copies

    @property
    def distinct(self) -> Counter[str]:
        """Images by label, those of one group and label counted once."""
        return self.alone + Counter(label for label, _ in self.copies)


@dataclass(frozen=True)
class CountLabels:
    """Images by label, and which of them are copies."""

    reader: LabelReader

    def __call__(self, id_range: IdRange) -> LabelCounts:
        """Of one range."""
        rows = self.reader.read(id_range)
        alone = rows.labels.filter(pa.array(~rows.has_copy))
        labels = rows.labels.filter(pa.array(rows.has_copy)).to_pylist()
        copies = set(zip(labels, rows.groups[rows.has_copy].tolist(), strict=True))
        return LabelCounts(_counted(rows.labels), _counted(alone), copies)


def _counted(labels: pa.ChunkedArray) -> Counter[str]:
    return Counter({v["values"]: v["counts"] for v in pc.value_counts(labels).to_pylist()})


def codes_of(labels: pa.ChunkedArray, classes: Sequence[str]) -> I64:
    """(N,) the place of each label in `classes`, -1 where it is not one of them."""
    at = pc.index_in(labels, value_set=pa.array(classes, pa.string()))
    return np.asarray(pc.fill_null(at, -1), np.int64)


def judged(counts: Mapping[str, int], least: int) -> tuple[str, ...]:
    """The classes with enough images to learn from, sorted."""
    return tuple(sorted(name for name, n in counts.items() if n >= least))
