"""What the nearest neighbours of an image say of its label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.index.nearest import Nearest, nearest
from cvdata.kernels.neighbors import F32
from cvdata.label_issues.confident import F64, I64

TEMPERATURE = 0.1
"""A neighbour that is less like the image than the nearest by this cosine weighs 1 / e."""
SPARE = 16
"""Neighbours fetched beyond k: copies of the image do not vote."""


@dataclass(frozen=True)
class Voters:
    """Images that vote: rows of length one, their class codes (n,) and their groups (n,) of copies.

    `ids` (n, 16) bytes; `groups` are 64-bit digests: an image has no vote on its own copies, nor on
    itself.
    """

    nearest: Nearest
    labels: I64
    groups: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Votes:
    """What the voters said.

    `shares` (N, K) of the vote by class, 0 in all where nobody voted; `rows` (N, k) of the voters,
    nearest first, -1 where there are fewer.
    """

    shares: F64
    rows: I64


def vote(
    voters: Voters, queries: F32, groups: npt.NDArray[np.uint64], n_classes: int, k: int
) -> Votes:
    """The `k` nearest voters of each query (N, d) of length one, weighed by likeness."""
    distances, found = nearest(voters.nearest, queries, k + SPARE)
    allowed = voters.groups[found] != groups[:, None]
    allowed &= np.cumsum(allowed, axis=1) <= k
    cosines = 1 - distances**2 / 2
    best = np.where(allowed, cosines, -2.0).max(axis=1, initial=-2.0, keepdims=True)
    weights = np.where(allowed, np.exp((cosines - best) / TEMPERATURE), 0.0)
    shares = np.zeros((len(queries), n_classes))
    row = np.repeat(np.arange(len(queries)), found.shape[1])
    np.add.at(shares, (row, voters.labels[found].ravel()), weights.ravel())
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=shares, where=total > 0)
    first = np.argsort(~allowed, axis=1, kind="stable")[:, :k]
    rows = np.where(np.take_along_axis(allowed, first, 1), np.take_along_axis(found, first, 1), -1)
    return Votes(shares, rows)
