"""Rows that go out -> chunks: split by split, in order or shuffled, cut by rows and bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from cvdata.runs.export_look import U32, Gathered, PlanOptions

SHUFFLE_WINDOW = 1 << 22
"""Rows that are shuffled among each other: all of them up to 4 M."""


@dataclass(frozen=True)
class PlannedChunk:
    """Rows that go out together. Small: it travels to a worker.

    `rows` are the positions in each of `parts`, `order` the place of each row going out among
    them, then the weight of each and whether its name needs its id; as bytes of uint32, uint32,
    float32, bool.
    """

    ordinal: int
    split: str | None
    number: int
    parts: tuple[str, ...]
    rows: tuple[bytes, ...]
    order: bytes
    weights: bytes
    is_apart: bytes

    @property
    def n_rows(self) -> int:
        """How many."""
        return len(self.is_apart)


def chunks_of(found: Gathered, options: PlanOptions) -> Iterator[PlannedChunk]:
    """Split by split, in reading order or shuffled, cut by rows and bytes."""
    part, row, size = np.concatenate(found.part), np.concatenate(found.row), found.sizes()
    weight, split = np.concatenate(found.weight), np.concatenate(found.split)
    is_apart = np.concatenate(found.is_cut) | _repeated(np.concatenate(found.name), len(row))
    key = np.concatenate(found.key)
    ordinal = 0
    for name, code in sorted(found.splits.items(), key=lambda pair: (pair[0] is None, pair[0])):
        places = np.flatnonzero(split == code)
        if options.shuffle is not None:
            places = _shuffled(places, key, options.shuffle)
        for number, (start, end) in enumerate(cuts(size[places], options)):
            at = places[start:end]
            parts, rows, order = _by_part(part[at], row[at])
            yield PlannedChunk(
                ordinal,
                name,
                number,
                tuple(found.parts[p] for p in parts),
                rows,
                order,
                weight[at].astype(np.float32).tobytes(),
                is_apart[at].tobytes(),
            )
            ordinal += 1


def _repeated(names: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.bool_]:
    if not len(names):
        return np.zeros(n, np.bool_)
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] > 1)


def _shuffled(
    places: npt.NDArray[np.int64], key: npt.NDArray[np.uint64], seed: int
) -> npt.NDArray[np.int64]:
    """An order that depends on the ids and the seed alone, window by window."""
    salt = np.uint64(xxhash.xxh3_64_intdigest(b"%d" % seed))
    mixed = (key[places] ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    window = np.arange(len(places)) // SHUFFLE_WINDOW
    return places[np.lexsort((mixed * np.uint64(0xBF58476D1CE4E5B9), window))]


def cuts(sizes: npt.NDArray[np.int64], options: PlanOptions) -> Iterator[tuple[int, int]]:
    """Ranges of at most `chunk_rows` rows and about `chunk_bytes`, never without a row."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = int(np.searchsorted(ends, before + options.chunk_bytes, side="right"))
        end = min(max(end, start + 1), start + options.chunk_rows, len(sizes))
        yield start, end
        start = end


def _by_part(part: U32, row: U32) -> tuple[list[int], tuple[bytes, ...], bytes]:
    """The rows grouped by part, and where each is found in the groups joined."""
    order = np.argsort(part, kind="stable")
    numbers, starts = np.unique(part[order], return_index=True)
    groups = np.split(row[order], starts[1:])
    place = np.empty(len(order), np.uint32)
    place[order] = np.arange(len(order), dtype=np.uint32)
    return numbers.tolist(), tuple(group.tobytes() for group in groups), place.tobytes()
