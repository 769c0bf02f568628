"""Whole components of candidate pairs, verified where they are decoded: each image once.

Groups never cross components of the candidate graph, so a component is grouped by one task, with
every verification that its groups rest on; only row numbers and verdicts travel.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata.duplicates.candidates import expanded, joined
from cvdata.duplicates.groups import Stars, star_verified
from cvdata.duplicates.verdicts import ACCEPTED, UNASKED, Verdicts
from cvdata.kernels.graph import F32, I32, I64, Neighbors
from cvdata.kernels.registration import View
from cvdata.kernels.verification import VerifyOptions, verify
from cvdata.stages.thumbs import gray_thumbs

Bools = npt.NDArray[np.bool_]
KEPT_VIEWS = 1024
"""Images whose pyramids a task keeps, about half a megabyte each; their thumbs are all kept."""


@dataclass(frozen=True)
class Component:
    """Some components of the candidate graph, rows renumbered 0 … n - 1.

    `rows` are the global row numbers, `records` what is needed to fetch them, `rank` the place of
    each in the keep order, `pixels` equal numbers for equal pixels, `split` equal for equal splits
    (-1: none), `settled` by method the local row of an old keeper, -1 for what needs a decision,
    and the distance to it; `known` what earlier runs saw of pairs of these rows.
    """

    rows: I64
    records: pa.Table
    rank: I64
    pixels: I64
    split: I64
    settled: Mapping[str, tuple[I64, F32]]
    neighbors: Mapping[str, Neighbors]
    radii: Mapping[str, float]
    known: Verdicts


@dataclass(frozen=True)
class Grouped:
    """The groups of one `Component` by method, and the new verdicts: global row numbers."""

    rows: I64
    keeper: dict[str, I64]
    distance: dict[str, npt.NDArray[np.float32]]
    pair_a: I64
    pair_b: I64
    is_copy: Bools
    n_unread: int = 0


@dataclass(frozen=True)
class Pairs:
    """Pairs (a, b) of rows of `records`, and `at`: their numbers; `pixels` as of `Component`."""

    at: I64
    records: pa.Table
    pixels: I64
    a: I64
    b: I64


@dataclass(frozen=True)
class PairVerdicts:
    """Whether the pairs `at` are copies."""

    at: I64
    is_copy: Bools
    n_unread: int


class _Looker:
    """Verdicts on pairs of rows, each pair looked at once; None of `thumbs` cannot be read now."""

    def __init__(
        self,
        pixels: I64,
        thumbs: Sequence[npt.NDArray[np.uint8] | None] | None,
        options: VerifyOptions,
        known: Verdicts,
    ) -> None:
        self.pixels, self.thumbs, self.options, self.known = pixels, thumbs, options, known
        self.found: dict[tuple[int, int], bool] = {}
        self._views: OrderedDict[int, View] = OrderedDict()

    def __call__(self, left: I32, right: I32) -> Bools:
        """Whether each pair is a copy; every pair is, where there are no thumbs to look at."""
        if self.thumbs is None:
            return np.ones(len(left), bool)
        told = self.known.at(left, right)
        for i in np.flatnonzero(told == UNASKED):
            told[i] = self._one(int(left[i]), int(right[i]))
        return np.asarray(told == ACCEPTED)

    def _one(self, a: int, b: int) -> bool:
        key = (min(a, b), max(a, b))
        if key not in self.found:
            is_same = bool(self.pixels[a] == self.pixels[b] >= 0)
            self.found[key] = is_same or self._looked(*key)
        return self.found[key]

    def _looked(self, a: int, b: int) -> bool:
        """What cannot be read now stays unmerged."""
        first, second = self._view(a), self._view(b)
        return (
            first is not None and second is not None and verify(first, second, self.options).is_copy
        )

    def _view(self, row: int) -> View | None:
        thumb = None if self.thumbs is None else self.thumbs[row]
        if thumb is None:
            return None
        if row not in self._views:
            self._views[row] = View(thumb)
            if len(self._views) > KEPT_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(row)
        return self._views[row]

    @property
    def n_unread(self) -> int:
        """Images that could not be read."""
        return sum(thumb is None for thumb in self.thumbs or ())


@dataclass(frozen=True)
class VerifyComponents:
    """The task: decode the images of a component once, then group it by every method."""

    options: VerifyOptions = field(default_factory=VerifyOptions)
    is_looking: bool = True

    def __call__(self, part: Component) -> Grouped:
        """Stars of verified pairs by method and for `any`.

        Pairs across splits, and pairs between groups, are looked at too: leaks and bridges are
        told of pairs that stand.
        """
        thumbs = _thumbs(part.records, part.pixels) if self.is_looking else None
        look = _Looker(part.pixels, thumbs, self.options, part.known)
        plain = {name: expanded(found) for name, found in part.neighbors.items()}
        methods = [(plain[name], part.radii[name]) for name in plain]
        copies = Neighbors.of_rows(len(part.rows), [], [], [])
        plain["any"] = joined(copies, methods)
        keeper: dict[str, I64] = {}
        distance: dict[str, npt.NDArray[np.float32]] = {}
        for name, neighbors in plain.items():
            stars = _cover(neighbors, part, part.settled[name], look)
            keeper[name], distance[name] = part.rows[stars.keeper], stars.distance
            a, b = neighbors.a, neighbors.b
            apart = stars.keeper[a] != stars.keeper[b]
            apart |= (part.split[a] != part.split[b]) & (part.split[a] >= 0) & (part.split[b] >= 0)
            look(a[apart], b[apart])
        pairs = np.array(sorted(look.found), np.int64).reshape(-1, 2)
        verdicts = np.array([look.found[a, b] for a, b in pairs.tolist()], bool)
        first, second = part.rows[pairs[:, 0]], part.rows[pairs[:, 1]]
        return Grouped(part.rows, keeper, distance, first, second, verdicts, look.n_unread)


@dataclass(frozen=True)
class VerifyPairs:
    """The task: decode the images of some pairs once, then look at each pair."""

    options: VerifyOptions = field(default_factory=VerifyOptions)

    def __call__(self, part: Pairs) -> PairVerdicts:
        """A verdict for every pair; what cannot be read now is no copy."""
        none = Verdicts.of(len(part.records), [], [], [])
        look = _Looker(part.pixels, _thumbs(part.records, part.pixels), self.options, none)
        is_copy = look(part.a.astype(np.int32), part.b.astype(np.int32))
        return PairVerdicts(part.at, is_copy, look.n_unread)


def _thumbs(records: pa.Table, pixels: I64) -> list[npt.NDArray[np.uint8] | None]:
    """A thumb for each row, one decode for all of equal pixels: the first that can be read."""
    thumbs: list[npt.NDArray[np.uint8] | None] = [None] * len(records)
    own = -1 - np.arange(len(records))
    groups = defaultdict(list)
    for row, group in enumerate(np.where(pixels >= 0, pixels, own).tolist()):
        groups[group].append(row)
    waiting = list(groups.values())
    while waiting:
        rows = [group[0] for group in waiting]
        for group, thumb in zip(waiting, gray_thumbs(records.take(rows)), strict=True):
            for row in group:
                thumbs[row] = thumb
        waiting = [group[1:] for group in waiting if thumbs[group[0]] is None and group[1:]]
    return thumbs


def _cover(neighbors: Neighbors, part: Component, before: tuple[I64, F32], look: _Looker) -> Stars:
    """The verified cover in keep order, old keepers first; what was settled stays."""
    settled, distance = before
    is_old = settled == np.arange(len(part.rows))
    is_open = (settled < 0) | is_old
    kept = is_open[neighbors.a] & is_open[neighbors.b]
    among = Neighbors.of_rows(
        len(part.rows), neighbors.a[kept], neighbors.b[kept], neighbors.distance[kept]
    )
    order = np.lexsort((part.rank, ~is_old))
    found = star_verified(among, order, look)
    keeper = np.where(~is_open, settled, found.keeper).astype(np.int32)
    return Stars(keeper, np.where(is_open, found.distance, distance).astype(np.float32))
