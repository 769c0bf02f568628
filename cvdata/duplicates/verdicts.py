"""What the second look said of pairs of rows, as sorted arrays: millions fit and are found fast."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNASKED, REFUSED, ACCEPTED = -1, 0, 1


@dataclass(frozen=True)
class Verdicts:
    """`key` (P,) int64, rising, is low · n + high of a pair of n rows; `is_copy` (P,)."""

    n: int
    key: I64
    is_copy: Bools

    @classmethod
    def of(cls, n: int, a: npt.ArrayLike, b: npt.ArrayLike, is_copy: npt.ArrayLike) -> "Verdicts":
        """Pairs in any order, either way round; of several verdicts of a pair the last counts."""
        x, y = np.asarray(a, np.int64), np.asarray(b, np.int64)
        key, told = np.minimum(x, y) * n + np.maximum(x, y), np.asarray(is_copy, bool)
        order = np.argsort(key, kind="stable")
        key, told = key[order], told[order]
        last = np.append(key[1:] != key[:-1], True) if len(key) else np.empty(0, bool)
        return cls(n, key[last], told[last])

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.key)

    @property
    def pairs(self) -> tuple[I64, I64]:
        """(a, b) with a < b, sorted."""
        return self.key // max(self.n, 1), self.key % max(self.n, 1)

    def at(self, a: npt.NDArray[np.integer], b: npt.NDArray[np.integer]) -> I8:
        """(P,) `ACCEPTED`, `REFUSED`, or `UNASKED`."""
        x, y = a.astype(np.int64), b.astype(np.int64)
        if not len(self.key):
            return np.full(len(x), UNASKED, np.int8)
        key = np.minimum(x, y) * self.n + np.maximum(x, y)
        place = np.searchsorted(self.key, key).clip(max=len(self.key) - 1)
        told = np.where(self.is_copy[place], ACCEPTED, REFUSED)
        return np.where(self.key[place] == key, told, UNASKED).astype(np.int8)

    def joined(self, other: "Verdicts") -> "Verdicts":
        """Both; where both speak of a pair, `other` counts."""
        (a, b), (c, d) = self.pairs, other.pairs
        told = np.concatenate([self.is_copy, other.is_copy])
        return Verdicts.of(self.n, np.concatenate([a, c]), np.concatenate([b, d]), told)
