"""Drift of embeddings, of the labels that go with them, and the images that drive it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.drift.compare import Check, Limits
from cvdata.drift.distances import F64, Kernel, frechet, share_above
from cvdata.kernels.neighbors import F32

AXES = 32
"""Principal axes of the reference that the Fréchet distance is taken on: with fewer images than
axes the covariances of a full embedding say nothing."""
KERNEL_ROWS = 1500
PERMUTATIONS = 199
NEIGHBORS = 10


@dataclass(frozen=True)
class Embedded:
    """One side: vectors (n, D) of length one, ids (n, 16), labels (n,) codes, -1 for none."""

    vectors: F32
    ids: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drivers:
    """Images of the current side, the least like the reference first: ids (n, 16), scores (n,)."""

    ids: npt.NDArray[np.uint8]
    scores: F64


def compare_embeddings(
    reference: Embedded, current: Embedded, limits: Limits, seed: int
) -> tuple[list[Check], Drivers]:
    """Fréchet distance, MMD, and whether the labels still go with the same pictures."""
    a, b, total = _projected(reference.vectors, current.vectors)
    alpha = limits.alpha / 3
    checks = [_frechet(a, b, total, limits, seed), _mmd(a, b, limits, seed)]
    checks += _agreement(reference, current, limits, alpha)
    return checks, _drivers(a, b, current.ids)


def _projected(a: F32, b: F32) -> tuple[F64, F64, float]:
    """Both on the reference's axes, and the variance of the reference on them."""
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    n = max(1, min(AXES, a.shape[1], len(a) // 4))
    with threadpool_limits(1):
        pca = PCA(n, svd_solver="covariance_eigh").fit(a.astype(np.float64))
        x, y = (pca.transform(rows.astype(np.float64)) for rows in (a, b))
    return x, y, float(pca.explained_variance_.sum())


def _frechet(a: F64, b: F64, total: float, limits: Limits, seed: int) -> Check:
    """As a share of the reference's variance, less what two halves of one set would show."""
    rng = np.random.default_rng(seed)
    pooled = np.concatenate([a, b])
    chance = []
    for _ in range(PERMUTATIONS):
        order = rng.permutation(len(pooled))
        chance.append(frechet(pooled[order[: len(a)]], pooled[order[len(a) :]]))
    value = frechet(a, b)
    p_value = (sum(c >= value for c in chance) + 1) / (PERMUTATIONS + 1)
    usual = float(np.mean(chance))
    excess = max(value - usual, 0.0) / max(total, 1e-12)
    alpha = max(limits.alpha, 1 / PERMUTATIONS)
    return Check(
        "embedding", "frechet", "share", excess, limits.frechet, p_value, alpha, usual, value
    )


def _mmd(a: F64, b: F64, limits: Limits, seed: int) -> Check:
    found = Kernel.of(a[:KERNEL_ROWS], b[:KERNEL_ROWS]).permuted(PERMUTATIONS, seed)
    alpha = max(limits.alpha, 1 / PERMUTATIONS)
    return Check("embedding", "mmd", "mmd2", found.value, limits.mmd, found.p_value, alpha)


def _agreement(reference: Embedded, current: Embedded, limits: Limits, alpha: float) -> list[Check]:
    """How often the reference's neighbours say an image's own label: of its own, of the current.

    A class mix may stay as it was while the labels no longer mean the same.
    """
    from cvdata.index.nearest import Nearest, nearest

    known = reference.labels >= 0
    if known.sum() < 2 * NEIGHBORS or not (current.labels >= 0).any():
        return []
    rows, labels = reference.vectors[known], reference.labels[known]
    voters = Nearest.exact(rows)
    own = nearest(voters, rows, NEIGHBORS + 1)[1]
    is_self = own == np.arange(len(rows))[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    own = own[~is_self].reshape(len(rows), NEIGHBORS)
    mine = current.labels >= 0
    found = nearest(voters, current.vectors[mine], NEIGHBORS)[1]
    hits = [
        int((_majority(labels[at]) == given).sum())
        for at, given in ((own, labels), (found, current.labels[mine]))
    ]
    n, m = len(rows), int(mine.sum())
    distance = share_above(n, hits[0], m, hits[1])
    value = max(-distance.value, 0.0)
    shares = hits[0] / n, hits[1] / m
    return [
        Check(
            "agreement", "labels", "drop", value, limits.agreement, distance.p_value, alpha, *shares
        )
    ]


def _majority(votes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(n,) the commonest of each row; of equals the one that the nearer neighbour bears."""
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    return np.take_along_axis(votes, counts.argmax(axis=1)[:, None], 1)[:, 0]


def _drivers(a: F64, b: F64, ids: npt.NDArray[np.uint8]) -> Drivers:
    kernel = Kernel.of(a[:KERNEL_ROWS], b[:KERNEL_ROWS])
    scores = np.round(kernel.witness(), 6)
    order = np.argsort(-scores, kind="stable")
    return Drivers(ids[order], scores[order])
