"""Embeddings against the truth: retrieval (mAP, precision@k, recall@k) and verification (ROC)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError

Ints = npt.NDArray[np.integer[Any]]
Doubles = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

_BLOCK = 1024


@dataclass(frozen=True)
class Retrieval:
    """Every image as a query among the others; an image of its own class is a hit.

    `precision[k]` is hits among the first k over k; `recall[k]` hits among the first k over all
    there are; `map` the mean of average precision over the whole ranking. `n_queries` are those
    that have any fellow; the others are left out of the means.
    """

    n_queries: int
    map: float
    precision: dict[int, float]
    recall: dict[int, float]


@dataclass(frozen=True)
class Verification:
    """Same or not, by a threshold on the score of a pair. `eer`: both error rates equal."""

    false_accept: Doubles
    true_accept: Doubles
    thresholds: Doubles
    auc: float
    eer: float
    eer_threshold: float

    def true_accept_at(self, false_accept: float) -> float:
        """Share of same pairs accepted where at most this share of others is."""
        allowed = self.true_accept[self.false_accept <= false_accept]
        return float(allowed.max()) if allowed.size else 0.0


def retrieval(vectors: Vectors, labels: Ints, ks: Sequence[int] = (1, 5, 10)) -> Retrieval:
    """Rank by inner product of L2-normalised vectors (n, D); ties by the smaller row number.

    Exact, n² in time, blocks of queries in memory.
    """
    if len(vectors) != len(labels):
        raise ConfigError(f"{len(vectors)} vectors, {len(labels)} labels")
    totals = {"map": 0.0}
    precision, recall = dict.fromkeys(ks, 0.0), dict.fromkeys(ks, 0.0)
    n_queries = 0
    for hits in _hits(vectors, labels):
        n_relevant = hits.sum(axis=1)
        hits, n_relevant = hits[n_relevant > 0], n_relevant[n_relevant > 0]
        n_queries += len(hits)
        found = np.cumsum(hits, axis=1)
        at_hit = hits * found / np.arange(1, hits.shape[1] + 1)
        totals["map"] += float((at_hit.sum(axis=1) / n_relevant).sum())
        for k in ks:
            n_found = found[:, min(k, found.shape[1]) - 1]
            precision[k] += float((n_found / k).sum())
            recall[k] += float((n_found / n_relevant).sum())
    if n_queries == 0:
        raise ConfigError("no two images share a label: retrieval cannot be measured")
    return Retrieval(
        n_queries,
        totals["map"] / n_queries,
        {k: value / n_queries for k, value in precision.items()},
        {k: value / n_queries for k, value in recall.items()},
    )


def _hits(vectors: Vectors, labels: Ints) -> Iterator[npt.NDArray[np.bool_]]:
    """Per block of queries: (queries, n - 1), whether the image at each rank is a fellow."""
    n = len(vectors)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        similarity = vectors[rows] @ vectors.T
        # Last of all whatever its score, then cut off: an image does not find itself.
        similarity[np.arange(len(rows)), rows] = -np.inf
        order = np.argsort(-similarity, axis=1, kind="stable")[:, : n - 1]
        yield labels[order] == labels[rows][:, None]


def verification(
    scores: npt.NDArray[np.floating[Any]], is_same: npt.NDArray[np.bool_]
) -> Verification:
    """ROC of pairs (n,): the higher the score, the more alike. Raises where one kind is missing."""
    from sklearn.metrics import auc, roc_curve

    if is_same.all() or not is_same.any():
        raise ConfigError("verification needs pairs that are the same and pairs that are not")
    false_accept, true_accept, thresholds = roc_curve(is_same, scores, drop_intermediate=False)
    gap = false_accept - (1 - true_accept)
    # Both rates step: the crossing is taken on the line between the two points around it.
    after = int(np.argmax(gap >= 0))
    before = max(after - 1, 0)
    span = gap[after] - gap[before]
    share = -gap[before] / span if span > 0 else 0.0
    eer = false_accept[before] + share * (false_accept[after] - false_accept[before])
    return Verification(
        false_accept,
        true_accept,
        thresholds,
        float(auc(false_accept, true_accept)),
        float(eer),
        float(thresholds[after]),
    )


def pairs(
    vectors: Vectors, labels: Ints, n: int, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(scores, is_same) of up to n same and n other pairs, drawn without order from all pairs."""
    rng = np.random.default_rng(seed)
    same = _same_pairs(labels, n, rng)
    other = _other_pairs(labels, len(same), rng)
    both = np.concatenate([same, other])
    scores = np.einsum("nd,nd->n", vectors[both[:, 0]], vectors[both[:, 1]])
    return scores, np.arange(len(both)) < len(same)


def _same_pairs(labels: Ints, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    every = [np.stack(np.triu_indices(len(r), 1), axis=1) for r in rows]
    found = np.concatenate([r[p] for r, p in zip(rows, every, strict=True)])
    return found[rng.permutation(len(found))[:n]]


def _other_pairs(labels: Ints, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    if len(np.unique(labels)) < 2:
        raise ConfigError("verification needs images of two labels at least")
    drawn: list[npt.NDArray[np.int64]] = []
    while sum(map(len, drawn)) < n:
        some = rng.integers(0, len(labels), (2 * n, 2))
        drawn.append(some[labels[some[:, 0]] != labels[some[:, 1]]])
    return np.concatenate(drawn)[:n] if drawn else np.zeros((0, 2), np.int64)
