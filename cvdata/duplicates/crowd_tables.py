"""What was decided of a crowd's models, told of all: PAIRS, DUPLICATES, LEAKS."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.duplicates.crowds import Bools, Crowds
from cvdata.kernels.graph import I64

Rows = tuple[I64, I64, I64]
"""(row of a table that is copied, its left image, its right image)."""


def place_of(values: pa.ChunkedArray, ids: pa.ChunkedArray) -> I64:
    """Row of each value in `ids`, -1 where it is not there; (N,) int64."""
    found = pc.index_in(values, value_set=ids.combine_chunks())
    return np.asarray(pc.fill_null(found, -1), np.int64)


def with_followers(duplicates: pa.Table, images: pa.Table, crowds: Crowds) -> pa.Table:
    """DUPLICATES in which every follower has the rows in which its model is no keeper.

    `images` has image_id and revision of all images. Each group is named after its least image.
    """
    ids = images["image_id"]
    copies = duplicates.filter(pc.invert(duplicates["is_keeper"]))
    at, who = crowds.spread(place_of(copies["image_id"], ids))
    more = copies.take(pa.array(at))
    for name in ("image_id", "revision"):
        more = _replaced(more, name, images[name].take(pa.array(who)))
    whole = pa.concat_tables([duplicates, more])
    methods = pc.unique(duplicates["method"])
    parts = [_regrouped(whole.filter(pc.equal(whole["method"], method))) for method in methods]
    return pa.concat_tables([schema.DUPLICATES.empty_table(), *parts])


def _regrouped(rows: pa.Table) -> pa.Table:
    """DUPLICATES of one method, named after the least image of each group and sorted."""
    ids = rows["image_id"]
    ranks = schema.id_ranks(ids)
    group = _codes(rows["group_id"])
    least = np.full(int(group.max(initial=-1)) + 1, len(rows), np.int64)
    np.minimum.at(least, group, ranks)
    named = ids.take(pa.array(np.argsort(ranks)[least[group]]))
    order = np.lexsort((ranks, least[group]))
    return _replaced(rows, "group_id", named).take(pa.array(order))


def pairs_with_followers(pairs: pa.Table, ids: pa.ChunkedArray, crowds: Crowds) -> pa.Table:
    """PAIRS in which every follower has its model's pairs within the crowd, and that with it.

    A follower never stands beside another one: their pairs are as many as the square of a crowd.
    """
    a, b = place_of(pairs["id_a"], ids), place_of(pairs["id_b"], ids)
    found: list[Rows] = [(np.arange(len(pairs)), a, b)]
    for mine, other in ((a, b), (b, a)):
        near = np.flatnonzero(_same_crowd(crowds, mine, other))
        at, who = crowds.spread(mine[near])
        found.append((near[at], who, other[near[at]]))
        # the pair of a model with the first of its kind is what it has with its followers
        near = near[other[near] == crowds.elder_of(mine[near])]
        at, who = crowds.spread(mine[near])
        found.append((near[at], who, mine[near[at]]))
    rows, low, high = _laid_out(found, pairs, schema.id_ranks(ids))
    more = _replaced(pairs.take(pa.array(rows)), "id_a", ids.take(pa.array(low)))
    return _replaced(more, "id_b", ids.take(pa.array(high)))


def leaks_with_followers(leaks: pa.Table, images: pa.Table, crowds: Crowds) -> pa.Table:
    """LEAKS within the dataset: a follower has its model's leaks into its crowd.

    Of those into other images it has the nearest of each split and method. `images` has image_id
    and split of all.
    """
    ids = images["image_id"]
    ranks = schema.id_ranks(ids)
    a, b = place_of(leaks["id_a"], ids), place_of(leaks["id_b"], ids)
    method, distance = _codes(leaks["method"]), np.asarray(leaks["distance"])
    splits = pc.unique(pa.chunked_array([*leaks["split_a"].chunks, *leaks["split_b"].chunks]))
    found: list[Rows] = [(np.arange(len(leaks)), a, b)]
    for mine, other, name in ((a, b, "split_b"), (b, a, "split_a")):
        into = np.asarray(pc.index_in(leaks[name], value_set=splits), np.int64)
        is_near = _is_first((mine, method, into), (distance, ranks[other]))
        near = np.flatnonzero(_same_crowd(crowds, mine, other) | is_near)
        at, who = crowds.spread(mine[near])
        found.append((near[at], who, other[near[at]]))
    rows, low, high = _laid_out(_once(found, method, len(ids)), leaks, ranks)
    out = leaks.take(pa.array(rows))
    for end, side in (("a", low), ("b", high)):
        out = _replaced(out, f"id_{end}", ids.take(pa.array(side)))
        out = _replaced(out, f"split_{end}", images["split"].take(pa.array(side)))
    return out


def foreign_leaks_with_followers(leaks: pa.Table, ids: pa.ChunkedArray, crowds: Crowds) -> pa.Table:
    """LEAKS into an evaluation set elsewhere, ours first: a follower has its model's nearest."""
    theirs = pc.unique(leaks["id_b"])
    rank = schema.id_ranks(theirs)[np.asarray(pc.index_in(leaks["id_b"], value_set=theirs))]
    mine, method = place_of(leaks["id_a"], ids), _codes(leaks["method"])
    near = np.flatnonzero(_is_first((mine, method), (np.asarray(leaks["distance"]), rank)))
    at, who = crowds.spread(mine[near])
    rows = np.concatenate([np.arange(len(leaks)), near[at]])
    ours = np.concatenate([mine, who])
    order = np.lexsort((rank[rows], schema.id_ranks(ids)[ours], method[rows]))
    out = leaks.take(pa.array(rows[order]))
    return _replaced(out, "id_a", ids.take(pa.array(ours[order])))


def _same_crowd(crowds: Crowds, a: I64, b: I64) -> Bools:
    return np.asarray((crowds.crowd[a] == crowds.crowd[b]) & (crowds.crowd[a] >= 0))


def _is_first(keys: Sequence[I64], by: Sequence[np.ndarray]) -> Bools:
    """(R,) the least by `by` among the rows that are equal in `keys`."""
    order = np.lexsort((*reversed(by), *keys))
    first = np.ones(len(order), bool)
    if len(order):
        first[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    out = np.zeros(len(order), bool)
    out[order[first]] = True
    return out


def _once(found: Sequence[Rows], method: I64, n: int) -> list[Rows]:
    """Each pair of a method once."""
    rows, left, right = (np.concatenate(column) for column in zip(*found, strict=True))
    low, high = np.minimum(left, right), np.maximum(left, right)
    keys = np.stack([method[rows], low * n + high])
    kept = np.sort(np.unique(keys, axis=1, return_index=True)[1])
    return [(rows[kept], left[kept], right[kept])]


def _laid_out(found: Sequence[Rows], table: pa.Table, ranks: I64) -> Rows:
    """All of it sorted by method (as they come), the lesser id, the greater."""
    rows, left, right = (np.concatenate(column) for column in zip(*found, strict=True))
    swapped = ranks[left] > ranks[right]
    low, high = np.where(swapped, right, left), np.where(swapped, left, right)
    order = np.lexsort((ranks[high], ranks[low], _codes(table["method"])[rows]))
    return rows[order], low[order], high[order]


def _codes(column: pa.ChunkedArray) -> I64:
    """(N,) equal numbers for equal values, rising as they come."""
    return np.asarray(pc.index_in(column, value_set=pc.unique(column)), np.int64)


def _replaced(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, values.cast(field.type))
