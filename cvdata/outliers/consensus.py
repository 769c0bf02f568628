"""Ranks within a scope, and one score over all methods that is made of ranks alone."""

import numpy as np

from cvdata.outliers.rows import F64, I64


def ranks(scores: F64, groups: I64) -> tuple[I64, F64]:
    """(rank, share) of each score within its group, larger scores first; NaN takes no part.

    `rank` 1 is the largest, equal scores share the better rank, 0 where there is no score.
    `share` is the part of the group that scores at least as much, in (0, 1]: for a method that
    says nothing of most images (all score 0) the share of those is 1, however they are ranked.
    """
    rank, share = np.zeros(len(scores), np.int64), np.full(len(scores), np.nan)
    at = np.flatnonzero(~np.isnan(scores))
    order = at[np.lexsort((-scores[at], groups[at]))]
    if not len(order):
        return rank, share
    group, value = groups[order], scores[order]
    new_group = np.append(True, group[1:] != group[:-1])
    new_value = new_group | np.append(True, value[1:] != value[:-1])
    start = np.flatnonzero(new_group)[np.cumsum(new_group) - 1]
    place = np.arange(len(order))
    first = np.flatnonzero(new_value)
    run = np.cumsum(new_value) - 1
    last = np.append(first[1:], len(order))[run]
    size = np.diff(np.append(np.flatnonzero(new_group), len(order)))[np.cumsum(new_group) - 1]
    rank[order] = place[first[run]] - start + 1
    share[order] = (last - start) / size
    return rank, share


def consensus(found: F64) -> F64:
    """(N,) bits: the mean of −log2(share) over the better half of the methods of each image.

    `found` (methods, N) are shares, NaN where a method says nothing. 10 bits: half of the methods
    put the image among the strangest thousandth. Only ranks enter, so that no method's unit or
    tail weighs more than another's; the half that finds it strangest is heard, so that a method
    that is blind to one kind of outlier takes nothing away (truncated Fisher's method).
    """
    bits = -np.log2(found)
    bits = np.where(np.isnan(bits), -1.0, bits)
    n = (bits >= 0).sum(axis=0)
    half = (n + 1) // 2
    ordered = -np.sort(-bits, axis=0)
    sums = np.cumsum(ordered, axis=0)
    at = np.maximum(half - 1, 0)
    total = np.take_along_axis(sums, at[None, :], axis=0)[0]
    return np.where(n > 0, total / np.maximum(half, 1), np.nan)
