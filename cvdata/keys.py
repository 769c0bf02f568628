"""Sets of (image_id, revision), compared by the million."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

Uint64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class KeySet:
    """A set of (image_id, revision) pairs, held as 128-bit keys: 16 bytes each.

    `high` is sorted; `low` goes with it. Two pairs share a key with probability 2**-128.
    """

    high: Uint64
    low: Uint64

    def __len__(self) -> int:
        return len(self.high)

    @staticmethod
    def empty() -> "KeySet":
        """The set of nothing."""
        return KeySet(np.empty(0, np.uint64), np.empty(0, np.uint64))

    @staticmethod
    def of(ids: pa.ChunkedArray, revisions: pa.ChunkedArray) -> "KeySet":
        """The keys of two columns of equal length."""
        return _sorted(*key_columns(ids, revisions))

    def union(self, other: "KeySet") -> "KeySet":
        """All keys of both."""
        if not len(other):
            return self
        return _sorted(np.append(self.high, other.high), np.append(self.low, other.low))

    def contains(self, high: Uint64, low: Uint64) -> npt.NDArray[np.bool_]:
        """(N,) bool: which of these keys are in the set."""
        return locate(self.high, self.low, high, low) >= 0

    def overlaps(self, other: "KeySet") -> bool:
        """Whether any key is in both."""
        return bool(self.contains(other.high, other.low).any())

    def n_repeated(self) -> int:
        """How many keys stand more than once."""
        if len(self) < 2:
            return 0
        return int(((np.diff(self.high) == 0) & (np.diff(self.low) == 0)).sum())


def _sorted(high: Uint64, low: Uint64) -> KeySet:
    order = np.lexsort((low, high))
    return KeySet(high[order], low[order])


def locate(high: Uint64, low: Uint64, want_high: Uint64, want_low: Uint64) -> npt.NDArray[np.int64]:
    """(N,) where each wanted key stands among the keys, which are sorted by `high`; -1: nowhere."""
    found = np.full(len(want_high), -1, np.int64)
    at = np.searchsorted(high, want_high)
    unsettled = np.flatnonzero(at < len(high))
    while len(unsettled):
        same = high[at[unsettled]] == want_high[unsettled]
        unsettled = unsettled[same]
        hit = low[at[unsettled]] == want_low[unsettled]
        found[unsettled[hit]] = at[unsettled[hit]]
        unsettled = unsettled[~hit]
        at[unsettled] += 1
        unsettled = unsettled[at[unsettled] < len(high)]
    return found


def id_words(ids: pa.ChunkedArray | pa.Array) -> Uint64:
    """(N, 2) big-endian words of a binary(16) column, in the byte order of the ids."""
    array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.binary(16))
    raw = np.frombuffer(array.buffers()[1] or b"", np.dtype(">u8"))
    start = array.offset * 2
    return raw[start : start + len(array) * 2].reshape(-1, 2).astype(np.uint64)


def key_columns(
    ids: pa.ChunkedArray | pa.Array, revisions: pa.ChunkedArray | pa.Array
) -> tuple[Uint64, Uint64]:
    """The two 64-bit halves of each row's key: id words mixed with a digest of the revision."""
    words = id_words(ids)
    digests = b"".join(xxhash.xxh3_128_digest(str(text).encode()) for text in revisions.to_pylist())
    mix = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    return words[:, 0] ^ mix[:, 0], words[:, 1] ^ mix[:, 1]
