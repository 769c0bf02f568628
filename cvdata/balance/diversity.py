"""Which images of a class to keep so that the least is lost: k-center and hierarchical k-means."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

BRANCHING = 16
"""Clusters that one cluster of the level above covers, about."""

FINEST = 1024
"""Most clusters of the finest level."""


def k_center(vectors: F32, k: int, first: I64 | None = None) -> I64:
    """(min(k, N),) rows chosen greedily, in the order chosen: each the farthest from all before.

    vectors (N, D), unit length; distance is Euclidean. `first` rows are taken before any other;
    without them it starts with the row nearest to the mean. Ties fall to the first row. The
    largest distance of a row to its nearest chosen one is at most twice the best possible
    (Gonzalez 1985). O(k N D) time, O(N) memory besides the vectors.
    """
    n = len(vectors)
    k = min(k, n)
    if k <= 0:
        return np.empty(0, np.int64)
    square = np.einsum("nd,nd->n", vectors, vectors)
    start = np.asarray(first, np.int64) if first is not None else np.empty(0, np.int64)
    if not len(start):
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        start = np.array([np.argmin(square - 2 * (vectors @ mean))], np.int64)
    chosen = np.empty(max(k, len(start)), np.int64)
    nearest = np.full(n, np.inf, np.float32)
    for at in range(len(chosen)):
        row = int(start[at]) if at < len(start) else int(np.argmax(nearest))
        chosen[at] = row
        np.minimum(nearest, square + square[row] - 2 * (vectors @ vectors[row]), out=nearest)
        nearest[row] = -np.inf
    return chosen


def hierarchical(vectors: F32, k: int, seed: int = 0) -> I64:
    """(min(k, N),) rows, ascending: even over a tree of k-means clusters, not over density.

    Clusters of clusters until few are left; from the top each cluster gives an equal part of k,
    or all it has, and the rest is shared by the others (Vo et al. 2024, Automatic Data Curation
    for Self-Supervised Learning). Within a leaf those nearest to its centre come first. vectors
    (N, D) float32.
    """
    n = len(vectors)
    if k >= n:
        return np.arange(n)
    labels, distance = _levels(vectors, k, seed)
    order = np.argsort(distance, kind="stable")
    chosen = _descend(labels, len(labels) - 1, np.arange(n), k, order)
    return np.sort(chosen)


def _levels(vectors: F32, k: int, seed: int) -> tuple[list[I64], F32]:
    """(N,) cluster of every row at each level, finest first, and its distance to the finest."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    labels: list[I64] = []
    distance = np.zeros(len(vectors), np.float32)
    points = vectors
    n_clusters = max(2, min(len(vectors) // 2, k, FINEST))
    with threadpool_limits(1):  # sums of several threads come out differently each time
        while True:
            different = len(np.unique(points, axis=0))
            made = KMeans(min(n_clusters, different), n_init=1, random_state=seed).fit(points)
            of_point = made.labels_.astype(np.int64)
            if labels:
                labels.append(of_point[labels[-1]])
            else:
                labels.append(of_point)
                distance = np.linalg.norm(vectors - made.cluster_centers_[of_point], axis=1)
            points = made.cluster_centers_.astype(np.float32)
            if len(points) <= BRANCHING:
                return labels, distance.astype(np.float32)
            n_clusters = max(2, len(points) // BRANCHING)


def _descend(labels: Sequence[I64], level: int, rows: I64, k: int, order: I64) -> I64:
    """`k` of `rows`, shared evenly over their clusters at this level and those below."""
    if k >= len(rows):
        return rows
    if level < 0:
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return rows[np.argsort(rank[rows], kind="stable")[:k]]
    clusters, members = np.unique(labels[level][rows], return_inverse=True)
    sizes = np.bincount(members, minlength=len(clusters))
    shares = waterfill(sizes, k)
    parts = [
        _descend(labels, level - 1, rows[members == c], int(shares[c]), order)
        for c in range(len(clusters))
        if shares[c]
    ]
    return np.concatenate(parts)


def waterfill(sizes: I64, k: int) -> I64:
    """(C,) parts of k that are as equal as `sizes` allow; their sum is min(k, sum of sizes)."""
    parts = np.zeros(len(sizes), np.int64)
    left = min(k, int(sizes.sum()))
    while left:
        open_parts = np.flatnonzero(parts < sizes)
        each = left // len(open_parts)
        if each == 0:
            parts[open_parts[:left]] += 1
            break
        given = np.minimum(sizes[open_parts] - parts[open_parts], each)
        parts[open_parts] += given
        left -= int(given.sum())
    return parts


def spread_sample(keys: npt.NDArray[np.uint64], k: int) -> I64:
    """(min(k, N),) rows with the smallest keys, ascending: a sample that stays when rows join."""
    return np.sort(np.argsort(keys, kind="stable")[:k])
