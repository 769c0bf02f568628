"""Measures and embeddings -> who may be a copy of whom, method by method.

Rows are images; a method sees only those it can say something about. Copies (equal pixels) are
one unit, so a thousand of them cost a thousand entries and not half a million pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError
from cvdata.index import Recall, RecallTarget, range_pairs
from cvdata.kernels import hamming
from cvdata.kernels.dihedral import dihedral_pairs
from cvdata.kernels.graph import F32, I32, Neighbors
from cvdata.kernels.neighbors import unit_rows
from cvdata.vectors import has_direction, matrix

METHODS = ("exact_sha256", "exact_pixels", "perceptual", "dihedral", "semantic", "any")
"""What `method` may be in PAIRS, DUPLICATES and LEAKS; `any` joins all that ran."""


@dataclass(frozen=True)
class Candidates:
    """What one method found. `n_refused` rows could not take part (uninformative or null)."""

    method: str
    neighbors: Neighbors
    n_refused: int = 0
    radius: float = 0.0
    recall: Recall | None = None


def exact(method: str, digests: pa.Array | pa.ChunkedArray) -> Candidates:
    """Rows whose digest (sha256 of the bytes, or digest of the pixels) is equal."""
    column = digests if isinstance(digests, pa.ChunkedArray) else pa.chunked_array([digests])
    codes = column.cast(pa.binary()).combine_chunks().dictionary_encode().indices
    unit = np.array(codes.fill_null(-1), np.int64)
    absent = np.flatnonzero(unit < 0)
    n_units = int(unit.max(initial=-1)) + 1
    unit[absent] = n_units + np.arange(len(absent))
    return Candidates(method, _units_only(unit, n_units + len(absent)), len(absent))


def _units_only(unit: npt.NDArray[np.int64], n_units: int) -> Neighbors:
    no = np.empty(0, np.int32)
    return Neighbors(unit.astype(np.int32), n_units, no, no, np.empty(0, np.float32))


def perceptual(
    hashes: pa.Array | pa.ChunkedArray, radius: int, max_pairs: int = 200_000_000
) -> Candidates:
    """Rows whose hashes (binary[n], null where there is none) differ by at most `radius` bits.

    Raises `hamming.TooManyPairs`; `groups.star_of_hashes` groups even then.
    """
    return _by_hash("perceptual", hashes, radius, max_pairs)


def dihedral(
    hashes: pa.Array | pa.ChunkedArray, radius: int, max_pairs: int = 200_000_000
) -> Candidates:
    """The same for 64-bit DCT hashes, the nearest over the eight mirrors and turns."""
    return _by_hash("dihedral", hashes, radius, max_pairs)


def _by_hash(
    method: str, hashes: pa.Array | pa.ChunkedArray, radius: int, max_pairs: int
) -> Candidates:
    packed, rows = packed_hashes(hashes)
    n_bits = packed.shape[1] * 8
    good = informative(packed, radius)
    words, inverse = hamming.unique_words(hamming.pack_words(packed[good]))
    if method == "dihedral":
        a, b, distance = dihedral_pairs(words, radius, max_pairs)
    else:
        found = hamming.search(
            words, hamming.plan_bands(words, n_bits, radius), max_pairs=max_pairs
        )
        a, b, distance = found.a, found.b, found.distance
    unit, n_units = units_of(len(hashes), rows[good], inverse, len(words))
    neighbors = Neighbors(unit, n_units, a, b, distance.astype(np.float32))
    return Candidates(method, neighbors, n_units - len(words), float(radius))


def units_of(
    n: int, rows: npt.NDArray[np.int64], inverse: npt.NDArray[np.int64], n_words: int
) -> tuple[I32, int]:
    """(unit of each of n rows, how many units): rows that take no part are units of their own."""
    alone = np.ones(n, bool)
    alone[rows] = False
    unit = np.empty(n, np.int32)
    unit[rows] = inverse
    unit[alone] = n_words + np.arange(int(alone.sum()))
    return unit, n_words + int(alone.sum())


def packed_hashes(
    hashes: pa.Array | pa.ChunkedArray,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(hashes that are there (N, n_bytes) uint8, their rows)."""
    width = hashes.type.byte_width if pa.types.is_fixed_size_binary(hashes.type) else 0
    if not width:
        raise ConfigError(f"a hash column must be fixed-size binary, not {hashes.type}")
    rows = np.flatnonzero(np.asarray(pc.is_valid(hashes)))
    joined = b"".join(hashes.take(pa.array(rows)).to_pylist())
    return np.frombuffer(joined, np.uint8).reshape(-1, width), rows


def informative(hashes: npt.NDArray[np.uint8], radius: int) -> npt.NDArray[np.bool_]:
    """Which hashes (N, n_bytes) say anything: neither nearly all bits set nor nearly none.

    Two hashes with at most radius / 2 bits set are within the radius of each other whatever the
    images show (flat images: imagehash#134). At least 4 bits of 64 must be set, and be unset.
    """
    n_bits = hashes.shape[1] * 8
    n_set = np.bitwise_count(hashes).sum(axis=1, dtype=np.int64)
    least = max(n_bits // 16, radius // 2 + 1)
    return np.asarray(np.minimum(n_set, n_bits - n_set) >= least)


def semantic(
    vectors: npt.NDArray[np.floating] | pa.ChunkedArray,
    threshold: float,
    target: RecallTarget = RecallTarget(),
) -> Candidates:
    """Rows whose embeddings have a cosine of at least `threshold`; distance is 1 - cosine.

    `vectors`: (N, D), or a fixed-size list column of which rows that are null, zero or not finite
    take no part.
    """
    n = len(vectors)
    rows, unit = unit_vectors(vectors)
    found, recall = range_pairs(unit, threshold, target)
    a, b = rows[found.a], rows[found.b]
    neighbors = Neighbors.of_rows(n, a, b, 1 - found.similarity)
    return Candidates("semantic", neighbors, n - len(rows), 1 - threshold, recall)


def unit_vectors(
    vectors: npt.NDArray[np.floating] | pa.ChunkedArray,
) -> tuple[npt.NDArray[np.int64], F32]:
    """(rows that have a vector with a direction, those vectors (N, D), L2-normalised)."""
    if not isinstance(vectors, pa.ChunkedArray | pa.Array):
        return np.arange(len(vectors)), unit_rows(vectors)
    whole = matrix(vectors)
    rows = np.flatnonzero(has_direction(whole))
    return rows, unit_rows(whole if len(rows) == len(whole) else whole[rows])


def expanded(neighbors: Neighbors, max_pairs: int = 50_000_000) -> Neighbors:
    """Every pair of rows, those within a unit too, each row its own unit.

    Raises `hamming.TooManyPairs` before anything is laid out.
    """
    sizes = np.bincount(neighbors.unit, minlength=neighbors.n_units).astype(np.int64)
    across = sizes[neighbors.a] * sizes[neighbors.b]
    total = int((sizes * (sizes - 1) // 2).sum()) + int(across.sum())
    if total > max_pairs:
        raise hamming.TooManyPairs(
            f"{total:,} pairs of images, more than {max_pairs:,}: {int(sizes.max()):,} images are "
            "equal to each other; take most of them out of the source, or lower the radius"
        )
    rows = np.argsort(neighbors.unit, kind="stable").astype(np.int32)
    start = np.concatenate([[0], np.cumsum(sizes)])
    blocks: list[tuple[I32, I32, F32]] = []
    for u in np.flatnonzero(sizes > 1):
        members = rows[start[u] : start[u + 1]]
        i, j = np.triu_indices(len(members), 1)
        blocks.append((members[i], members[j], np.zeros(len(i), np.float32)))
    single = across == 1
    first = rows[start[:-1].clip(max=max(len(rows) - 1, 0))] if len(rows) else rows
    blocks.append(
        (first[neighbors.a[single]], first[neighbors.b[single]], neighbors.distance[single])
    )
    for k in np.flatnonzero(across > 1):
        left = rows[start[neighbors.a[k]] : start[neighbors.a[k] + 1]]
        right = rows[start[neighbors.b[k]] : start[neighbors.b[k] + 1]]
        d = np.full(len(left) * len(right), neighbors.distance[k], np.float32)
        blocks.append((np.repeat(left, len(right)), np.tile(right, len(left)), d))
    a, b, distance = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return Neighbors.of_rows(len(neighbors.unit), np.minimum(a, b), np.maximum(a, b), distance)


def joined(copies: Neighbors, methods: Sequence[tuple[Neighbors, float]]) -> Neighbors:
    """All methods as one graph for `any`: its distance is the share of the method's radius used.

    `copies`: the units of equal pixels. `methods`: plain pairs of rows (`expanded`) and the radius
    that divides their distance. Of several distances of one pair the smallest counts.
    """
    lows, highs, scaled = [], [], []
    for neighbors, radius in methods:
        u, v = copies.unit[neighbors.a], copies.unit[neighbors.b]
        apart = u != v
        lows.append(np.minimum(u, v)[apart].astype(np.int64))
        highs.append(np.maximum(u, v)[apart].astype(np.int64))
        scaled.append(neighbors.distance[apart] / np.float32(radius if radius > 0 else 1))
    if not lows:
        return copies
    low, high, distance = np.concatenate(lows), np.concatenate(highs), np.concatenate(scaled)
    order = np.lexsort((distance, high, low))
    low, high, distance = low[order], high[order], distance[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    edges = low[first].astype(np.int32), high[first].astype(np.int32), distance[first]
    return Neighbors(copies.unit, copies.n_units, *edges)
