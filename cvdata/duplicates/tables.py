"""Groups as tables: PAIRS, DUPLICATES, and what becomes of the copies that are not kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.duplicates.groups import Stars
from cvdata.errors import ConfigError
from cvdata.kernels.graph import Neighbors

SELECTION = pa.schema(
    [
        pa.field("image_id", schema.ID, nullable=False),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)


def pairs_table(
    method: str,
    ids: pa.Array | pa.ChunkedArray,
    neighbors: Neighbors,
    is_verified: npt.NDArray[np.bool_] | None = None,
) -> pa.Table:
    """PAIRS of plain pairs of rows (`expanded`), sorted by (id_a, id_b); no row twice.

    `is_verified` (P,): what the second look said; None leaves it null: there was none.
    """
    if neighbors.n_units != len(ids):
        raise ConfigError("pairs_table takes pairs of rows: call expanded() on units first")
    ranks = schema.id_ranks(ids)
    a, b = neighbors.a, neighbors.b
    swapped = ranks[a] > ranks[b]
    low, high = np.where(swapped, b, a), np.where(swapped, a, b)
    order = np.lexsort((ranks[high], ranks[low]))
    verdicts = pa.nulls(len(order), pa.bool_())
    if is_verified is not None:
        verdicts = pa.array(is_verified[order])
    columns = {
        "method": pa.array([method] * len(order), pa.string()),
        "id_a": _taken(ids, low[order]),
        "id_b": _taken(ids, high[order]),
        "distance": pa.array(neighbors.distance[order], pa.float32()),
        "is_verified": verdicts,
    }
    return pa.table(columns, schema=schema.PAIRS)


def _taken(ids: pa.Array | pa.ChunkedArray, rows: npt.NDArray[Any]) -> pa.Array:
    taken = ids.take(pa.array(rows.astype(np.int64)))
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


def duplicates_table(method: str, images: pa.Table, stars: Stars) -> pa.Table:
    """DUPLICATES of the groups with at least two images, sorted by (group_id, image_id).

    `images` has image_id and revision, one row per row of the cover.
    """
    ids = images.column("image_id")
    ranks = schema.id_ranks(ids)
    n = len(ids)
    sizes = np.bincount(stars.keeper, minlength=n)
    rows = np.flatnonzero(sizes[stars.keeper] > 1)
    least = np.full(n, n, np.int64)
    np.minimum.at(least, stars.keeper, ranks)
    group = least[stars.keeper]
    by_rank = np.argsort(ranks)
    rows = rows[np.lexsort((ranks[rows], group[rows]))]
    columns = {
        "image_id": _taken(ids, rows),
        "revision": _taken(images.column("revision"), rows),
        "method": pa.array([method] * len(rows), pa.string()),
        "group_id": _taken(ids, by_rank[group[rows]]),
        "distance": pa.array(stars.distance[rows], pa.float32()),
        "is_keeper": pa.array(stars.is_keeper[rows]),
    }
    return pa.table(columns, schema=schema.DUPLICATES)


def _remove(frame: pa.Table) -> tuple[Any, Any]:
    keep = frame.column("is_keeper")
    return keep, keep.cast(pa.float32())


def _keep(frame: pa.Table) -> tuple[Any, Any]:
    return np.ones(len(frame), bool), np.ones(len(frame), np.float32)


def _reweight(frame: pa.Table) -> tuple[Any, Any]:
    return np.ones(len(frame), bool), pc.cast(pc.divide(1.0, frame.column("size")), pa.float32())


ACTIONS: dict[str, Callable[[pa.Table], tuple[Any, Any]]] = {
    "remove": _remove,
    "merge": _remove,
    "keep": _keep,
    "reweight": _reweight,
}
"""What happens to the copies. `merge` drops them too: `merged_records` is where their labels go."""


def selection_of(duplicates: pa.Table, action: str) -> pa.Table:
    """What an action makes of the DUPLICATES of one method: image_id, keep, weight, reason.

    The reason is `duplicate:<method>:<hex id of the keeper>` for what is dropped, else null.
    Images without a copy are not in the table.
    """
    if action not in ACTIONS:
        raise ConfigError(f"duplicate action {action!r} is not one of {', '.join(ACTIONS)}")
    methods = pc.unique(duplicates.column("method")).to_pylist()
    if len(methods) > 1:
        raise ConfigError(f"an action takes the duplicates of one method, not of {methods}")
    keepers = duplicates.filter(duplicates.column("is_keeper"))
    sizes = duplicates.group_by("group_id").aggregate([("image_id", "count")])
    by_group = keepers.select(["image_id", "group_id"]).rename_columns(["keeper", "group_id"])
    frame = duplicates.join(by_group, "group_id").join(
        sizes.rename_columns(["group_id", "size"]), "group_id"
    )
    frame = frame.sort_by("image_id") if len(frame) else frame
    keep, weight = ACTIONS[action](frame)
    kept = np.asarray(keep)
    dropped = zip(kept.tolist(), frame.column("keeper").to_pylist(), strict=True)
    reasons = [None if ok else f"duplicate:{methods[0]}:{keeper.hex()}" for ok, keeper in dropped]
    columns = [frame.column("image_id"), pa.array(kept), weight, pa.array(reasons, pa.string())]
    return pa.table(columns, schema=SELECTION)
