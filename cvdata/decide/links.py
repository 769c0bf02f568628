"""Findings that rest on two images: leaks and copies, whose keepers may drop for other reasons."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cvdata.decide.rules import LeakRule

Bools = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """N images that are in a group of copies or in a leak, and what is known of them.

    `is_dropped` (N,): their own findings drop them; `is_forced` (N,): the user keeps them;
    `order` (N,) rank in the keep policy, 0 is best. `keeper` (N,) row of the image that stands for
    each, itself where it is one, -1 in no group. Leaks are rows `leak_a`, `leak_b`; `leak_b` is -1
    for an image of another workspace. `split` (N,) names; `foreign` (L,) the name of the other
    workspace, "" for none.
    """

    is_dropped: Bools
    is_forced: Bools
    order: I64
    keeper: I64
    split: list[str | None]
    leak_a: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    leak_b: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    foreign: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.order)


@dataclass(frozen=True)
class LeakVerdict:
    """One leak of one image: into which split, and whether that drops it."""

    row: int
    split: str
    is_drop: bool


@dataclass(frozen=True)
class Verdicts:
    """What the links of N images come to.

    `keeper` (N,) the row that stands for an image after the decision: itself where none does, or
    where it is no copy. `group_size` (N,) images that stay in its group, 1 outside of groups.
    """

    leaks: tuple[LeakVerdict, ...]
    keeper: I64
    group_size: I64

    @property
    def is_copy(self) -> Bools:
        """(N,) images that another one stands for."""
        return np.asarray(self.keeper != np.arange(len(self.keeper)))


def resolve(links: Links, pairs: tuple[I64, I64], rule: LeakRule) -> Verdicts:
    """Leaks first, then copies.

    A leak drops its image only where the other one is not dropped by findings of its own. A group
    whose keeper drops (for what it is, or for a leak) is decided again among those that stay: in
    the keep order the best stands for its standing `pairs`, and so on, so that every copy that
    drops is a direct neighbour of a keeper that is kept. `pairs` are standing pairs of rows; only
    those within such groups are used.
    """
    leaks = _leaks(links, rule)
    alive = ~links.is_dropped | links.is_forced
    alive_but_leaking = alive.copy()
    for leak in leaks:
        if leak.is_drop and not links.is_forced[leak.row]:
            alive_but_leaking[leak.row] = False
    keeper = _keepers(links, alive_but_leaking, pairs)
    return Verdicts(leaks, keeper, _sizes(links.keeper, alive_but_leaking))


def _leaks(links: Links, rule: LeakRule) -> tuple[LeakVerdict, ...]:
    if rule.action == "ignore":
        return ()
    alive = ~links.is_dropped | links.is_forced
    found: dict[tuple[int, str], bool] = {}
    for a, b, name in zip(links.leak_a.tolist(), links.leak_b.tolist(), links.foreign, strict=True):
        for row, split, is_loser, is_live in _sides(links, rule, alive, (a, b, name)):
            is_drop = rule.action == "drop" and is_loser and is_live
            found[row, split] = found.get((row, split), False) or is_drop
    return tuple(LeakVerdict(row, split, drop) for (row, split), drop in sorted(found.items()))


def _sides(
    links: Links, rule: LeakRule, alive: Bools, leak: tuple[int, int, str]
) -> list[tuple[int, str, bool, bool]]:
    """(row, split it leaks into, whether it is the one to drop, whether the other is there)."""
    a, b, name = leak
    if name:
        # what is measured elsewhere must not be trained on; to evaluate on it here too is no harm
        return [(a, name, not rule.is_protected(links.split[a]), True)]
    split_a, split_b = links.split[a], links.split[b]
    if split_a is None or split_b is None or split_a == split_b:
        return []
    rank_a, rank_b = rule.rank(split_a), rule.rank(split_b)
    return [
        (a, split_b, rank_a > rank_b, bool(alive[b])),
        (b, split_a, rank_b > rank_a, bool(alive[a])),
    ]


def _keepers(links: Links, alive: Bools, pairs: tuple[I64, I64]) -> I64:
    """(N,) who stands for whom."""
    n = len(links)
    own = np.arange(n)
    keeper = np.where(links.keeper >= 0, links.keeper, own)
    is_led = alive[keeper]
    keeper = np.where(is_led, keeper, own)
    # without their keeper: again, best first, each taking the free neighbours it pairs with
    open_rows = np.flatnonzero(~is_led & alive)
    neighbors = _within_groups(links.keeper, open_rows, pairs, n)
    is_taken = np.zeros(n, bool)
    for row in open_rows[np.argsort(links.order[open_rows], kind="stable")].tolist():
        if is_taken[row]:
            continue
        is_taken[row] = True
        for other in neighbors.get(row, ()):
            if not is_taken[other]:
                is_taken[other] = True
                keeper[other] = row
    return keeper.astype(np.int64)


def _within_groups(group: I64, rows: I64, pairs: tuple[I64, I64], n: int) -> dict[int, list[int]]:
    """Neighbours of each row among the rows of its own group."""
    is_open = np.zeros(n, bool)
    is_open[rows] = True
    a, b = pairs
    kept = is_open[a] & is_open[b] & (group[a] == group[b]) & (a != b)
    found: dict[int, set[int]] = {}
    for left, right in zip(a[kept].tolist(), b[kept].tolist(), strict=True):
        found.setdefault(left, set()).add(right)
        found.setdefault(right, set()).add(left)
    return {row: sorted(others) for row, others in found.items()}


def _sizes(group: I64, alive: Bools) -> I64:
    """(N,) living images of each row's group; 1 outside of groups."""
    inside = group >= 0
    counts = np.bincount(group[inside & alive], minlength=len(group))
    return np.where(inside, np.maximum(counts[np.maximum(group, 0)], 1), 1).astype(np.int64)
