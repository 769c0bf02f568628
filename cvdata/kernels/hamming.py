"""Radius search in Hamming space with recall exactly 1, by banding.

Split the bits into m bands. A pair within radius r = m·a + c differs by at most a bits in one of
the first c + 1 bands, or by at most a − 1 in one of the others (pigeonhole; Norouzi, Punjani and
Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing", 2014). Every bucket is
joined with the buckets whose key differs by so few bits. A key may use fewer bits than its band
has: buckets grow, nothing is lost. A pair belongs to the lowest band in which it collides, so
bands and key ranges can be searched apart and no pair comes twice.
"""

import itertools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.kernels.hamming_join import FULL, I32, U64, band_keys, bucket_order, join_buckets

MAX_KEY_BITS = 24
_SAMPLE = 65_536
_COMPARE, _PROBE, _PLACE = 0.6, 4.0, 60.0  # nanoseconds each: what the cost model weighs


@dataclass(frozen=True)
class Band:
    """`key_bits` of the band make the bucket key; keys within `radius` flips are joined."""

    key_bits: tuple[int, ...]
    radius: int


@dataclass(frozen=True)
class BandPlan:
    """How a search of `radius` over `n_bits` is banded; any plan gives the same pairs."""

    n_bits: int
    radius: int
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class HammingPairs:
    """Pairs of rows: `a` and `b` (P,) int32, `distance` (P,) uint8. In a self search a < b."""

    a: I32
    b: I32
    distance: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.a)


class TooManyPairs(ConfigError):
    """More pairs lie within the radius than `max_pairs`: lower the radius, or group by stars."""


def pack_words(hashes: npt.NDArray[np.uint8]) -> U64:
    """(N, n_bytes) uint8 -> (N, W) uint64, big-endian, padded with zero bits."""
    if hashes.ndim != 2 or hashes.shape[1] == 0:
        raise ConfigError(f"hashes must be (N, n_bytes), not {hashes.shape}")
    n, width = hashes.shape
    padded = np.zeros((n, -(-width // 8) * 8), np.uint8)
    padded[:, :width] = hashes
    return padded.view(">u8").astype(np.uint64)


def unique_words(words: U64) -> tuple[U64, npt.NDArray[np.int64]]:
    """Distinct rows, sorted, and for each row the place of its value among them."""
    if words.shape[1] == 1:
        values, inverse = np.unique(words[:, 0], return_inverse=True)
        return values[:, None], inverse
    values, inverse = np.unique(words, axis=0, return_inverse=True)
    return values, inverse.reshape(-1)


def plan_bands(words: U64, n_bits: int, radius: int, n_other: int | None = None) -> BandPlan:
    """The cheapest banding for these hashes, by size, radius and how even their bits are.

    `words` (N, W); `n_other` rows are searched against them, or each other if None. The most
    even bits are dealt first, so that constant bits (dead weight in a key) are left out.
    """
    if not 0 <= radius < min(n_bits, 256):
        raise ConfigError(f"radius {radius} is not in 0 … {min(n_bits, 256) - 1}")
    sample = words[:: max(1, len(words) // _SAMPLE)]
    columns = [_bit(sample, bit) for bit in range(n_bits)]
    even = np.array([float(column.mean()) if len(column) else 0.5 for column in columns])
    collide = even**2 + (1 - even) ** 2
    order = np.argsort(collide, kind="stable")
    n_pairs = len(words) * (len(words) / 2 if n_other is None else n_other)
    plans = [
        _plan_of(order, collide, (n_bits, radius, m), (len(words), n_pairs))
        for m in range(1, radius + 2)
    ]
    return min(plans, key=lambda scored: scored[0])[1]


def _bit(words: U64, bit: int) -> U64:
    return (words[:, bit // 64] >> np.uint64(63 - bit % 64)) & np.uint64(1)


def _plan_of(
    order: npt.NDArray[np.int64],
    collide: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    size: tuple[int, float],
) -> tuple[float, BandPlan]:
    """(estimated nanoseconds, plan) with m bands, each key as long as is cheapest."""
    n_bits, radius, m = shape
    rows, n_pairs = size
    a, c = divmod(radius, m)
    cost, bands = 0.0, []
    for i in range(m):
        reach = a if i <= c else a - 1
        if reach < 0:
            continue
        bits = order[i::m]
        best = (math.inf, 0)
        for width in range(min(len(bits), MAX_KEY_BITS) + 1):
            n_flips = sum(math.comb(width, k) for k in range(reach + 1))
            buckets = min(float(rows), 2.0**width)
            compares = min(1.0, n_flips * float(np.prod(collide[bits[:width]]))) * n_pairs
            probes = n_flips * buckets * (n_pairs / max(rows, 1)) / max(rows, 1) * 2
            best = min(best, (_COMPARE * compares + _PROBE * probes + 2.0**width, width))
        cost += best[0] + _PLACE * rows
        bands.append(Band(tuple(int(bit) for bit in bits[: best[1]]), reach))
    return cost, BandPlan(n_bits, radius, tuple(bands))


def search_partition(
    words: U64,
    plan: BandPlan,
    band: int,
    part: tuple[int, int] = (0, 1),
    other: U64 | None = None,
    limit: int = 1 << 40,
) -> HammingPairs:
    """The pairs that belong to one band and to part i of n of its keys: one task's work.

    Over all bands and parts each pair within the radius comes exactly once. `words` must be
    distinct rows. With `other` the pairs are (row of words, row of other), else a < b.
    """
    left = _bucketed(words, plan.bands[band])
    right = left if other is None else _bucketed(other, plan.bands[band])
    return _join(left, right, (plan, band), _key_range(left[2], part), other is None, limit)


def search_prefix(
    words: U64, plan: BandPlan, band: int, prefix: tuple[int, int], limit: int = 1 << 40
) -> HammingPairs:
    """The pairs of one band whose lower key begins with `prefix` (value, bits): a < b.

    `words`: distinct rows, at least those whose key's beginning is that or a higher one so few
    flips away as the band allows. Over all bands and prefixes each pair comes exactly once.
    """
    table = _bucketed(words, plan.bands[band])
    value, bits = prefix
    rest = len(plan.bands[band].key_bits) - bits
    return _join(table, table, (plan, band), (value << rest, (value + 1) << rest), True, limit)


def keys_of(words: U64, band: Band) -> U64:
    """(N,) bucket keys of a band, its first bit the highest."""
    bits = np.array(band.key_bits, np.int64)
    return band_keys(words, bits // 64, (63 - bits % 64).astype(np.uint64))


def search(
    words: U64,
    plan: BandPlan,
    other: U64 | None = None,
    n_threads: int = 2,
    max_pairs: int = 1 << 40,
) -> HammingPairs:
    """All pairs within the plan's radius, sorted by (a, b). Raises `TooManyPairs`."""
    blocks = list(iter_pairs(words, plan, other, n_threads, max_pairs))
    if not blocks:
        empty = np.empty(0, np.int32)
        return HammingPairs(empty, empty, np.empty(0, np.uint8))
    a = np.concatenate([block.a for block in blocks])
    b = np.concatenate([block.b for block in blocks])
    d = np.concatenate([block.distance for block in blocks])
    order = np.lexsort((b, a))
    return HammingPairs(a[order], b[order], d[order])


def iter_pairs(
    words: U64,
    plan: BandPlan,
    other: U64 | None = None,
    n_threads: int = 2,
    max_pairs: int = 1 << 40,
) -> Iterator[HammingPairs]:
    """The same pairs in blocks, unsorted, one band's table in memory at a time."""
    found = 0
    with ThreadPoolExecutor(n_threads) as pool:
        for band, spec in enumerate(plan.bands):
            left = _bucketed(words, spec)
            right = left if other is None else _bucketed(other, spec)
            n_parts = 1 if len(words) < 4096 else 32 * n_threads
            join = partial(
                _join, left, right, (plan, band), is_self=other is None, limit=max_pairs - found
            )
            ranges = [_key_range(left[2], (i, n_parts)) for i in range(n_parts)]
            for block in pool.map(join, ranges):
                found += len(block)
                if found > max_pairs:
                    raise TooManyPairs(_too_many(max_pairs, plan.radius))
                if len(block):
                    yield block


def _too_many(max_pairs: int, radius: int) -> str:
    return f"more than {max_pairs:,} pairs lie within radius {radius}: lower the radius"


def _bucketed(words: U64, band: Band) -> Any:
    """(words in bucket order, first column, offsets, order): one band's table."""
    offsets, order = bucket_order(keys_of(words, band), 1 << len(band.key_bits))
    placed = np.ascontiguousarray(words[order])
    return placed, np.ascontiguousarray(placed[:, 0]), offsets, order


def _join(
    left: Any,
    right: Any,
    which: tuple[BandPlan, int],
    keys: tuple[int, int],
    is_self: bool,
    limit: int,
) -> HammingPairs:
    plan, band = which
    spec = plan.bands[band]
    masks = np.zeros((band, left[0].shape[1]), np.uint64)
    for m, lower in enumerate(plan.bands[:band]):
        for bit in lower.key_bits:
            masks[m, bit // 64] |= np.uint64(1) << np.uint64(63 - bit % 64)
    radii = np.array([lower.radius for lower in plan.bands[:band]], np.int64)
    rule = (plan.radius, masks, radii, max(limit, 0))
    flips = flip_masks(len(spec.key_bits), spec.radius)
    n, a, b, d = join_buckets(left, right, flips, keys, rule, is_self)
    if n == FULL:
        raise TooManyPairs(_too_many(limit, plan.radius))
    if is_self:
        a, b = np.minimum(a, b), np.maximum(a, b)
    return HammingPairs(a, b, d)


def _key_range(offsets: npt.NDArray[np.int64], part: tuple[int, int]) -> tuple[int, int]:
    """First and last key of part i of n, cut so that parts hold about as many rows."""
    cuts = [offsets[-1] * i // part[1] for i in (part[0], part[0] + 1)]
    low, high = (int(np.searchsorted(offsets, cut)) for cut in cuts)
    last = len(offsets) - 1
    return (0 if part[0] == 0 else low), (last if part[0] + 1 == part[1] else high)


def flip_masks(width: int, radius: int) -> U64:
    """Every mask over `width` bits with at most `radius` set, fewest first; (F,) uint64."""
    reach = range(min(radius, width) + 1)
    chosen = (itertools.combinations(range(width), k) for k in reach)
    masks = [sum(1 << bit for bit in bits) for bits in itertools.chain.from_iterable(chosen)]
    return np.array(masks, np.uint64)


def probe_tables(words: U64, plan: BandPlan) -> Any:
    """Every band's table side by side, for searches one row at a time (`stars.star_search`).

    (keys (M, N) uint64, offsets (M, K + 1) int64, rows (M, N) int32, flips: M arrays).
    """
    width = max((len(band.key_bits) for band in plan.bands), default=0)
    keys = np.zeros((len(plan.bands), len(words)), np.uint64)
    offsets = np.full((len(plan.bands), (1 << width) + 1), len(words), np.int64)
    rows = np.zeros((len(plan.bands), len(words)), np.int32)
    for m, band in enumerate(plan.bands):
        keys[m] = keys_of(words, band)
        table, rows[m] = bucket_order(keys[m], 1 << len(band.key_bits))
        offsets[m, : len(table)] = table
    flips = tuple(flip_masks(len(band.key_bits), band.radius) for band in plan.bands)
    return keys, offsets, rows, flips
