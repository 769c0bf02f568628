"""The compiled loops of Hamming radius search: bucket tables and the join of two buckets."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.jit import jit, popcount

U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

FULL = -1
"""Returned in place of a count when more than `limit` pairs were found."""


@jit
def band_keys(words: U64, word_of: I64, shift_of: U64) -> U64:
    """Gather the chosen bits of each hash into one integer; (N, W) uint64 -> (N,) uint64."""
    keys = np.zeros(words.shape[0], np.uint64)
    one = np.uint64(1)
    for i in range(words.shape[0]):
        key = np.uint64(0)
        for j in range(word_of.shape[0]):
            key = (key << one) | ((words[i, word_of[j]] >> shift_of[j]) & one)
        keys[i] = key
    return keys


@jit
def bucket_order(keys: U64, n_keys: int) -> tuple[I64, I32]:
    """Counting sort: bucket k holds rows `order[offsets[k]:offsets[k + 1]]`, rising."""
    offsets = np.zeros(n_keys + 1, np.int64)
    for i in range(keys.shape[0]):
        offsets[keys[i] + np.uint64(1)] += 1
    for k in range(n_keys):
        offsets[k + 1] += offsets[k]
    order = np.empty(keys.shape[0], np.int32)
    fill = offsets[:-1].copy()
    for i in range(keys.shape[0]):
        k = keys[i]
        order[fill[k]] = i
        fill[k] += 1
    return offsets, order


@jit
def _distance(a: U64, b: U64) -> int:
    """Bits that differ between two rows of words."""
    total = np.uint64(0)
    for w in range(a.shape[0]):
        total += popcount(a[w] ^ b[w])
    return np.int64(total)  # type: ignore[return-value]


@jit
def _seen_lower(a: U64, b: U64, masks: U64, radii: I64) -> bool:
    """Whether an earlier band reports this pair: its bits there differ in at most its radius."""
    for m in range(masks.shape[0]):
        total = np.uint64(0)
        for w in range(a.shape[0]):
            total += popcount((a[w] ^ b[w]) & masks[m, w])
        if np.int64(total) <= radii[m]:
            return True
    return False


@jit
def _any_within(x: Any, column: U64, start: int, stop: int, radius: Any) -> bool:
    """Whether the first word of any row of a bucket is within `radius` of x (no branches)."""
    hits = np.int64(0)
    for j in range(start, stop):
        hits += np.int64(popcount(x ^ column[j]) <= radius)
    return bool(hits > 0)


@jit
def _grow(a: I32, b: I32, d: npt.NDArray[np.uint8]) -> Any:
    """The same three columns with twice the room."""
    n = a.shape[0]
    a2, b2, d2 = np.empty(2 * n, np.int32), np.empty(2 * n, np.int32), np.empty(2 * n, np.uint8)
    a2[:n], b2[:n], d2[:n] = a, b, d
    return a2, b2, d2


@jit
def _scan(
    x: Any, bucket: Any, rule: Any, found: Any
) -> tuple[int, I32, I32, npt.NDArray[np.uint8]]:
    """Compare one row with rows start … stop of a bucket and append the pairs it makes."""
    row, id_a = x
    words, order, start, stop = bucket
    radius, masks, radii, limit = rule
    n, a, b, d = found
    for j in range(start, stop):
        distance = _distance(row, words[j])
        if distance > radius or _seen_lower(row, words[j], masks, radii):
            continue
        if n == limit:
            return FULL, a, b, d
        if n == a.shape[0]:
            a, b, d = _grow(a, b, d)
        a[n], b[n], d[n] = id_a, order[j], distance
        n += 1
    return n, a, b, d


@jit
def join_buckets(
    left: Any, right: Any, flips: U64, keys: Any, rule: Any, is_self: bool
) -> tuple[int, I32, I32, npt.NDArray[np.uint8]]:
    """All pairs within the radius whose band keys differ by one of `flips`.

    `left`, `right`: (words in bucket order (N, W), their first column (N,), offsets, order);
    `keys`: (first, last) left bucket; `rule`: (radius, masks and radii of the earlier bands,
    most pairs). In a self join each unordered pair is met once. Returns the count (or `FULL`)
    and the columns row of left, row of right, distance.
    """
    words_a, column_a, offsets_a, order_a = left
    words_b, column_b, offsets_b, order_b = right
    bound = np.uint64(rule[0])
    found = (0, np.empty(1024, np.int32), np.empty(1024, np.int32), np.empty(1024, np.uint8))
    for k in range(keys[0], keys[1]):
        for i in range(offsets_a[k], offsets_a[k + 1]):
            for f in range(flips.shape[0]):
                other = np.int64(np.uint64(k) ^ flips[f])
                start, stop = offsets_b[other], offsets_b[other + 1]
                if is_self and other <= k:
                    start = i + 1 if other == k else stop
                if not _any_within(column_a[i], column_b, start, stop, bound):
                    continue
                bucket = (words_b, order_b, start, stop)
                found = _scan((words_a[i], order_a[i]), bucket, rule, found)
                if found[0] == FULL:
                    return found
    return found[0], found[1][: found[0]], found[2][: found[0]], found[3][: found[0]]
