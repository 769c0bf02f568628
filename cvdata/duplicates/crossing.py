"""Candidate pairs between two sets of images: ours against an evaluation set, never within one."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates.candidates import informative, packed_hashes
from cvdata.errors import ConfigError
from cvdata.kernels import hamming
from cvdata.kernels.dihedral import dihedral_variants
from cvdata.kernels.graph import F32, I64
from cvdata.kernels.hamming_join import U64
from cvdata.kernels.neighbors import cross_cosine_pairs, unit_rows
from cvdata.vectors import has_direction, matrix

Column: TypeAlias = "pa.Array | pa.ChunkedArray"


@dataclass(frozen=True)
class Crossing:
    """Pairs (row of the left set, row of the right set), each once, sorted by (a, b).

    `radius` divides the distance where methods are joined; 0 for exact ones.
    """

    a: I64
    b: I64
    distance: F32
    radius: float = 0.0

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.a)


def exact(left: Column, right: Column, max_pairs: int = 50_000_000) -> Crossing:
    """Rows of equal digest; null equals nothing."""
    mine, theirs = _plain(left), _plain(right)
    values = pc.unique(mine).drop_null()
    codes = [np.asarray(pc.fill_null(pc.index_in(c, values), -1)) for c in (mine, theirs)]
    known = [np.where(code < 0, len(values), code).astype(np.int64) for code in codes]
    same = np.arange(len(values))
    pairs = same, same, np.zeros(len(values), np.float32)
    return _laid_out(known[0], known[1], pairs, (len(values), max_pairs))


def perceptual(left: Column, right: Column, radius: int, max_pairs: int = 50_000_000) -> Crossing:
    """Rows whose hashes differ by at most `radius` bits, all of them; uninformative ones refused.

    Raises `hamming.TooManyPairs`.
    """
    return _by_hash(left, right, radius, max_pairs, is_dihedral=False)


def dihedral(left: Column, right: Column, radius: int, max_pairs: int = 50_000_000) -> Crossing:
    """The same for 64-bit DCT hashes, the nearest over the eight mirrors and turns."""
    return _by_hash(left, right, radius, max_pairs, is_dihedral=True)


def semantic(left: Column, right: Column, threshold: float) -> Crossing:
    """Rows whose embeddings (fixed-size lists, null: none) have a cosine >= `threshold`; exact."""
    vectors, rows = zip(*(_vectors(column) for column in (left, right)), strict=True)
    if len(rows[0]) and len(rows[1]) and vectors[0].shape[1] != vectors[1].shape[1]:
        widths = vectors[0].shape[1], vectors[1].shape[1]
        raise ConfigError(f"embeddings of {widths[0]} and {widths[1]} numbers cannot be compared")
    if not len(rows[0]) or not len(rows[1]):
        no = np.empty(0, np.int64)
        return Crossing(no, no, np.empty(0, np.float32), 1 - threshold)
    found = cross_cosine_pairs(unit_rows(vectors[0]), unit_rows(vectors[1]), threshold)
    distance = (1 - found.similarity).astype(np.float32)
    return Crossing(rows[0][found.a], rows[1][found.b], distance, 1 - threshold)


def joined(methods: list[Crossing]) -> Crossing:
    """All pairs of all methods: of a pair's distances, as shares of their radii, the smallest."""
    a = np.concatenate([m.a for m in methods])
    b = np.concatenate([m.b for m in methods])
    scaled = [m.distance / np.float32(m.radius if m.radius > 0 else 1) for m in methods]
    return _nearest(a, b, np.concatenate(scaled))


def _plain(column: Column) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return whole.cast(pa.binary())


def _vectors(column: Column) -> tuple[npt.NDArray[np.float32], I64]:
    """(the vectors that have a direction (N, D), their rows)."""
    whole = matrix(column)
    rows = np.flatnonzero(has_direction(whole))
    return whole[rows], rows


def _by_hash(
    left: Column, right: Column, radius: int, max_pairs: int, *, is_dihedral: bool
) -> Crossing:
    words, units = [], []
    for column in (left, right):
        packed, rows = packed_hashes(column)
        good = informative(packed, radius)
        values, inverse = hamming.unique_words(hamming.pack_words(packed[good]))
        unit = np.full(len(column), len(values), np.int64)
        unit[rows[good]] = inverse
        words.append(values)
        units.append(unit)
    if left.type != right.type:
        raise ConfigError(f"hashes of {left.type} and {right.type} cannot be compared")
    n_bits = left.type.byte_width * 8
    found = _near(words[0], words[1], (n_bits, radius, max_pairs), is_dihedral)
    pairs = found.a, found.b, found.distance
    shape = len(words[0]), max_pairs
    laid = _laid_out(units[0], units[1], pairs, shape, n_right=len(words[1]))
    return Crossing(laid.a, laid.b, laid.distance, float(radius))


def _near(left: U64, right: U64, how: tuple[int, int, int], is_dihedral: bool) -> Crossing:
    """Pairs of distinct words within the radius, over mirrors and turns where asked."""
    n_bits, radius, max_pairs = how
    if not len(left) or not len(right):
        no = np.empty(0, np.int64)
        return Crossing(no, no, np.empty(0, np.float32))
    turned = dihedral_variants(left) if is_dihedral else None
    versions = [left] if turned is None else [turned[:, k : k + 1] for k in range(8)]
    found = []
    for version in versions:
        # the search takes distinct rows in any order; a turn keeps them distinct
        mine = np.ascontiguousarray(version)
        plan = hamming.plan_bands(mine, n_bits, radius, len(right))
        found.append(hamming.search(mine, plan, right, max_pairs=max_pairs))
    a = np.concatenate([pairs.a for pairs in found]).astype(np.int64)
    b = np.concatenate([pairs.b for pairs in found]).astype(np.int64)
    return _nearest(a, b, np.concatenate([p.distance for p in found]).astype(np.float32))


def _nearest(a: I64, b: I64, distance: F32) -> Crossing:
    """Each pair once, with its smallest distance, sorted."""
    order = np.lexsort((distance, b, a))
    a, b, distance = a[order], b[order], distance[order]
    first = np.ones(len(a), bool)
    first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return Crossing(a[first], b[first], distance[first])


def _laid_out(
    left: I64,
    right: I64,
    pairs: tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], F32],
    shape: tuple[int, int],
    n_right: int | None = None,
) -> Crossing:
    """Pairs of units -> pairs of rows. `shape`: (units of the left, most pairs of rows)."""
    a, b, distance = pairs
    n_left, max_pairs = shape
    members = [_members(left, n_left), _members(right, n_left if n_right is None else n_right)]
    (rows_a, start_a, size_a), (rows_b, start_b, size_b) = members
    n = size_a[a] * size_b[b]
    if int(n.sum()) > max_pairs:
        raise hamming.TooManyPairs(f"{int(n.sum()):,} pairs of images, more than {max_pairs:,}")
    pair = np.repeat(np.arange(len(a)), n)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(n) - n, n)
    width = np.maximum(size_b[b[pair]], 1)
    first = rows_a[start_a[a[pair]] + within // width]
    second = rows_b[start_b[b[pair]] + within % width]
    return _nearest(first, second, distance[pair])


def _members(unit: I64, n_units: int) -> tuple[I64, I64, I64]:
    """(rows in the order of their units, where each unit starts, its size); others left out."""
    order = np.argsort(unit, kind="stable")
    sizes = np.bincount(unit, minlength=n_units + 1)[:n_units]
    return order, np.cumsum(sizes) - sizes, sizes
