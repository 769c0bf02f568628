"""Greedy star cover of a neighbour graph: the best takes its direct neighbours, nothing chains."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.hamming_join import U64
from cvdata.kernels.jit import jit, popcount

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]


@jit
def to_csr(n: int, a: I32, b: I32, value: F32) -> tuple[I64, I32, F32]:
    """Both directions of the edges (a, b) of n nodes: (indptr, neighbours, value)."""
    indptr = np.zeros(n + 1, np.int64)
    for i in range(a.shape[0]):
        indptr[a[i] + 1] += 1
        indptr[b[i] + 1] += 1
    for i in range(n):
        indptr[i + 1] += indptr[i]
    fill = indptr[:-1].copy()
    indices = np.empty(2 * a.shape[0], np.int32)
    values = np.empty(2 * a.shape[0], np.float32)
    for i in range(a.shape[0]):
        indices[fill[a[i]]], values[fill[a[i]]] = b[i], value[i]
        fill[a[i]] += 1
        indices[fill[b[i]]], values[fill[b[i]]] = a[i], value[i]
        fill[b[i]] += 1
    return indptr, indices, values


@jit
def members_of(n_units: int, unit: I32) -> tuple[I64, I32]:
    """The rows of each unit, rising: (indptr, rows)."""
    indptr = np.zeros(n_units + 1, np.int64)
    for i in range(unit.shape[0]):
        indptr[unit[i] + 1] += 1
    for i in range(n_units):
        indptr[i + 1] += indptr[i]
    fill = indptr[:-1].copy()
    rows = np.empty(unit.shape[0], np.int32)
    for i in range(unit.shape[0]):
        rows[fill[unit[i]]] = i
        fill[unit[i]] += 1
    return indptr, rows


@jit
def _take(u: int, unit: Any, value: Any, members: Any, state: Any) -> None:
    """Give keeper u every free row of a unit, save those that were rejected for it."""
    indptr, rows = members
    keeper, distance, free, rejected = state
    if free[unit] == 0:
        return
    for i in range(indptr[unit], indptr[unit + 1]):
        v = rows[i]
        if keeper[v] < 0 and rejected[v] != u:
            keeper[v] = u
            distance[v] = value
            free[unit] -= 1


@jit
def star_cover(order: I64, unit: I32, members: Any, graph: Any, refused: Any) -> tuple[I32, F32]:
    """Keeper of each row and the distance to it, rows met in `order` (best first).

    Rows of one unit are at distance 0; `graph` is the CSR over units; `refused` the CSR of row
    pairs that are no duplicates after all. A keeper is its own keeper.
    """
    indptr, indices, values = graph
    keeper = np.full(unit.shape[0], -1, np.int32)
    distance = np.zeros(unit.shape[0], np.float32)
    free = np.diff(members[0])
    rejected = np.full(unit.shape[0], -1, np.int32)
    state = (keeper, distance, free, rejected)
    for u in order:
        if keeper[u] >= 0:
            continue
        for i in range(refused[0][u], refused[0][u + 1]):
            rejected[refused[1][i]] = u
        own = unit[u]
        _take(u, own, np.float32(0), members, state)
        for i in range(indptr[own], indptr[own + 1]):
            _take(u, indices[i], values[i], members, state)
    return keeper, distance


@jit
def star_search(order: I64, words: U64, tables: Any, radius: int) -> tuple[I32, F32]:
    """The star cover of all hashes within `radius`, without ever holding the pairs.

    `words` (N, W) distinct rows; `tables`: for each band (keys (N,), offsets, rows in bucket
    order, flips). Each keeper asks the tables; rows that are taken leave their buckets, so a
    giant cluster is walked once. `tables` are consumed.
    """
    keys, offsets, rows, flips = tables
    ends = offsets[:, 1:].copy()
    keeper = np.full(words.shape[0], -1, np.int32)
    distance = np.zeros(words.shape[0], np.float32)
    for u in order:
        if keeper[u] >= 0:
            continue
        keeper[u] = u
        for m in range(keys.shape[0]):
            for f in flips[m]:
                bucket = np.int64(keys[m, u] ^ f)
                i = offsets[m, bucket]
                while i < ends[m, bucket]:
                    v = rows[m, i]
                    if keeper[v] < 0:
                        total = np.uint64(0)
                        for w in range(words.shape[1]):
                            total += popcount(words[u, w] ^ words[v, w])
                        if np.int64(total) <= radius:
                            keeper[v], distance[v] = u, np.float32(total)
                    if keeper[v] < 0:
                        i += 1
                    else:
                        ends[m, bucket] -= 1
                        rows[m, i] = rows[m, ends[m, bucket]]
    return keeper, distance


@jit
def components(n: int, a: I32, b: I32) -> I32:
    """Connected component of each of n nodes: the smallest node it holds (union-find)."""
    parent = np.arange(n).astype(np.int32)
    for i in range(a.shape[0]):
        x, y = a[i], b[i]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x < y:
            parent[y] = x
        else:
            parent[x] = y
    for i in range(n):
        parent[i] = parent[parent[i]]
    return parent
