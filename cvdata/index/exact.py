"""Exact neighbours, block by block: what an index is measured against, and what stands in for one.

Candidates come from float32 products, scores are computed again in float64 for each pair alone, so
that they do not hang on blocks, threads or the BLAS. Ties go to the smaller row number.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.kernels.neighbors import F32, I64, cross_cosine_pairs, pair_cosines

F64 = npt.NDArray[np.float64]

SPARE = 16
"""Candidates beyond k: what float32 may have put in the wrong order."""


@dataclass(frozen=True)
class Nearest:
    """The best rows of each query: `scores` (q, k) float64, descending; `rows` (q, k) int64.

    Where there are fewer than k, the row is -1 and the score -inf.
    """

    scores: F64
    rows: I64

    @staticmethod
    def none(n_queries: int) -> "Nearest":
        """Nothing seen yet."""
        return Nearest(np.empty((n_queries, 0)), np.empty((n_queries, 0), np.int64))

    def best(self, k: int) -> "Nearest":
        """The first k by (score, smaller row)."""
        order = np.lexsort((self.rows, -self.scores))[:, :k]
        return Nearest(
            np.take_along_axis(self.scores, order, 1), np.take_along_axis(self.rows, order, 1)
        )

    def merged(self, other: "Nearest", k: int) -> "Nearest":
        """The best k of both; what they hold must be different rows."""
        scores = np.concatenate([self.scores, other.scores], axis=1)
        return Nearest(scores, np.concatenate([self.rows, other.rows], axis=1)).best(k)


def nearest(queries: F32, own: I64, vectors: F32, rows: I64, k: int) -> Nearest:
    """The k of `vectors` (n, D) nearest to each of `queries` (q, D) by inner product.

    `rows` (n,) are the numbers of the vectors, `own` (q,) the number that is no answer to a query
    (itself), or -1.
    """
    import faiss

    if not len(vectors) or not len(queries):
        return Nearest.none(len(queries))
    wanted = min(len(vectors), k + 1 + SPARE)
    _, at = faiss.knn(queries, vectors, wanted, metric=faiss.METRIC_INNER_PRODUCT)
    asking = np.repeat(np.arange(len(queries)), wanted)
    scores = pair_cosines(queries, vectors, asking, at.reshape(-1)).reshape(at.shape)
    found = rows[at]
    is_own = found == own[:, None]
    scores[is_own] = -np.inf
    found[is_own] = -1
    return Nearest(scores, found).best(k)


def within(queries: F32, own: I64, vectors: F32, rows: I64, threshold: float) -> tuple[I64, I64]:
    """All (query, row) with an inner product of at least `threshold`, but for a query's own row."""
    pairs = cross_cosine_pairs(queries, vectors, threshold)
    found = rows[pairs.b]
    other = found != own[pairs.a]
    return pairs.a[other], found[other]
