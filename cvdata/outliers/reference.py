"""What methods are fitted on: the sample without copies and without its own strangest rows."""

from dataclasses import dataclass

import numpy as np

from cvdata.index.nearest import Nearest, nearest
from cvdata.outliers.rows import F32, F64, I64, Bools, smallest

COPY_SHARE = 0.01
"""Rows nearer than this share of the spread, in every coordinate, count as one image."""
LANDMARKS = 4096
"""Rows of which the first look takes distances."""


@dataclass(frozen=True)
class Reference:
    """Projected rows to compare with: `vectors` (n, d), `ids` of them, `shares` for subsamples.

    `is_usual` (n,): rows that the estimators are fitted on; the rest are the sample's own
    strangest. `copy_radius`: what is nearer is the same image.
    """

    vectors: F32
    ids: tuple[bytes, ...]
    shares: F64
    is_usual: Bools
    copy_radius: float

    @property
    def usual(self) -> "Reference":
        """The rows to fit on, alone."""
        return self.take(np.flatnonzero(self.is_usual))

    def take(self, at: I64) -> "Reference":
        """These rows."""
        ids = tuple(self.ids[i] for i in at)
        return Reference(
            self.vectors[at], ids, self.shares[at], self.is_usual[at], self.copy_radius
        )

    def subsample(self, m: int) -> "Reference":
        """About m rows: those of the smallest shares, whatever the order of rows."""
        return self if m >= len(self.ids) else self.take(smallest(self.shares, m))


def make_reference(vectors: F32, ids: list[bytes], shares: F64, trim: float) -> Reference:
    """The reference of a sample; rows of one look are one row, the `trim` strangest are unusual.

    A sample of a dataset holds the dataset's outliers. A method that takes their own kind for
    their neighbours calls them usual: ten pictures of one foreign thing stand close together.
    So a first look ranks each row by its distance to the farthest of the nearest 2·trim of some
    landmarks, which no group smaller than that can shorten, and those who rank first are left
    out of the fit (scored they are all the same). The first look needs no parameter but `trim`.
    """
    spread = np.sqrt(vectors.var(axis=0, dtype=np.float64).mean()) if len(vectors) else 0.0
    step = COPY_SHARE * spread
    kept = distinct(vectors, step)
    rows = np.ascontiguousarray(vectors[kept])
    first = first_look(rows, shares[kept], trim)
    n_trimmed = int(trim * len(kept))
    is_usual = np.ones(len(kept), np.bool_)
    # By distance, then by row: equal distances are cut at the same place every time.
    is_usual[np.lexsort((np.arange(len(first)), -first))[:n_trimmed]] = False
    radius = float(step * np.sqrt(vectors.shape[1]))
    return Reference(rows, tuple(ids[i] for i in kept), shares[kept], is_usual, radius)


def distinct(vectors: F32, step: float) -> I64:
    """The first row of each cell of a grid of `step`: copies fall into one cell."""
    if step <= 0:
        return np.arange(min(len(vectors), 1))
    cells = np.round(vectors / step).astype(np.int32)
    _, first = np.unique(_digests(cells), return_index=True)
    return np.sort(first).astype(np.int64)


def _digests(
    cells: np.ndarray[tuple[int, int], np.dtype[np.int32]],
) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """(N,) one 64-bit number a row: equal for equal rows, for others with chance N²/2**65.

    Sums of products with odd random words, modulo 2**64.
    """
    odd = np.random.default_rng(0).integers(0, 2**63, cells.shape[1], dtype=np.uint64) * 2 + 1
    with np.errstate(over="ignore"):
        total = np.zeros(len(cells), np.uint64)
        for k in range(cells.shape[1]):
            word = cells[:, k].astype(np.uint64) * odd[k]
            total += (word ^ (word >> np.uint64(29))) * odd[k]
    return total


def first_look(vectors: F32, shares: F64, trim: float) -> F64:
    """(n,) distance to the farthest of the nearest 2·trim of the landmarks."""
    if len(vectors) < 3:
        return np.zeros(len(vectors))
    marks = vectors[smallest(shares, LANDMARKS)]
    k = min(len(marks) - 1, int(np.ceil(2 * trim * len(marks))) + 1)
    return np.asarray(nearest(Nearest.exact(marks), vectors, k)[0][:, -1])
