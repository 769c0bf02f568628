"""A graph of neighbours that keeps copies as one node."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Neighbors:
    """Who lies within the radius of whom.

    `unit` (N,) int32: rows of one unit are at distance 0 (equal pixels, or equal hash), so a
    thousand copies cost a thousand entries and not half a million pairs. `a`, `b` (P,) int32 are
    pairs of different units, each once; `distance` (P,) float32, lower is nearer.
    """

    unit: I32
    n_units: int
    a: I32
    b: I32
    distance: F32

    @classmethod
    def of_rows(cls, n: int, a: npt.ArrayLike, b: npt.ArrayLike, d: npt.ArrayLike) -> "Neighbors":
        """Plain pairs of n rows, each row its own unit."""
        columns = np.asarray(a, np.int32), np.asarray(b, np.int32), np.asarray(d, np.float32)
        return cls(np.arange(n, dtype=np.int32), n, *columns)
