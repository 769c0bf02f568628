"""Cosine range search by blocked matrix products: exact, and bounded in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.kernels.jit import fast_jit, jit

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

BLOCK = 2048
_SLACK = 1e-4
"""How far a float32 product of 4,096 dimensions may be off; decided again in float64."""


@dataclass(frozen=True)
class CosinePairs:
    """Pairs of rows: `a`, `b` (P,) int64, `similarity` (P,) float64. In a self search a < b."""

    a: I64
    b: I64
    similarity: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.a)


def unit_rows(vectors: npt.NDArray[np.floating]) -> F32:
    """(N, D) -> (N, D) float32, L2-normalised. A zero or non-finite row is a `ConfigError`."""
    if vectors.ndim != 2:
        raise ConfigError(f"vectors must be (N, D), not {vectors.shape}")
    rows = np.ascontiguousarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if len(bad):
        raise ConfigError(f"{len(bad)} vectors are zero or not finite, the first is row {bad[0]}")
    if np.all(np.abs(norms - 1) < 1e-6):
        return rows
    return np.asarray(rows / norms[:, None], np.float32)


def cosine_pairs(vectors: F32, threshold: float, max_pairs: int = 50_000_000) -> CosinePairs:
    """All pairs of unit vectors (N, D) with cosine >= `threshold`, sorted by (a, b).

    Exact: blocks in float32, pairs near the threshold decided in float64, so that the result
    does not hang on the block size or the BLAS. Raises `ConfigError` beyond `max_pairs`.
    """
    blocks = (
        _above(vectors, vectors, threshold, (low, start))
        for low in range(0, len(vectors), BLOCK)
        for start in range(low, len(vectors), BLOCK)
    )
    return _gather(blocks, max_pairs, threshold)


def cross_cosine_pairs(
    left: F32, right: F32, threshold: float, max_pairs: int = 50_000_000
) -> CosinePairs:
    """All (row of left, row of right) with cosine >= `threshold`, sorted; both unit vectors."""
    blocks = (
        _above(left, right, threshold, (low, start), is_self=False)
        for low in range(0, len(left), BLOCK)
        for start in range(0, len(right), BLOCK)
    )
    return _gather(blocks, max_pairs, threshold)


def _above(
    left: F32, right: F32, threshold: float, corner: tuple[int, int], is_self: bool = True
) -> tuple[I64, I64, npt.NDArray[np.float64]]:
    low, start = corner
    product = left[low : low + BLOCK] @ right[start : start + BLOCK].T
    a, b = at_least(product, np.float32(threshold - _SLACK))
    a, b = a + low, b + start
    if is_self:
        a, b = a[upper := a < b], b[upper]
    return decided(left, right, (a, b), threshold)


def decided(
    left: F32, right: F32, candidates: tuple[I64, I64], threshold: float
) -> tuple[I64, I64, npt.NDArray[np.float64]]:
    """The candidate pairs (row of left, row of right) whose cosine is >= `threshold`."""
    a, b = candidates
    near = pair_dots(left, right, a, b) >= threshold - _SLACK
    a, b = a[near], b[near]
    similarity = pair_cosines(left, right, a, b)
    hit = similarity >= threshold
    return a[hit], b[hit], similarity[hit]


@jit
def at_least(product: F32, least: Any) -> tuple[I64, I64]:
    """Rows and columns of a matrix that are >= `least`: NumPy's nonzero, 20 times faster."""
    counts = np.zeros(product.shape[0], np.int64)
    for i in range(product.shape[0]):
        count = np.int64(0)
        for j in range(product.shape[1]):
            count += np.int64(product[i, j] >= least)
        counts[i] = count
    total = counts.sum()
    rows, columns = np.empty(total, np.int64), np.empty(total, np.int64)
    n = 0
    for i in range(product.shape[0]):
        if counts[i] == 0:
            continue
        for j in range(product.shape[1]):
            if product[i, j] >= least:
                rows[n], columns[n] = i, j
                n += 1
    return rows, columns


@fast_jit
def pair_dots(left: F32, right: F32, a: I64, b: I64) -> F32:
    """Float32 dot products of chosen rows, in whatever order is quickest: for a first cut only."""
    out = np.empty(a.shape[0], np.float32)
    for i in range(a.shape[0]):
        total = np.float32(0)
        x, y = left[a[i]], right[b[i]]
        for k in range(x.shape[0]):
            total += x[k] * y[k]
        out[i] = total
    return out


def pair_cosines(left: F32, right: F32, a: I64, b: I64) -> npt.NDArray[np.float64]:
    """Dot products of chosen rows in float64, the same bits whatever else is in the call."""
    out = np.empty(len(a))
    for i in range(0, len(a), 8192):
        x = left[a[i : i + 8192]].astype(np.float64)
        x *= right[b[i : i + 8192]]
        out[i : i + 8192] = x.sum(axis=1)
    return out


def _gather(
    blocks: Iterator[tuple[I64, I64, npt.NDArray[np.float64]]], max_pairs: int, threshold: float
) -> CosinePairs:
    found: list[tuple[I64, I64, npt.NDArray[np.float64]]] = []
    total = 0
    for block in blocks:
        total += len(block[0])
        if total > max_pairs:
            raise ConfigError(
                f"more than {max_pairs:,} pairs have a cosine of at least {threshold}: "
                "raise the threshold"
            )
        found.append(block)
    return sorted_pairs(found)


def sorted_pairs(found: list[tuple[I64, I64, npt.NDArray[np.float64]]]) -> CosinePairs:
    """Blocks of (a, b, similarity) as one list sorted by (a, b), each pair once."""
    if not found:
        empty = np.empty(0, np.int64)
        return CosinePairs(empty, empty, np.empty(0))
    a, b, similarity = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((b, a))
    a, b, similarity = a[order], b[order], similarity[order]
    first = np.ones(len(a), bool)
    first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return CosinePairs(a[first], b[first], similarity[first])
