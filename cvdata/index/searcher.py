"""Search in an index: scores that mean the same everywhere, ties by row number, effort as tuned."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cvdata.index.exact import SPARE, Nearest
from cvdata.index.trained import base_of, lists_of
from cvdata.kernels.neighbors import F32, I64, pair_cosines

_GRAPH_EFFORTS = tuple(2**i for i in range(4, 12))
_RANGE_START = 64
BLOCK_FLOATS = 1 << 24
"""Numbers of the vectors that are read again at once, to score them exactly."""


@dataclass(frozen=True)
class Searcher:
    """A filled index of inner products. `effort` is nprobe or efSearch; 0 where there is none."""

    index: Any

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.index.ntotal)

    @property
    def parameter(self) -> str:
        """What can be turned: `nprobe` (lists asked), `efSearch` (nodes kept in sight), or ''."""
        import faiss

        if lists_of(self.index) is not None:
            return "nprobe"
        return "efSearch" if isinstance(base_of(self.index), faiss.IndexHNSW) else ""

    @property
    def efforts(self) -> tuple[int, ...]:
        """The values worth trying, from quick to thorough."""
        if self.parameter == "efSearch":
            return _GRAPH_EFFORTS
        if self.parameter == "nprobe":
            lists = int(lists_of(self.index).nlist)
            doubled = [2**i for i in range(lists.bit_length()) if 2**i < lists]
            return (*doubled, lists)
        return (0,)

    @property
    def effort(self) -> int:
        """What is set."""
        if self.parameter == "nprobe":
            return int(lists_of(self.index).nprobe)
        return int(base_of(self.index).hnsw.efSearch) if self.parameter else 0

    def set_effort(self, value: int) -> None:
        """Set nprobe or efSearch; it is written with the index."""
        if self.parameter == "nprobe":
            lists_of(self.index).nprobe = value
        elif self.parameter == "efSearch":
            base_of(self.index).hnsw.efSearch = value

    @property
    def is_exact(self) -> bool:
        """Whether the index holds the vectors themselves, so that its scores are cosines."""
        import faiss

        plain = faiss.IndexFlat | faiss.IndexIVFFlat | faiss.IndexHNSWFlat
        return isinstance(faiss.downcast_index(self.index), plain)

    def search(self, queries: F32, k: int) -> Nearest:
        """The k best rows of each query (q, D), best first, equal scores by row number.

        Scores are inner products in float64 where the index holds the vectors, else what its
        codes stand for.
        """
        k = min(k, self.n)
        if not k or not len(queries):
            return Nearest.none(len(queries))
        step = max(1, BLOCK_FLOATS // ((k + SPARE) * int(self.index.d)))
        found = [
            self._search(np.ascontiguousarray(queries[start : start + step]), k)
            for start in range(0, len(queries), step)
        ]
        return Nearest(
            np.concatenate([one.scores for one in found]),
            np.concatenate([one.rows for one in found]),
        )

    def _search(self, queries: F32, k: int) -> Nearest:
        asked = k
        while True:
            asked = min(self.n, asked + SPARE)
            if self.is_exact:
                scores, rows, vectors = self.index.search_and_reconstruct(queries, asked)
            else:
                scores, rows = self.index.search(queries, asked)
            # A tie across the cut would let the order of storage decide who is in.
            last = np.where(rows[:, -1] < 0, -np.inf, scores[:, -1])
            if asked == self.n or not (last >= scores[:, k - 1] - 1e-6).any():
                break
            asked *= 2
        found = scores.astype(np.float64)
        if self.is_exact:
            asking = np.repeat(np.arange(len(queries)), asked)
            flat = vectors.reshape(-1, vectors.shape[-1])
            found = pair_cosines(queries, flat, asking, np.arange(len(flat))).reshape(rows.shape)
        found[rows < 0] = -np.inf
        return Nearest(found, rows).best(k)

    def within(self, queries: F32, threshold: float, most: int = 65_536) -> tuple[I64, I64]:
        """(query, row) of what the index finds with a score of at least `threshold`.

        It asks for ever more neighbours until the last one lies below; at most `most` a query.
        """
        asking = np.arange(len(queries))
        found_q: list[I64] = []
        found_rows: list[I64] = []
        k = _RANGE_START
        while len(asking):
            hits = self.search(queries[asking], k)
            is_in = hits.scores >= threshold
            is_done = np.full(len(asking), k >= min(self.n, most))
            if is_in.shape[1]:
                is_done |= ~is_in[:, -1]
            q, c = np.nonzero(is_in & is_done[:, None])
            found_q.append(asking[q])
            found_rows.append(hits.rows[q, c])
            asking = asking[~is_done]
            k *= 4
        empty = np.empty(0, np.int64)
        return np.concatenate([empty, *found_q]), np.concatenate([empty, *found_rows])
