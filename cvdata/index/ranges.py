"""All pairs within a cosine, approximately, with a recall that is measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.kernels.neighbors import (
    CosinePairs,
    at_least,
    cosine_pairs,
    cross_cosine_pairs,
    decided,
    sorted_pairs,
    unit_rows,
)

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

EXACT_BELOW = 200_000
_QUERIES = 65_536
_SLACK = 1e-3
"""What float32 may lose in half a squared distance; candidates are decided exactly after."""


@dataclass(frozen=True)
class RecallTarget:
    """What an approximate range search must prove: recall on sampled queries against exact.

    `bound` is the least 95 % lower bound that is accepted. Half of the `n_queries` are rows of
    the data; half are rows moved toward another row, to a cosine drawn evenly from threshold to
    1: a clean dataset has too few pairs to bound anything, and those are harder to find.
    """

    bound: float = 0.995
    n_queries: int = 4000
    max_pairs: int = 50_000_000
    seed: int = 0


@dataclass(frozen=True)
class Recall:
    """`found` of `total` true pairs of `n_queries` sampled queries; `lower` is the 95 % bound."""

    found: int
    total: int
    n_queries: int
    lower: float
    nprobe: int
    nlist: int

    def __str__(self) -> str:
        """One line for the log and the report."""
        return (
            f"recall {self.found:,} of {self.total:,} pairs of {self.n_queries:,} queries, "
            f"95 % lower bound {self.lower:.4f}, nprobe {self.nprobe} of {self.nlist}"
        )


def wilson_lower(found: float, total: float, z: float = 1.645) -> float:
    """One-sided 95 % lower bound of a proportion (Wilson 1927); 0 where nothing was seen."""
    if total <= 0:
        return 0.0
    p = found / total
    centre = p + z * z / (2 * total)
    spread = z * np.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return float((centre - spread) / (1 + z * z / total))


def range_pairs(
    vectors: F32, threshold: float, target: RecallTarget = RecallTarget()
) -> tuple[CosinePairs, Recall | None]:
    """All pairs of unit vectors (N, D) with cosine >= `threshold`.

    Exact, and the recall None, below `EXACT_BELOW` rows; an IVF index above, probed as widely as
    the measured recall asks. Every similarity is computed from the vectors themselves, so there
    are no false pairs. Raises `ConfigError` where even every list does not reach the bound.
    """
    if len(vectors) < EXACT_BELOW:
        return cosine_pairs(vectors, threshold, target.max_pairs), None
    return ivf_pairs(vectors, threshold, target)


def ivf_pairs(
    vectors: F32, threshold: float, target: RecallTarget = RecallTarget()
) -> tuple[CosinePairs, Recall]:
    """`range_pairs` by the index at any size."""
    lists = Lists.build(vectors, target.seed)
    recall = _tune(vectors, lists, threshold, target)
    found: list[tuple[I64, I64, npt.NDArray[np.float64]]] = []
    total = 0
    for rows, ids in lists.search(lists.projected, recall.nprobe, threshold, True):
        one = rows != ids
        a, b = np.minimum(rows, ids)[one], np.maximum(rows, ids)[one]
        block = decided(vectors, vectors, (a, b), threshold)
        total += len(block[0])
        if total > 2 * target.max_pairs:
            raise ConfigError(
                f"more than {target.max_pairs:,} pairs have a cosine of at least {threshold}: "
                "raise the threshold"
            )
        found.append(block)
    return sorted_pairs(found), recall


@dataclass(frozen=True)
class Lists:
    """Inverted lists over PCA-projected rows: FAISS trains and assigns, BLAS compares.

    A projection never lengthens a distance, so no pair within the radius leaves it: PCA costs
    candidates, not recall. A list is compared with all the queries that probe it in one matrix
    product, where FAISS's own range search walks it once a query.
    """

    pca: Any
    quantizer: Any
    projected: F32
    order: I64
    offsets: I64

    @classmethod
    def build(cls, vectors: F32, seed: int = 0) -> "Lists":
        """Lists over (N, D) unit vectors: PCA to 128, k-means on a sample."""
        import faiss

        n, d = vectors.shape
        rng = np.random.default_rng(seed)
        n_lists = int(np.clip(2 ** round(np.log2(max(n, 1)) / 2 + 1), 1, 4096))
        sample = vectors[np.sort(rng.choice(n, min(n, 64 * n_lists), replace=False))]
        pca = faiss.PCAMatrix(d, min(d, 128))
        pca.train(sample)
        means = faiss.Kmeans(
            pca.d_out,
            n_lists,
            niter=10,
            seed=1234 + seed,
            gpu=faiss.get_num_gpus() > 0,
            min_points_per_centroid=1,
            max_points_per_centroid=64,
        )
        means.train(pca.apply(sample))
        quantizer = faiss.IndexFlatL2(pca.d_out)
        quantizer.add(np.asarray(means.centroids, np.float32))
        projected = np.empty((n, pca.d_out), np.float32)
        lists = np.empty(n, np.int64)
        for i in range(0, n, _QUERIES):
            projected[i : i + _QUERIES] = pca.apply(vectors[i : i + _QUERIES])
            lists[i : i + _QUERIES] = quantizer.search(projected[i : i + _QUERIES], 1)[1][:, 0]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(lists, minlength=n_lists))])
        return cls(pca, quantizer, projected, np.argsort(lists, kind="stable"), offsets)

    def search(
        self, queries: F32, nprobe: int, threshold: float, is_self: bool = False
    ) -> Iterator[tuple[I64, I64]]:
        """Candidates (row of queries, row of the data) in the `nprobe` nearest lists.

        `queries` are projected. All rows with cosine >= `threshold` in those lists are among the
        candidates, and few others. `is_self`: the queries are the data; each row then asks only
        its own list and those of higher number, so that a pair is sought from one side: half the
        work, and the recall that sampled queries measure.
        """
        asked, lists = self._probes(queries, nprobe, is_self)
        ends = np.searchsorted(lists, np.arange(len(self.offsets)))
        left, right = _augmented(queries, 0), _augmented(self.projected, 1)
        least = np.float32(threshold - 1 - _SLACK)
        for k in range(len(self.offsets) - 1):
            rows = asked[ends[k] : ends[k + 1]]
            members = self.order[self.offsets[k] : self.offsets[k + 1]]
            inside = np.ascontiguousarray(right[members].T)
            for i in range(0, len(rows), _QUERIES // 4):
                some = rows[i : i + _QUERIES // 4]
                hit, at = at_least(left[some] @ inside, least)
                yield some[hit], members[at]

    def _probes(self, queries: F32, nprobe: int, is_self: bool) -> tuple[I64, I64]:
        """(row of queries, list it asks), sorted by list."""
        probes = np.empty((len(queries), nprobe), np.int32)
        for i in range(0, len(queries), _QUERIES):
            probes[i : i + _QUERIES] = self.quantizer.search(queries[i : i + _QUERIES], nprobe)[1]
        flat = np.arange(probes.size)
        if is_self:
            own = np.empty(len(queries), np.int32)
            own[self.order] = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
            flat = np.flatnonzero(probes >= own[:, None])
        lists = probes.reshape(-1)[flat]
        order = np.argsort(lists, kind="stable")
        return flat[order] // nprobe, lists[order].astype(np.int64)


def _augmented(rows: F32, side: int) -> F32:
    """Rows with two columns more, so that left · right is minus half the squared distance."""
    half = -0.5 * np.einsum("nd,nd->n", rows, rows)[:, None]
    ones = np.ones_like(half)
    return np.concatenate([rows, *([half, ones] if side == 0 else [ones, half])], axis=1)


def _tune(vectors: F32, lists: Lists, threshold: float, target: RecallTarget) -> Recall:
    """The smallest doubling of nprobe whose measured recall reaches the bound."""
    queries, own = _queries(vectors, threshold, target)
    truth = cross_cosine_pairs(queries, vectors, threshold, target.max_pairs)
    real = own[truth.a] != truth.b
    query, other = truth.a[real], truth.b[real]
    projected, n, n_lists = lists.pca.apply(queries), len(vectors), len(lists.offsets) - 1
    nprobe = min(8, n_lists)
    while True:
        blocks = list(lists.search(projected, nprobe, threshold))
        keys = np.concatenate([rows * n + ids for rows, ids in blocks])
        hit = np.isin(query * n + other, keys)
        lower = clustered_lower(query, hit, len(queries))
        recall = Recall(int(hit.sum()), len(hit), len(queries), lower, nprobe, n_lists)
        if lower >= target.bound:
            return recall
        if nprobe >= n_lists:
            raise ConfigError(
                f"the index does not reach a recall of {target.bound}: {recall}; "
                "sample more queries or lower the bound"
            )
        nprobe = min(nprobe * 2, n_lists)


def _queries(vectors: F32, threshold: float, target: RecallTarget) -> tuple[F32, I64]:
    """(queries, the row that is no answer to each, -1 for a moved row)."""
    rng = np.random.default_rng(target.seed + 1)
    size = min(len(vectors), max(1, target.n_queries // 2))
    plain = np.sort(rng.choice(len(vectors), size, replace=False))
    start, toward = vectors[rng.choice(len(vectors), (2, size))].astype(np.float64)
    moved = moved_rows(start, toward, rng.uniform(threshold, 1, (size, 1)))
    queries = np.concatenate([vectors[plain], moved])
    return unit_rows(queries), np.concatenate([plain, np.full(size, -1)])


def moved_rows(start: F64, toward: F64, cosine: F64) -> F32:
    """Each unit row of `start` (n, D) turned toward that of `toward`, to `cosine` (n, 1) with it.

    float32 (n, D). Where both are parallel there is no way to turn: the row is `start`'s own.
    """
    across = toward - (start * toward).sum(axis=1, keepdims=True) * start
    norm = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(norm > 1e-6, across / np.maximum(norm, 1e-6), 0)
    moved: F32 = (cosine * start + np.sqrt(1 - cosine**2) * across).astype(np.float32)
    return moved


def clustered_lower(query: I64, hit: npt.NDArray[np.bool_], n_queries: int) -> float:
    """95 % lower bound of the recall over pairs, pairs of one query being one draw.

    Wilson's bound with the effective sample size: pairs / design effect, the design effect that
    of a ratio estimate over clusters (Cochran 1977, §11.3), never below 1.
    """
    total = len(hit)
    if total == 0:
        return 0.0
    sizes = np.bincount(query, minlength=n_queries).astype(float)
    hits = np.bincount(query[hit], minlength=n_queries).astype(float)
    p = hits.sum() / total
    by_cluster = float(((hits - p * sizes) ** 2).sum())
    by_pair = total * p * (1 - p)
    # with every pair found the clusters cannot be told apart: each query counts once
    effect = max(1.0, by_cluster / by_pair) if by_pair > 0 else total / float((sizes > 0).sum())
    return wilson_lower(p * total / effect, total / effect)
