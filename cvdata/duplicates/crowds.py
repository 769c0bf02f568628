"""Crowds: images of equal bytes by the thousand, of which a few are compared for all.

What a method says of an image it says of every image that is alike in all that it sees, so two of
each kind are enough: the first, which may become a keeper, and the second, which never does. The
others get what was decided of the second. Their pairs with each other, n² of them, are not listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.kernels.graph import I64

CROWD = 1_000
"""Images of equal bytes from which on most stand aside."""
MOST_PAIRS = 20_000_000
"""Pairs of equal images that the sets below a crowd may come to; else less makes a crowd."""
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Crowds:
    """Who is compared of N images, and who speaks for the others.

    `crowd` (N,) int64 its number, -1 outside; `stays` (S,) rows, rising; `follower` (F,) the other
    rows, `model` (F,), rising, and `elder` (F,) the second and the first of the follower's kind.
    """

    crowd: I64
    stays: I64
    follower: I64
    model: I64
    elder: I64

    @property
    def n_crowds(self) -> int:
        """Crowds of which somebody stands aside."""
        return len(np.unique(self.crowd[self.follower]))

    def weight(self) -> I64:
        """(S,) how many images each of `stays` speaks for, itself included."""
        n_aside = np.bincount(self.model, minlength=len(self.crowd))
        return np.asarray(1 + n_aside[self.stays], np.int64)

    def spread(self, rows: I64) -> tuple[I64, I64]:
        """(places in `rows`, follower): every follower of every row that is a model."""
        low, high = (np.searchsorted(self.model, rows, side) for side in ("left", "right"))
        n = high - low
        within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        return np.repeat(np.arange(len(rows)), n), self.follower[np.repeat(low, n) + within]

    def elder_of(self, rows: I64) -> I64:
        """(len(rows),) the first of the kind of each model; -1 for what is no model."""
        if not len(self.model):
            return np.full(len(rows), -1, np.int64)
        at = np.searchsorted(self.model, rows).clip(max=len(self.model) - 1)
        return np.where(self.model[at] == rows, self.elder[at], -1)


def crowds_of(
    digest: I64, alike: Sequence[I64], order: I64, is_bound: Bools, least: int = CROWD
) -> Crowds:
    """Set most of every crowd aside.

    `digest` (N,) equal numbers for equal bytes, -1: not known; `alike` columns (N,) that make a
    kind within a crowd: whatever else decides what becomes of an image; `order` rows, best first;
    `is_bound` (N,) rows that must stay; `least` images make a crowd.
    """
    n = len(digest)
    crowd = _numbers(digest, least)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    rows = np.flatnonzero((crowd >= 0) & ~is_bound)
    kind = _kinds([crowd[rows], *(column[rows] for column in alike)])
    by_kind = np.lexsort((rank[rows], kind))
    rows, kind = rows[by_kind], kind[by_kind]
    first = np.searchsorted(kind, kind)
    is_aside = np.arange(len(rows)) - first >= 2
    follower, elder = rows[is_aside], rows[first[is_aside]]
    model = rows[first[is_aside] + 1]
    by_model = np.lexsort((follower, model))
    stays = np.ones(n, bool)
    stays[follower] = False
    return Crowds(
        crowd, np.flatnonzero(stays), follower[by_model], model[by_model], elder[by_model]
    )


def _numbers(digest: I64, least: int) -> I64:
    """(N,) the number of each row's crowd, -1 for those in none."""
    sizes = np.bincount(digest[digest >= 0], minlength=1).astype(np.int64)
    is_crowd = sizes >= affordable_least(sizes, least)
    number = np.where(is_crowd, np.cumsum(is_crowd) - 1, -1)
    return np.asarray(np.append(number, -1)[digest], np.int64)  # -1 takes the last: no crowd


def affordable_least(sizes: I64, least: int, most_pairs: int = MOST_PAIRS) -> int:
    """`least`, halved until the sets below it come to at most `most_pairs` pairs; 3 at least."""
    pairs = sizes * (sizes - 1) // 2
    while least > 3 and int(pairs[sizes < least].sum()) > most_pairs:
        least = max(least // 2, 3)
    return least


def _kinds(columns: Sequence[I64]) -> I64:
    """(R,) equal numbers for rows that are equal in all columns."""
    kind = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, code = np.unique(column, return_inverse=True)
        pair = kind * (int(code.max(initial=0)) + 1) + code
        _, kind = np.unique(pair, return_inverse=True)
    return np.asarray(kind, np.int64)
