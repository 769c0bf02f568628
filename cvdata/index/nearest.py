"""The k nearest rows by Euclidean distance: exact where that is quick, else IVF, recall measured.

The other indexes are of unit vectors and cosines; embeddings after PCA are not of length one.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.neighbors import F32, I64

F64 = npt.NDArray[np.float64]

EXACT_ROWS = 50_000
"""Up to here every row is compared: 50 µs a query and 128 dimensions."""
TARGET = 0.95
MEASURED_ON = 1000
_BLOCK = 8192


@dataclass(frozen=True)
class Nearest:
    """Rows to search, (n, d) float32, and for many of them a FAISS index of inverted lists.

    `stored` is the serialised index, so that it travels to workers; `recall` is measured: the
    share of the true `k` nearest that it finds, of `MEASURED_ON` rows of its own.
    """

    rows: F32
    stored: npt.NDArray[np.uint8] | None = None
    nprobe: int = 0
    recall: float = 1.0
    tried: dict[int, float] = field(default_factory=dict)

    @classmethod
    def exact(cls, rows: F32) -> "Nearest":
        """Compares every row."""
        return cls(np.ascontiguousarray(rows, np.float32))

    @classmethod
    def build(
        cls,
        rows: F32,
        k: int,
        *,
        seed: int = 0,
        exact_rows: int = EXACT_ROWS,
        target: float = TARGET,
    ) -> "Nearest":
        """Exact up to `exact_rows`; above, lists are probed until recall@k reaches `target`.

        Where no half of the lists does, it compares every row: approximate would not be quicker.
        """
        import faiss

        rows = np.ascontiguousarray(rows, np.float32)
        if len(rows) <= exact_rows:
            return cls(rows)
        faiss.omp_set_num_threads(1)
        n_lists = 1 << round(np.log2(4 * np.sqrt(len(rows))))
        index: Any = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], n_lists)
        index.cp.seed = 1234 + seed
        index.cp.niter = 10
        index.cp.max_points_per_centroid = 64
        index.train(rows)
        index.add(rows)
        some = np.random.default_rng(seed).choice(len(rows), MEASURED_ON, replace=False)
        truth = nearest(cls(rows), rows[some], k)[1]
        tried: dict[int, float] = {}
        nprobe = 4
        while nprobe <= n_lists // 2:
            index.nprobe = nprobe
            _, found = index.search(rows[some], k)
            hits = [np.isin(t, f).sum() for t, f in zip(truth, found, strict=True)]
            tried[nprobe] = float(np.sum(hits) / truth.size)
            if tried[nprobe] >= target:
                return cls(rows, faiss.serialize_index(index), nprobe, tried[nprobe], tried)
            nprobe *= 2
        return cls(rows, tried=tried)

    @cached_property
    def index(self) -> Any:
        """The FAISS index, made once a process."""
        import faiss

        if self.stored is None:
            flat = faiss.IndexFlatL2(self.rows.shape[1])
            flat.add(self.rows)
            return flat
        index: Any = faiss.deserialize_index(self.stored)
        index.nprobe = self.nprobe
        return index

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "index"}


def nearest(reference: Nearest, queries: F32, k: int) -> tuple[F64, I64]:
    """(distances (q, k) float64, rows (q, k)) of the k nearest, nearest first, ties by row.

    Distances are computed from the rows themselves: those of equal rows are exactly 0. Where the
    lists that were probed hold fewer than k rows, the query is compared with every row.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    k = min(k, len(reference.rows))
    distances = np.empty((len(queries), k))
    rows = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), _BLOCK):
        block = np.ascontiguousarray(queries[start : start + _BLOCK], np.float32)
        found = reference.index.search(block, k)[1]
        short = (found < 0).any(axis=1)
        if short.any():
            found[short] = Nearest(reference.rows).index.search(block[short], k)[1]
        exact = _distances(reference.rows, block, found)
        order = np.lexsort((found, exact), axis=1)
        at = slice(start, start + len(block))
        distances[at] = np.take_along_axis(exact, order, 1)
        rows[at] = np.take_along_axis(found, order, 1)
    return distances, rows


def _distances(rows: F32, queries: F32, found: I64) -> F64:
    """(q, k) float64."""
    out = np.empty(found.shape)
    for j in range(found.shape[1]):
        difference = queries.astype(np.float64)
        difference -= rows[found[:, j]]
        out[:, j] = np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return out
