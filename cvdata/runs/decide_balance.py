"""Fourth pass, where it is asked for: what balancing does to each class, and which images stay."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.balance import (
    Balance,
    Plan,
    effective_number,
    hierarchical,
    inverse_frequency,
    k_center,
    repeat_factors,
    solve,
)
from cvdata.balance.diversity import spread_sample
from cvdata.chance import hash_keys
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.reading import IdRange, positions
from cvdata.runs.decide_cut import Cut
from cvdata.runs.decide_merge import MERGED, ClassCounts, CountRange, Scope, empty_ids
from cvdata.runs.decide_spill import Spill
from cvdata.schema import ID
from cvdata.vectors import matrix

U64 = npt.NDArray[np.uint64]
POOLS = "pools"
VECTORS_ASKED = ("image_id", "revision", "embedding")


@dataclass(frozen=True)
class Balanced:
    """What balancing came to, before it is written.

    `plan` is None where no class changes. `cut` are the ids that drop. `offsets` (by range number)
    count the images of each class that are kept in the ranges before. `weights` are by label,
    `factors` by object.
    """

    scope: Scope
    counts: ClassCounts
    plan: Plan | None = None
    cut: pa.Array = field(default_factory=empty_ids)
    offsets: tuple[Mapping[str, int], ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)


def balance(
    session: Session, tables: Cut, request: tuple[Balance, Scope, Mapping[str, int]]
) -> Balanced:
    """Count, solve, choose. `request`: settings, scope, and the floor of each class."""
    settings, scope, floors = request
    numbers = list(range(len(tables.ranges)))
    found = dict(session.run(CountRange(tables.spill, scope), numbers))
    counts = sum((found[n] for n in numbers), ClassCounts())
    if not counts.n_images:
        splits = ", ".join(scope.splits or ()) or "any split"
        raise ConfigError(f"nothing to balance: no image is kept in {splits}")
    plan = _plan(counts, settings, floors)
    cut = empty_ids()
    if plan is not None and plan.n_cut:
        cut = _choose(session, tables, (settings, scope, plan))
    ends = plan.by_label() if plan is not None and settings.oversample == "augment" else {}
    in_the_end = {c: float(n) for c, n in counts.labels.items()}
    in_the_end |= {c: float(p.achieved) for c, p in ends.items()}
    if plan is not None and settings.oversample != "augment":
        in_the_end |= {c.label: float(c.n - c.n_cut) for c in plan.classes}
    return Balanced(
        scope,
        counts,
        plan,
        cut,
        _offsets([found[n] for n in numbers]),
        _weights(in_the_end, settings),
        repeat_factors(counts.objects, counts.n_images, settings.repeat_below)
        if settings.weights == "repeat"
        else {},
    )


def _plan(counts: ClassCounts, settings: Balance, floors: Mapping[str, int]) -> Plan | None:
    if not settings.has_target:
        return None
    known = dict(counts.labels)
    if not settings.shares:
        # a class of which nothing is left stands here with 0, and is refused by name
        known = {**dict.fromkeys(counts.dropped, 0), **known}
    least = {c: max(counts.forced.get(c, 0), floors.get(c, 0)) for c in known}
    return solve(known, settings, least)


def _weights(ends: Mapping[str, float], settings: Balance) -> dict[str, float]:
    if settings.weights == "inverse":
        return inverse_frequency(ends)
    if settings.weights == "effective":
        return effective_number(ends, settings.beta)
    return {}


def _offsets(found: list[ClassCounts]) -> tuple[Mapping[str, int], ...]:
    """For each range how many images of each class come before it."""
    out: list[Mapping[str, int]] = []
    before: dict[str, int] = {}
    for counts in found:
        out.append(dict(before))
        for label, n in counts.labels.items():
            before[label] = before.get(label, 0) + n
    return tuple(out)


@dataclass(frozen=True)
class _Gather:
    """One range: the images of the classes to cut, and their vectors, to the pools."""

    tables: Cut
    scope: Scope
    settings: Balance
    classes: tuple[str, ...]

    def __call__(self, item: tuple[int, IdRange]) -> None:
        number, id_range = item
        rows = self.tables.spill.rows(MERGED, number)
        wanted = self.scope.holds(rows) & self.scope.kept(rows)
        rows = rows.filter(pa.array(wanted)).select(["image_id", "revision", "label", "is_forced"])
        rows = rows.filter(pc.is_in(rows["label"], value_set=pa.array(self.classes)))
        if self.settings.undersample != "random":
            name = f"embeddings/{self.settings.embeddings}"
            vectors = self.tables.read(name, list(VECTORS_ASKED), id_range=id_range)
            at = positions(rows, vectors)
            taken = vectors["embedding"].take(pa.array(at, mask=at < 0))
            rows = rows.append_column("embedding", taken)
        for place, label in enumerate(self.classes):
            mine = rows.filter(pc.equal(rows["label"], label))
            if len(mine):
                pool = f"{POOLS}/{place:06d}"
                self.tables.spill.put(pool, number, mine.drop_columns(["label"]))


@dataclass(frozen=True)
class _Cut:
    """One class: the ids that drop."""

    spill: Spill
    n_ranges: int
    settings: Balance
    keeps: tuple[int, ...]

    def __call__(self, place: int) -> bytes:
        found = [self.spill.get(f"{POOLS}/{place:06d}", n) for n in range(self.n_ranges)]
        rows = pa.concat_tables([t for t in found if t is not None]).combine_chunks()
        kept = choose(rows, self.keeps[place], self.settings)
        is_cut = np.ones(len(rows), bool)
        is_cut[kept] = False
        return b"".join(rows["image_id"].filter(pa.array(is_cut)).to_pylist())


def _choose(session: Session, tables: Cut, request: tuple[Balance, Scope, Plan]) -> pa.Array:
    """Ids of the images by which classes are cut, sorted: 16 bytes each, the only state."""
    settings, scope, plan = request
    classes = [c for c in plan.classes if c.n_cut]
    names = tuple(c.label for c in classes)
    gather = _Gather(tables, scope, settings, names)
    for _ in session.run(gather, list(enumerate(tables.ranges))):
        pass
    cut = _Cut(tables.spill, len(tables.ranges), settings, tuple(c.n - c.n_cut for c in classes))
    blob = b"".join(session.run(cut, list(range(len(classes)))))
    ids = sorted(blob[i : i + 16] for i in range(0, len(blob), 16))
    return pa.array(ids, ID)


def choose(rows: pa.Table, k: int, settings: Balance) -> npt.NDArray[np.int64]:
    """(k,) rows of one class that stay: those the user keeps, then the most diverse.

    `rows` in the order of their ids: image_id, is_forced, and embedding where the method needs it.
    Images without an embedding come last.
    """
    forced = np.flatnonzero(np.asarray(rows["is_forced"], bool))
    keys = hash_keys(rows["image_id"], settings.seed)
    rest = np.setdiff1d(np.arange(len(rows)), forced)
    if settings.undersample == "random":
        return np.concatenate([forced, rest[spread_sample(keys[rest], k - len(forced))]])[:k]
    known = np.asarray(pc.is_valid(rows["embedding"].combine_chunks()), bool)
    pool = rest[known[rest]]
    pool = pool[spread_sample(keys[pool], settings.pool)]
    led = forced[known[forced]]
    candidates = np.concatenate([led, pool])
    vectors = matrix(rows["embedding"].take(pa.array(candidates)))
    unknown_forced = forced[~known[forced]]
    room = k - len(unknown_forced)
    if settings.undersample == "k_center":
        first = np.arange(len(led)) if len(led) else None
        chosen = candidates[k_center(vectors, room, first)] if len(candidates) else candidates
    else:
        inner = hierarchical(vectors[len(led) :], room - len(led), settings.seed)
        chosen = np.concatenate([led, pool[inner]])
    chosen = np.concatenate([unknown_forced, chosen])
    left = np.setdiff1d(rest, chosen)
    missing = max(0, k - len(chosen))
    order = left[np.lexsort((keys[left], ~known[left]))]
    return np.concatenate([chosen, order[:missing]])[:k].astype(np.int64)
