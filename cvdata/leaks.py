"""Copies where they do harm: across splits, and under different labels."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.errors import ConfigError
from cvdata.kernels.graph import I64, Neighbors


def leaks_table(
    method: str, images: pa.Table, neighbors: Neighbors, max_pairs: int = 50_000_000
) -> pa.Table:
    """LEAKS: every pair of near-duplicates in different splits, sorted by (id_a, id_b).

    `images` has image_id and split, a row per row of `neighbors`; an image without a split leaks
    nowhere. An external evaluation set is a split of its own name. Raises `ConfigError` beyond
    `max_pairs`: `leaking_images` is linear.
    """
    names, code = _splits(images.column("split"))
    a, b, distance = _across(neighbors, code, max_pairs)
    ids = images.column("image_id")
    ranks = schema.id_ranks(ids)
    swapped = ranks[a] > ranks[b]
    low, high = np.where(swapped, b, a), np.where(swapped, a, b)
    order = np.lexsort((ranks[high], ranks[low]))
    low, high = low[order], high[order]
    columns = {
        "id_a": ids.take(pa.array(low)),
        "id_b": ids.take(pa.array(high)),
        "split_a": names.take(pa.array(code[low])),
        "split_b": names.take(pa.array(code[high])),
        "method": pa.array([method] * len(low), pa.string()),
        "distance": pa.array(distance[order], pa.float32()),
    }
    return pa.table(columns, schema=schema.LEAKS)


def leaking_images(images: pa.Table, neighbors: Neighbors) -> npt.NDArray[np.int64]:
    """(N,) how many near-duplicates each image has in other splits; without listing the pairs."""
    names, code = _splits(images.column("split"))
    n_splits = max(len(names), 1)
    valid = code >= 0
    cell = neighbors.unit.astype(np.int64) * n_splits + code
    counts = np.bincount(cell[valid], minlength=neighbors.n_units * n_splits)
    table = counts.reshape(neighbors.n_units, n_splits)
    near = table.copy()
    np.add.at(near, neighbors.a, table[neighbors.b])
    np.add.at(near, neighbors.b, table[neighbors.a])
    total = near.sum(axis=1)[neighbors.unit] - near[neighbors.unit, np.maximum(code, 0)]
    return np.where(valid, total, 0)


def _splits(column: pa.ChunkedArray) -> tuple[pa.Array, I64]:
    """(names, code of each row, -1 for none)."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = whole.cast(pa.string()).dictionary_encode()
    return coded.dictionary, np.asarray(coded.indices.fill_null(-1), np.int64)


def _across(
    neighbors: Neighbors, code: I64, max_pairs: int
) -> tuple[I64, I64, npt.NDArray[np.float32]]:
    """All row pairs (a, b, distance) of neighbouring or equal units in different splits."""
    rows = np.flatnonzero(code >= 0)
    unit = neighbors.unit[rows]
    order = np.argsort(unit, kind="stable")
    rows = rows[order]
    starts = np.searchsorted(unit[order], np.arange(neighbors.n_units + 1))
    sizes = np.diff(starts)
    low, high = _spread(neighbors, code, rows, starts)
    inner = np.flatnonzero((sizes > 1) & (low < high))
    seen = (sizes[neighbors.a] > 0) & (sizes[neighbors.b] > 0)
    one = low[neighbors.a] == high[neighbors.a]
    same = one & (low[neighbors.b] == high[neighbors.b]) & (low[neighbors.a] == low[neighbors.b])
    edges = np.flatnonzero(seen & ~same)
    left = np.concatenate([inner, neighbors.a[edges]]).astype(np.int64)
    right = np.concatenate([inner, neighbors.b[edges]]).astype(np.int64)
    distance = np.concatenate([np.zeros(len(inner), np.float32), neighbors.distance[edges]])
    n_pairs = sizes[left] * sizes[right]
    if int(n_pairs.sum()) > max_pairs:
        raise ConfigError(
            f"{int(n_pairs.sum()):,} pairs to compare across splits, more than {max_pairs:,}: "
            "remove exact copies first"
        )
    pair = np.repeat(np.arange(len(left)), n_pairs)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    a = rows[starts[left[pair]] + within // np.maximum(sizes[right[pair]], 1)]
    b = rows[starts[right[pair]] + within % np.maximum(sizes[right[pair]], 1)]
    keep = (code[a] != code[b]) & ((left[pair] != right[pair]) | (a < b))
    return a[keep], b[keep], distance[pair][keep]


def _spread(neighbors: Neighbors, code: I64, rows: I64, starts: I64) -> tuple[I64, I64]:
    """Smallest and largest split code of each unit (0, 0 for a unit without a split)."""
    low = np.full(neighbors.n_units, np.iinfo(np.int64).max)
    high = np.full(neighbors.n_units, -1)
    np.minimum.at(low, neighbors.unit[rows], code[rows])
    np.maximum.at(high, neighbors.unit[rows], code[rows])
    empty = high < 0
    return np.where(empty, 0, low), np.where(empty, 0, high)


def conflicts_table(duplicates: pa.Table, records: pa.Table) -> pa.Table:
    """CONFLICTS: groups whose images carry different labels, or boxes of different labels.

    An image without a label (or boxes) contradicts nobody. `records` has image_id, label, boxes.
    """
    columns = duplicates.select(["image_id", "revision", "method", "group_id"])
    facts = records.select(["image_id", "label", "boxes"])
    at = pc.index_in(columns.column("image_id"), value_set=facts.column("image_id"))
    found = facts.take(at)
    rows = columns.to_pylist()
    kinds: dict[str, list[str | None]] = {
        "label": found.column("label").to_pylist(),
        "boxes": [_box_summary(boxes) for boxes in found.column("boxes").to_pylist()],
    }
    groups: dict[tuple[str, bytes], list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault((row["method"], row["group_id"]), []).append(i)
    out = []
    for members in groups.values():
        for kind, values in kinds.items():
            counts = Counter(values[i] for i in members if values[i] is not None)
            if len(counts) > 1:
                first, second = counts.most_common(2)
                majority = first[0] if first[1] > second[1] else None
                out += [
                    rows[i]
                    | {"kind": kind, "value": values[i], "majority": majority}
                    | {"is_majority": values[i] is not None and values[i] == majority}
                    for i in members
                ]
    out.sort(key=lambda row: (row["method"], row["group_id"], row["kind"], row["image_id"]))
    return pa.Table.from_pylist(out, schema=schema.CONFLICTS)


def _box_summary(boxes: list[dict[str, object]] | None) -> str | None:
    """`car×2, dog×1`: what the boxes claim is in the picture; None where there are no boxes."""
    if not boxes:
        return None
    counts = Counter(str(box["label"]) for box in boxes)
    return ", ".join(f"{label}×{n}" for label, n in sorted(counts.items()))
