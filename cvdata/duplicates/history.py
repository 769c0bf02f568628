"""New images against old decisions: an existing keeper never flips, a removed one is succeeded."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.duplicates.groups import Stars, star
from cvdata.kernels.graph import F32, I64, Neighbors

SUCCESSIONS = pa.schema(
    [
        pa.field("removed", schema.ID, nullable=False),
        pa.field("successor", schema.ID, nullable=False),
        pa.field("n_images", pa.int64(), nullable=False),
    ]
)

NEW, ORPHAN = -1, -2


@dataclass(frozen=True)
class History:
    """What an earlier run decided about the rows of this one.

    `keeper` (N,) int64: the row of the keeper it had, itself for a keeper, `NEW` for an image
    that was not there (or was changed), `ORPHAN` where the keeper is gone or changed; `distance`
    (N,) float32 to it. `lost` maps an orphan's row to the id of the keeper it had.
    """

    keeper: I64
    distance: F32
    lost: dict[int, bytes]

    @property
    def active(self) -> npt.NDArray[np.bool_]:
        """(N,) rows that need a decision; only pairs that touch one of them matter."""
        return np.asarray(self.keeper < 0)


def history_of(images: pa.Table, known: pa.Table, duplicates: pa.Table) -> History:
    """Match this run's rows with the last: `images` and `known` have image_id and revision.

    `known` are the images of the last run, `duplicates` its DUPLICATES of one method. A changed
    revision makes an image new.
    """
    ids, n = images.column("image_id"), len(images)
    at = _place(ids, known.column("image_id"))
    was = known.column("revision").take(pa.array(at, mask=at < 0))
    same = np.asarray(pc.fill_null(pc.equal(images.column("revision"), was), False))
    keeper = np.where(same, np.arange(n), NEW)
    distance = np.zeros(n, np.float32)
    is_keeper = duplicates.column("is_keeper")
    heads, members = duplicates.filter(is_keeper), duplicates.filter(pc.invert(is_keeper))
    led_by = _place(members.column("group_id"), heads.column("group_id"))
    leader_ids = heads.column("image_id").take(pa.array(led_by))
    row, leader = _place(members.column("image_id"), ids), _place(leader_ids, ids)
    there = (row >= 0) & same[row]
    stands = (leader >= 0) & same[leader]
    settled, orphaned = there & stands, there & ~stands
    keeper[row[settled]] = leader[settled]
    distance[row[settled]] = np.asarray(members.column("distance"))[settled]
    keeper[row[orphaned]] = ORPHAN
    gone = leader_ids.take(pa.array(np.flatnonzero(orphaned))).to_pylist()
    return History(keeper, distance, dict(zip(row[orphaned].tolist(), gone, strict=True)))


def _place(values: pa.ChunkedArray, among: pa.ChunkedArray) -> I64:
    """Row of each value in `among`, -1 where it is not there; (N,) int64."""
    found = pc.index_in(values.cast(pa.binary()), value_set=among.cast(pa.binary()))
    return np.asarray(pc.fill_null(found, -1), np.int64)


def continued(neighbors: Neighbors, order: I64, history: History) -> Stars:
    """The star cover of old and new rows together in which nothing old changes.

    `neighbors` must hold the pairs among the active rows and between them and the old keepers;
    more does no harm. It equals a cover from scratch in the order: old keepers, then the rest.
    """
    old = history.keeper
    is_old_keeper = old == np.arange(len(old))
    class_of = np.where(is_old_keeper, 0, np.where(history.active, 1, 2))
    ranked = order[np.argsort(class_of[order], kind="stable")]
    fresh = star(neighbors, ranked)
    settled = ~history.active
    keeper = np.where(settled, old, fresh.keeper).astype(np.int32)
    distance = np.where(settled, history.distance, fresh.distance).astype(np.float32)
    return Stars(keeper, distance)


def successions(
    images: pa.Table, history: History, stars: Stars, weight: I64 | None = None
) -> pa.Table:
    """Who took over from each keeper that is gone: removed, successor, n_images; sorted.

    `weight` (N,): how many images each row speaks for, else 1. A keeper that was changed and took
    its images back is not among them.
    """
    ids = images.column("image_id").to_pylist()
    counts: dict[tuple[bytes, bytes], int] = {}
    for row, removed in history.lost.items():
        pair = removed, ids[int(stars.keeper[row])]
        if pair[0] == pair[1]:
            continue
        counts[pair] = counts.get(pair, 0) + (1 if weight is None else int(weight[row]))
    rows = [(removed, successor, n) for (removed, successor), n in sorted(counts.items())]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SUCCESSIONS, strict=True)]
    return pa.table(arrays, schema=SUCCESSIONS)
