"""Hash search by partitions: cut into tasks however small, the pairs are those of one process."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.duplicates import candidates
from cvdata.duplicates.partition import Partitioning, TaskSize, partitioned
from cvdata.kernels import hamming
from cvdata.kernels.dihedral import nearest_pairs

SMALL = TaskSize(words=40, compares=300, most_slices=5)


def hashes_of(words: np.ndarray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([int(w).to_bytes(8, "big") for w in words], pa.binary(8))])


def cut_of(words: np.ndarray, radius: int, is_dihedral: bool, size: TaskSize) -> Partitioning:
    packed, _ = candidates.packed_hashes(hashes_of(words))
    good = packed[candidates.informative(packed, radius)]
    values = hamming.unique_words(hamming.pack_words(good))[0]
    return partitioned(values, radius, "phash", is_dihedral=is_dihedral, size=size)


def run(cut: Partitioning, words: np.ndarray) -> tuple[dict[int, pa.Table], list[tuple]]:
    """Rows by task, as three ranges would scatter them; and the pairs of every task."""
    tasks: dict[int, list[pa.Table]] = {}
    for piece in np.array_split(words, 3):
        column = hashes_of(piece)
        table = pa.table({"phash": column, "error": pa.nulls(len(column), pa.string())})
        for task, rows in cut.split(table):
            tasks.setdefault(task, []).append(rows)
    whole = {task: pa.concat_tables(parts) for task, parts in tasks.items()}
    return whole, [cut.pairs(task, rows, 1 << 30) for task, rows in whole.items()]


def pairs_of(found: list[tuple], values: np.ndarray) -> list[tuple[int, int, int]]:
    if not found:
        return []
    one, other, bits = (np.concatenate(c) for c in zip(*found, strict=True))
    places = [np.searchsorted(values, side).astype(np.int32) for side in (one, other)]
    return list(zip(*(c.tolist() for c in nearest_pairs(*places, bits)), strict=True))


def local(words: np.ndarray, radius: int, is_dihedral: bool) -> list[tuple[int, int, int]]:
    method = candidates.dihedral if is_dihedral else candidates.perceptual
    found = method(hashes_of(words), radius).neighbors
    columns = found.a.tolist(), found.b.tolist(), found.distance.astype(int).tolist()
    return list(zip(*columns, strict=True))


def crowd(kind: str, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**64, n, dtype=np.uint64)
    if kind == "clustered":
        centres = rng.integers(0, 2**64, 5, dtype=np.uint64)
        flips = [sum(1 << int(b) for b in rng.choice(64, rng.integers(0, 9))) for _ in range(n)]
        words = centres[rng.integers(0, 5, n)] ^ np.array(
            [f % 2**64 for f in flips], dtype=np.uint64
        )
    if kind == "equal":
        words[:] = words[0]
    if kind == "one_band":  # all bits but two of the first sixteen agree: one giant bucket a band
        words[:] = words[0]
        for i in range(n):
            for bit in rng.choice(16, 2, replace=False):
                words[i] ^= np.uint64(1) << np.uint64(bit)
    return words


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["random", "clustered", "equal", "one_band"]),
    st.integers(1, 220),
    st.integers(0, 11),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_partitions_find_what_one_process_finds(
    kind: str, n: int, radius: int, is_dihedral: bool, seed: int
) -> None:
    words = crowd(kind, n, seed)
    cut = cut_of(words, radius, is_dihedral, SMALL)
    values = np.unique(
        [w for w in words if candidates.informative(hamming_bytes(w), radius)[0]]
    ).astype(np.uint64)
    _, found = run(cut, words)
    assert pairs_of(found, values) == local(words, radius, is_dihedral)


def hamming_bytes(word: np.uint64) -> np.ndarray:
    return np.frombuffer(int(word).to_bytes(8, "big"), np.uint8)[None]


def test_each_plain_pair_comes_from_one_task() -> None:
    words = crowd("clustered", 300, 3)
    _, found = run(cut_of(words, 8, False, SMALL), words)
    one, other = (np.concatenate([block[side] for block in found]) for side in (0, 1))
    pairs = {frozenset(pair) for pair in zip(one.tolist(), other.tolist(), strict=True)}
    assert len(pairs) == len(one) > 100


def test_a_giant_bucket_is_shared_and_copies_travel_once() -> None:
    """2,000 hashes three bits from one: tasks share the crowd; 5,000 equal ones are one entry."""
    rng = np.random.default_rng(0)
    words = np.full(2000, 0xABCD_EF01_2345_6789, np.uint64)
    for i in range(len(words)):
        for bit in rng.choice(64, 3, replace=False):
            words[i] ^= np.uint64(1) << np.uint64(bit)
    words = np.concatenate([words, np.full(5000, words[0])])
    cut = cut_of(words, 3, False, TaskSize(words=100_000, compares=5_000, most_slices=16))
    assert max(max(slices) for slices in cut.slices) > 1
    tasks, found = run(cut, words)
    assert max(len(rows) for rows in tasks.values()) <= 3 * 2000, "once a range"
    assert pairs_of(found, np.unique(words)) == local(words, 3, False)
    shares = [len(block[0]) for block in found]
    assert max(shares) < 0.5 * sum(shares)


def test_too_many_pairs_stop_a_task() -> None:
    words = crowd("one_band", 120, 0)
    cut = cut_of(words, 8, False, TaskSize())
    task, rows = max(run(cut, words)[0].items(), key=lambda item: len(item[1]))
    with pytest.raises(hamming.TooManyPairs):
        cut.pairs(task, rows, 10)
