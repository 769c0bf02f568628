"""Tables of duplicates: what is written, what actions make of it, and how history binds."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata import schema
from cvdata.duplicates import candidates, groups, history, tables
from cvdata.duplicates.groups import Stars
from cvdata.errors import ConfigError
from cvdata.kernels import hamming
from cvdata.kernels.graph import Neighbors


def images_of(ids: list[int], revision: str = "1") -> pa.Table:
    raw = [schema.image_id("s", str(i).encode()) for i in ids]
    return pa.table(
        {"image_id": pa.array(raw, schema.ID), "revision": pa.array([revision] * len(ids))}
    )


def hashes_of(values: list[int]) -> pa.Array:
    raw = [value.to_bytes(8, "big") for value in values]
    return pa.array(raw, pa.binary(8))


CENTRES = [0x0F1E2D3C4B5A6978, 0xC3A5963C5AF00F1E]
HASH = st.builds(
    lambda centre, bits: centre ^ sum(1 << bit for bit in bits),
    st.sampled_from(CENTRES),
    st.sets(st.integers(20, 31), max_size=6),
)


def full_order(n: int, ids: pa.Table, seed: int) -> npt.NDArray[np.int64]:
    """A keep order that hangs on the id and not on the row."""
    raw = ids["image_id"].to_pylist()
    return np.array(
        sorted(range(n), key=lambda i: blake2b(raw[i], key=bytes([seed])).digest()), np.int64
    )


def found_in(values: list[int], radius: int = 3) -> Neighbors:
    return candidates.perceptual(hashes_of(values), radius).neighbors


@settings(max_examples=60, deadline=None)
@given(
    st.lists(HASH, min_size=1, max_size=25),
    st.lists(HASH, max_size=15),
    st.sets(st.integers(0, 24)),
    st.integers(0, 99),
)
def test_incremental_law(old: list[int], new: list[int], gone: set[int], seed: int) -> None:
    """Old keepers that remain never flip, their groups only grow, and the star guarantee holds.

    The result is that of a run from scratch whose order begins with the keepers that existed.
    """
    n_old = len(old)
    before_images = images_of(list(range(n_old)))
    before = groups.star(found_in(old), full_order(n_old, before_images, seed))
    written = tables.duplicates_table("perceptual", before_images, before)

    stays = [i for i in range(n_old) if i not in gone]
    names = stays + [1000 + i for i in range(len(new))]
    values = [old[i] for i in stays] + new
    if not names:
        return
    now = images_of(names)
    past = history.history_of(now, before_images, written)
    order = full_order(len(names), now, seed)
    neighbors = found_in(values)
    after = history.continued(neighbors, order, past)

    row_of = {name: row for row, name in enumerate(names)}
    for i in stays:
        leader = int(before.keeper[i])
        if leader in row_of:
            assert after.keeper[row_of[i]] == row_of[leader]
            assert after.distance[row_of[i]] == before.distance[i]
    for row, keeper in enumerate(after.keeper.tolist()):
        distance = (values[row] ^ values[keeper]).bit_count()
        assert distance <= 3
        assert after.distance[row] == distance
        assert after.keeper[keeper] == keeper

    old_keepers = [row_of[i] for i in stays if before.keeper[i] == i]
    scratch_order = np.array(
        [r for r in order.tolist() if r in old_keepers]
        + [r for r in order.tolist() if r not in old_keepers],
        np.int64,
    )
    orphans = {row_of[i] for i in stays if int(before.keeper[i]) not in row_of}
    scratch = groups.star(neighbors, scratch_order)
    assert np.array_equal(after.keeper, scratch.keeper)

    heirs = history.successions(now, past, after).to_pylist()
    assert sum(heir["n_images"] for heir in heirs) == len(orphans)
    for heir in heirs:
        assert heir["removed"] in set(before_images["image_id"].to_pylist())
        assert heir["removed"] not in set(now["image_id"].to_pylist())


def test_a_removed_keeper_is_succeeded_by_the_next_in_order_and_it_is_said() -> None:
    near = [CENTRES[0], CENTRES[0] ^ 1, CENTRES[0] ^ 2, CENTRES[0] ^ 3]
    before_images = images_of([0, 1, 2, 3])
    before = groups.star(found_in(near), np.array([0, 1, 2, 3]))
    written = tables.duplicates_table("perceptual", before_images, before)
    now = images_of([1, 2, 3])
    past = history.history_of(now, before_images, written)
    after = history.continued(found_in(near[1:]), np.array([1, 0, 2]), past)
    assert after.keeper.tolist() == [1, 1, 1]
    assert history.successions(now, past, after).to_pylist() == [
        {
            "removed": before_images["image_id"][0].as_py(),
            "successor": now["image_id"][1].as_py(),
            "n_images": 3,
        }
    ]


def test_a_changed_image_is_new_and_its_copies_are_orphans() -> None:
    before_images = images_of([0, 1])
    before = groups.star(found_in([CENTRES[0]] * 2), np.array([0, 1]))
    written = tables.duplicates_table("perceptual", before_images, before)
    changed = pa.concat_tables([images_of([0], "2"), images_of([1], "1")])
    past = history.history_of(changed, before_images, written)
    assert past.keeper.tolist() == [history.NEW, history.ORPHAN]


def test_nothing_to_do_changes_nothing() -> None:
    images = images_of(list(range(6)))
    values = [CENTRES[0], CENTRES[0] ^ 1, CENTRES[1], CENTRES[1] ^ 7, CENTRES[0] ^ 2, 0xFFFF0000FF]
    before = groups.star(found_in(values), np.arange(6))
    written = tables.duplicates_table("perceptual", images, before)
    past = history.history_of(images, images, written)
    assert not past.active.any()
    none = Neighbors.of_rows(6, [], [], [])
    again = history.continued(none, np.arange(6)[::-1], past)
    assert tables.duplicates_table("perceptual", images, again).equals(written)


def test_tables_do_not_hang_on_row_order() -> None:
    rng = np.random.default_rng(0)
    values = [CENTRES[i % 2] ^ int(rng.integers(0, 32)) << 20 for i in range(40)]
    images = images_of(list(range(40)))

    def tables_of(rows: npt.NDArray[np.int64]) -> tuple[pa.Table, pa.Table]:
        mixed = images.take(pa.array(rows))
        neighbors = candidates.expanded(found_in([values[r] for r in rows]))
        stars = groups.star(neighbors, full_order(40, mixed, 1))
        return (
            tables.pairs_table("perceptual", mixed["image_id"], neighbors),
            tables.duplicates_table("perceptual", mixed, stars),
        )

    expected = tables_of(np.arange(40))
    for seed in range(3):
        found = tables_of(np.random.default_rng(seed).permutation(40))
        assert found[0].equals(expected[0])
        assert found[1].equals(expected[1])
    pairs, duplicates = expected
    assert pairs.schema == schema.PAIRS
    assert duplicates.schema == schema.DUPLICATES
    assert all(row["id_a"] < row["id_b"] for row in pairs.to_pylist())
    by_group: dict[bytes, list[dict[str, object]]] = {}
    for row in duplicates.to_pylist():
        by_group.setdefault(row["group_id"], []).append(row)
    for group_id, members in by_group.items():
        assert group_id == min(m["image_id"] for m in members)  # type: ignore[type-var]
        assert sum(bool(m["is_keeper"]) for m in members) == 1
        assert len(members) >= 2


def test_actions() -> None:
    images = images_of([0, 1, 2, 3, 4])
    stars = Stars(np.array([1, 1, 1, 3, 4], np.int32), np.array([1, 0, 2, 0, 0], np.float32))
    duplicates = tables.duplicates_table("perceptual", images, stars)
    ids = images["image_id"].to_pylist()
    reason = f"duplicate:perceptual:{ids[1].hex()}"
    expected = {
        "remove": {0: (False, 0.0, reason), 1: (True, 1.0, None), 2: (False, 0.0, reason)},
        "merge": {0: (False, 0.0, reason), 1: (True, 1.0, None), 2: (False, 0.0, reason)},
        "keep": dict.fromkeys(range(3), (True, 1.0, None)),
        "reweight": dict.fromkeys(range(3), (True, pytest.approx(1 / 3), None)),
    }
    for action, rows in expected.items():
        found = {
            row["image_id"]: (row["keep"], row["weight"], row["reason"])
            for row in tables.selection_of(duplicates, action).to_pylist()
        }
        assert found == {ids[i]: row for i, row in rows.items()}
    with pytest.raises(ConfigError, match="delete"):
        tables.selection_of(duplicates, "delete")


def test_uninformative_hashes_are_refused_and_counted() -> None:
    flat = [0, 1, 1 << 63, 2**64 - 1, 2**64 - 2, 0b111]
    values = [*flat, CENTRES[0], CENTRES[0] ^ 1]
    column = pa.concat_arrays([hashes_of(values), pa.array([None], pa.binary(8))])
    found = candidates.perceptual(column, 6)
    assert found.n_refused == len(flat) + 1
    stars = groups.star(found.neighbors, np.arange(9))
    assert stars.keeper.tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 8]
    wide = candidates.informative(np.array([[0b11111, 0, 0, 0, 0, 0, 0, 0]], np.uint8), 11)
    assert not wide.any(), "two hashes of five bits are within 11 whatever they show"


def test_exact_classes_and_nulls() -> None:
    found = candidates.exact("exact_pixels", pa.array([b"a", None, b"b", b"a", None, b"a"]))
    stars = groups.star(found.neighbors, np.array([5, 4, 3, 2, 1, 0]))
    assert stars.keeper.tolist() == [5, 1, 2, 5, 4, 5]
    assert found.n_refused == 2


def test_any_unites_the_methods() -> None:
    """0 = 1 by pixels, 1 ~ 2 by hash, 2 ~ 3 by embedding; the nearer distance counts."""
    copies = candidates.exact("exact_pixels", pa.array([b"a", b"a", b"b", b"c"])).neighbors
    by_hash = Neighbors.of_rows(4, [1], [2], [3])
    by_vector = Neighbors.of_rows(4, [2, 0], [3, 2], [0.05, 0.09])
    graph = candidates.joined(copies, [(by_hash, 6), (by_vector, 0.1)])
    assert sorted(zip(graph.a.tolist(), graph.b.tolist(), strict=True)) == [(0, 1), (1, 2)]
    assert dict(zip(graph.a.tolist(), graph.distance.tolist(), strict=True)) == pytest.approx(
        {0: 0.5, 1: 0.5}
    )
    assert groups.star(graph, np.array([2, 0, 1, 3])).keeper.tolist() == [2, 2, 2, 2]
    assert groups.star(graph, np.array([0, 1, 2, 3])).keeper.tolist() == [0, 0, 0, 3]


def test_expanded_is_every_pair_or_a_refusal() -> None:
    values = [CENTRES[0]] * 3 + [CENTRES[0] ^ 1] * 2 + [CENTRES[1]]
    full = candidates.expanded(found_in(values))
    pairs = set(zip(full.a.tolist(), full.b.tolist(), strict=True))
    assert pairs == {(a, b) for a in range(5) for b in range(a + 1, 5)}
    assert len(full.a) == 10
    with pytest.raises(hamming.TooManyPairs, match="10 pairs"):
        candidates.expanded(found_in(values), max_pairs=9)


def test_semantic_leaves_out_images_without_an_embedding() -> None:
    rows = [[1.0, 0, 0], None, [0.999, 0.01, 0], [0, 1.0, 0]]
    column = pa.chunked_array([pa.array(rows, pa.list_(pa.float32(), 3))])
    found = candidates.semantic(column, 0.95)
    assert (found.neighbors.a.tolist(), found.neighbors.b.tolist()) == ([0], [2])
    assert found.n_refused == 1
