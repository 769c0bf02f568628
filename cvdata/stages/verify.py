"""Whole components of candidate pairs, verified where they are decoded: each image once.

Groups never cross components of the candidate graph, so a component is grouped by one task, with
every verification that its groups rest on; only row numbers and verdicts travel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata.duplicates.candidates import expanded, joined
from cvdata.duplicates.groups import Stars, star_verified
from cvdata.kernels.graph import I32, I64, Neighbors
from cvdata.kernels.registration import View
from cvdata.kernels.verification import VerifyOptions, verify
from cvdata.stages.thumbs import gray_thumbs

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Component:
    """Some components of the candidate graph, rows renumbered 0 … n - 1.

    `rows` are the global row numbers, `records` what is needed to fetch them, `rank` the place of
    each in the keep order, `pixels` equal numbers for equal pixels, `split` equal for equal splits
    (-1: none), `settled` by method the local row of an old keeper, -1 for what needs a decision.
    """

    rows: I64
    records: pa.Table
    rank: I64
    pixels: I64
    split: I64
    settled: Mapping[str, I64]
    neighbors: Mapping[str, Neighbors]
    radii: Mapping[str, float]


@dataclass(frozen=True)
class Grouped:
    """The groups of one `Component` by method, and the verdicts: global row numbers."""

    rows: I64
    keeper: dict[str, I64]
    distance: dict[str, npt.NDArray[np.float32]]
    pair_a: I64
    pair_b: I64
    is_copy: Bools
    n_unread: int = 0
    n_unresolved: int = 0


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


@dataclass
class _Looker:
    """Verdicts on pairs of rows, each pair looked at once."""

    pixels: I64
    views: list[View | None]
    options: VerifyOptions
    is_looking: bool
    verdicts: dict[tuple[int, int], bool] = field(default_factory=dict)

    def __call__(self, left: I32, right: I32) -> Bools:
        return np.array([self.one(int(a), int(b)) for a, b in zip(left, right, strict=True)], bool)

    def one(self, a: int, b: int) -> bool:
        """Whether the two are copies. What cannot be read now stays unmerged."""
        if not self.is_looking:
            return True
        key = (min(a, b), max(a, b))
        if key not in self.verdicts:
            first, second = self.views[key[0]], self.views[key[1]]
            same = bool(self.pixels[a] == self.pixels[b] >= 0)
            seen = first is not None and second is not None
            self.verdicts[key] = same or (
                seen and verify(first, second, self.options).is_copy  # type: ignore[arg-type]
            )
        return self.verdicts[key]


@dataclass(frozen=True)
class VerifyComponents:
    """The task: decode the images of a component once, then group it by every method."""

    options: VerifyOptions = field(default_factory=VerifyOptions)
    is_looking: bool = True

    def __call__(self, part: Component) -> Grouped:
        """Stars of verified pairs by method and for `any`; cross-split pairs are verified too."""
        thumbs = list(gray_thumbs(part.records)) if self.is_looking else [None] * len(part.rows)
        views = [None if thumb is None else View(thumb) for thumb in thumbs]
        look = _Looker(part.pixels, views, self.options, self.is_looking)
        plain = {name: expanded(found) for name, found in part.neighbors.items()}
        methods = [(plain[name], part.radii[name]) for name in plain]
        copies = Neighbors.of_rows(len(part.rows), [], [], [])
        plain["any"] = joined(copies, methods)
        keeper: dict[str, I64] = {}
        distance: dict[str, npt.NDArray[np.float32]] = {}
        n_unresolved = 0
        for name, neighbors in plain.items():
            stars, n_open = _cover(neighbors, part, part.settled[name], look)
            keeper[name], distance[name] = part.rows[stars.keeper], stars.distance
            n_unresolved += n_open
        crossing = plain["any"]
        across = part.split[crossing.a] != part.split[crossing.b]
        across &= (part.split[crossing.a] >= 0) & (part.split[crossing.b] >= 0)
        look(crossing.a[across], crossing.b[across])
        pairs = np.array(sorted(look.verdicts), np.int64).reshape(-1, 2)
        verdicts = np.array([look.verdicts[a, b] for a, b in pairs.tolist()], bool)
        a, b = part.rows[pairs[:, 0]], part.rows[pairs[:, 1]]
        n_unread = sum(view is None for view in views) if self.is_looking else 0
        return Grouped(part.rows, keeper, distance, a, b, verdicts, n_unread, n_unresolved)


@dataclass(frozen=True)
class VerifyPairs:
    """The task: decode the images of some pairs once, then look at each pair."""

    options: VerifyOptions = field(default_factory=VerifyOptions)

    def __call__(self, part: Pairs) -> PairVerdicts:
        """A verdict for every pair; what cannot be read now is no copy."""
        thumbs = list(gray_thumbs(part.records))
        views = [None if thumb is None else View(thumb) for thumb in thumbs]
        look = _Looker(part.pixels, views, self.options, is_looking=True)
        is_copy = look(part.a.astype(np.int32), part.b.astype(np.int32))
        return PairVerdicts(part.at, is_copy, sum(view is None for view in views))


def _cover(neighbors: Neighbors, part: Component, settled: I64, look: _Looker) -> tuple[Stars, int]:
    """The verified cover in keep order, old keepers first; what was settled stays."""
    is_old = settled == np.arange(len(part.rows))
    is_open = (settled < 0) | is_old
    kept = is_open[neighbors.a] & is_open[neighbors.b]
    among = Neighbors.of_rows(
        len(part.rows), neighbors.a[kept], neighbors.b[kept], neighbors.distance[kept]
    )
    order = np.lexsort((part.rank, ~is_old))
    found = star_verified(among, order, look)
    closed = ~is_open
    keeper = np.where(closed, settled, found.stars.keeper).astype(np.int32)
    return Stars(keeper, found.stars.distance), found.n_unresolved
