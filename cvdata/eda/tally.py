"""Counts of values, in bounded memory."""

from collections.abc import Iterable
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc


class Tally:
    """Exact counts of strings; past `limit` different ones, of a sample of the values.

    The sample is of values, by a hash of the value: what stays has its exact count, the rest is
    summed in `other`. Which values stay depends only on which occurred, never on their order, so
    any order of updates and merges ends in the same tally (adaptive sampling, Wegman 1984).
    """

    __slots__ = ("counts", "level", "limit", "other")

    def __init__(self, limit: int) -> None:
        """An empty tally of at most `limit` values."""
        self.limit = limit
        self.counts: dict[str, int] = {}
        self.other = 0
        self.level = 0

    def add(self, items: Iterable[tuple[str, int]]) -> None:
        """Add (value, count) pairs."""
        for value, n in items:
            if self.level and not _survives(value, self.level):
                self.other += n
            else:
                self.counts[value] = self.counts.get(value, 0) + n
        self._shrink()

    def add_column(self, values: pa.Array | pa.ChunkedArray) -> None:
        """Add the values of a string column without nulls."""
        counted = pc.value_counts(values)
        names, counts = counted.field("values"), counted.field("counts")
        self.add(zip(names.to_pylist(), counts.to_pylist(), strict=True))

    def merge(self, other: "Tally") -> None:
        """Add what `other` has counted."""
        if other.level > self.level:
            self._raise_to(other.level)
        self.other += other.other
        self.add(other.counts.items())

    def ranked(self) -> list[tuple[str, int]]:
        """(value, count), most frequent first, ties by value."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))

    def top(self, n: int) -> tuple[str, ...]:
        """The `n` most frequent values."""
        return tuple(value for value, _ in self.ranked()[:n])

    def _shrink(self) -> None:
        while len(self.counts) > self.limit:
            self._raise_to(self.level + 1)

    def _raise_to(self, level: int) -> None:
        self.level = level
        gone = [value for value in self.counts if not _survives(value, level)]
        self.other += sum(self.counts.pop(value) for value in gone)


def _survives(value: str, level: int) -> bool:
    """Whether the hash of `value` ends in `level` zero bits."""
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & ((1 << level) - 1) == 0
