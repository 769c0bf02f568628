"""Hash search cut into tasks: rows -> partitions of a band, a partition -> its pairs.

A partition is a beginning of a band's key. A hash is sent to the partition of its own key and to
those so few flips away as the band allows, so that each task holds all that its keys can meet.
Crowded partitions are shared by several tasks: each takes its part of the left side.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates.candidates import informative, packed_hashes
from cvdata.kernels import hamming
from cvdata.kernels.dihedral import VARIANTS, dihedral_variants
from cvdata.kernels.hamming_join import U64

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
SENT = pa.schema([("word", pa.uint64()), ("side", pa.uint8())])
RIGHT = 0
"""`side` of a row that is met; else the mirror or turn under which it looks for others."""
_SAMPLE, _MIX = 65_536, np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class TaskSize:
    """How large a task may be: hashes held, comparisons made (about 1 ns each)."""

    words: int = 4_000_000
    compares: float = 2e10
    most_slices: int = 256


@dataclass(frozen=True)
class Partitioning:
    """`bits[m]` of the key of band m name a partition, `slices[m]` the tasks that share each."""

    plan: hamming.BandPlan
    bits: tuple[int, ...]
    slices: tuple[tuple[int, ...], ...]
    column: str
    is_dihedral: bool = False

    @property
    def starts(self) -> list[I64]:
        """Number of the first task of each partition, by band."""
        counts = [np.array(slices, np.int64) for slices in self.slices]
        ends = np.cumsum(np.concatenate(counts))
        first = np.concatenate([[0], ends[:-1]])
        cuts = np.cumsum([len(c) for c in counts])[:-1]
        return np.split(first, cuts)

    def split(self, rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        """(task, the hashes that it must hold), each hash once a task and side."""
        packed, _ = packed_hashes(rows.filter(pc.is_null(rows["error"]))[self.column])
        good = packed[informative(packed, self.plan.radius)]
        words = hamming.unique_words(hamming.pack_words(good))[0] if len(good) else None
        if words is None:
            return
        tasks, places, sides = [], [], []
        for band, starts in enumerate(self.starts):
            for task, place, side in self._sent(words, band, starts):
                tasks.append(task)
                places.append(place)
                sides.append(np.full(len(task), side, np.uint8))
        sent, row, seen = np.concatenate(tasks), np.concatenate(places), np.concatenate(sides)
        order = np.argsort(sent, kind="stable")
        ends = np.flatnonzero(np.diff(sent[order])) + 1
        for mine in np.split(order, ends):
            columns = [words[row[mine], 0], seen[mine]]
            yield int(sent[mine[0]]), pa.table([pa.array(c) for c in columns], schema=SENT)

    def _sent(self, words: U64, band: int, starts: I64) -> Iterator[tuple[I64, I64, int]]:
        """(tasks, rows of `words`, side) of one band."""
        spec, slices = self.plan.bands[band], np.array(self.slices[band], np.int64)
        shift = np.uint64(len(spec.key_bits) - self.bits[band])
        own = (hamming.keys_of(words, spec) >> shift).astype(np.int64)
        every = np.arange(len(words))
        for flip in hamming.flip_masks(self.bits[band], spec.radius).astype(np.int64):
            target = own ^ flip
            # of two hashes the one with the lower key looks; under a mirror each looks for itself
            wanted = every if self.is_dihedral else every[target <= own]
            n = slices[target[wanted]]
            within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
            yield np.repeat(starts[target[wanted]], n) + within, np.repeat(wanted, n), RIGHT
        for k in VARIANTS[1:] if self.is_dihedral else ():
            turned = np.ascontiguousarray(dihedral_variants(words)[:, k : k + 1])
            target = (hamming.keys_of(turned, spec) >> shift).astype(np.int64)
            yield starts[target] + _slice_of(words, slices[target]), every, k

    def pairs(self, task: int, rows: pa.Table, limit: int) -> tuple[U64, U64, U8]:
        """The pairs of one task as hashes: (one, other, bits). Raises `hamming.TooManyPairs`."""
        band = int(np.searchsorted([starts[0] for starts in self.starts], task, "right")) - 1
        starts = self.starts[band]
        part = int(np.searchsorted(starts, task, "right")) - 1
        shared = self.slices[band][part], task - int(starts[part])
        side = rows["side"].to_numpy()
        word = rows["word"].to_numpy()
        right = np.unique(word[side == RIGHT])[:, None]
        found = [self._plain(right, band, part, shared, limit)]
        for k in VARIANTS[1:] if self.is_dihedral else ():
            left = np.unique(word[side == k])
            if len(left) and len(right):
                turned = np.ascontiguousarray(dihedral_variants(left[:, None])[:, k : k + 1])
                met = hamming.search_partition(turned, self.plan, band, other=right, limit=limit)
                found.append((left[met.a], right[met.b, 0], met.distance))
        one, other, bits = (np.concatenate(c) for c in zip(*found, strict=True))
        return one, other, bits

    def _plain(
        self, right: U64, band: int, part: int, shared: tuple[int, int], limit: int
    ) -> tuple[U64, U64, U8]:
        """Pairs of hashes as they are, found from the one with the lower key."""
        spec, (n_slices, place) = self.plan.bands[band], shared
        if n_slices == 1:
            met = hamming.search_prefix(right, self.plan, band, (part, self.bits[band]), limit)
            return right[met.a, 0], right[met.b, 0], met.distance
        key = hamming.keys_of(right, spec)
        own = (key >> np.uint64(len(spec.key_bits) - self.bits[band])) == np.uint64(part)
        own &= _slice_of(right, np.full(len(right), n_slices)) == place
        rows = np.flatnonzero(own)
        left = np.ascontiguousarray(right[rows])
        met = hamming.search_partition(left, self.plan, band, other=right, limit=2 * limit)
        a, b = rows[met.a], met.b
        later = (key[a] < key[b]) | ((key[a] == key[b]) & (a < b))
        return right[a[later], 0], right[b[later], 0], met.distance[later]


def _slice_of(words: U64, n_slices: I64) -> I64:
    """(N,) which of `n_slices` tasks a hash belongs to."""
    mixed = (words[:, 0] * _MIX) >> np.uint64(33)
    return (mixed % n_slices.astype(np.uint64)).astype(np.int64)


def partitioned(
    words: U64, radius: int, column: str, *, is_dihedral: bool, size: TaskSize = TaskSize()
) -> Partitioning:
    """How to cut the search of distinct 64-bit hashes (N, 1): even tasks, crowded ones shared."""
    plan = hamming.plan_bands(words, 64, radius)
    sample = words[:: max(1, len(words) // _SAMPLE)]
    scale = (len(words) / max(len(sample), 1)) ** 2 * (len(VARIANTS) if is_dihedral else 0.5)
    bits, slices = [], []
    for band in plan.bands:
        n_bits = _prefix_bits(len(words), band, size.words)
        cost = _compares(sample, band, n_bits) * scale
        wanted = np.ceil(cost / size.compares).clip(1, size.most_slices)
        bits.append(n_bits)
        slices.append(tuple(int(n) for n in wanted))
    return Partitioning(plan, tuple(bits), tuple(slices), column, is_dihedral)


def _prefix_bits(n: int, band: hamming.Band, most: int) -> int:
    """The fewest bits whose partitions hold at most `most` hashes, guests included."""
    for bits in range(min(len(band.key_bits), 12) + 1):
        guests = sum(math.comb(bits, k) for k in range(min(band.radius, bits) + 1))
        if n * guests / 2**bits <= most:
            return bits
    return min(len(band.key_bits), 12)


def _compares(words: U64, band: hamming.Band, bits: int) -> npt.NDArray[np.float64]:
    """(2^bits,) comparisons that the hashes of each partition make."""
    keys, counts = np.unique(hamming.keys_of(words, band), return_counts=True)
    total = np.zeros(len(keys))
    for flip in hamming.flip_masks(len(band.key_bits), band.radius):
        at = np.searchsorted(keys, keys ^ flip).clip(max=max(len(keys) - 1, 0))
        total += np.where(keys[at] == keys ^ flip, counts[at], 0) if len(keys) else 0
    part = (keys >> np.uint64(len(band.key_bits) - bits)).astype(np.int64)
    return np.asarray(np.bincount(part, weights=total * counts, minlength=1 << bits), np.float64)
