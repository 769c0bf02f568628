"""Clusters to look at, not to drop by: DBSCAN, k-means, and SemDeDup's rule beside ours."""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


def dbscan(vectors: F32, threshold: float, min_images: int = 2) -> I64:
    """Density clusters of unit vectors (N, D): (N,) int64 cluster, -1 for noise. It chains.

    Neighbours have a cosine of at least `threshold`. Ester et al. 1996, by scikit-learn.
    """
    from sklearn.cluster import DBSCAN

    # for unit vectors |x - y|² = 2 - 2 cos, so the tree indexes apply
    eps = float(np.sqrt(max(2 - 2 * threshold, 1e-12)))
    return np.asarray(DBSCAN(eps=eps, min_samples=min_images).fit_predict(vectors), np.int64)


def kmeans(vectors: F32, n_clusters: int, seed: int = 0) -> tuple[I64, F32]:
    """(cluster of each row (N,), cosine to its normalised centre (N,)) of unit vectors.

    Where fewer rows are distinct than clusters were asked for, some clusters are empty.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    if not 1 <= n_clusters <= len(vectors):
        raise ConfigError(f"{n_clusters} clusters of {len(vectors)} images")
    kind = KMeans if len(vectors) <= 20_000 else MiniBatchKMeans
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said above
        model = kind(n_clusters=n_clusters, n_init=1, random_state=seed).fit(vectors)
    centres = model.cluster_centers_
    centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    labels = np.asarray(model.labels_, np.int64)
    similarity = np.einsum("nd,nd->n", vectors, centres[labels].astype(np.float32))
    return labels, np.asarray(similarity, np.float32)


@dataclass(frozen=True)
class SemDeDup:
    """What SemDeDup drops: `keep` (N,) bool, and `like` (N,) the row it was dropped for, or -1.

    That row may itself be dropped: a chain can remove every image near one that is left out.
    """

    keep: npt.NDArray[np.bool_]
    like: I64


def semdedup(vectors: F32, threshold: float, n_clusters: int, seed: int = 0) -> SemDeDup:
    """The rule of Abbas et al. 2023 (arXiv:2303.09540), method `semdedup`, for comparison.

    Within each k-means cluster, rows from the least like the centre to the most; a row is dropped
    if its cosine to any earlier row, kept or not, is at least `threshold`. Pairs across clusters
    are not seen.
    """
    labels, similarity = kmeans(vectors, n_clusters, seed)
    keep, like = np.ones(len(vectors), bool), np.full(len(vectors), -1, np.int64)
    for cluster in range(n_clusters):
        rows = np.flatnonzero(labels == cluster)
        rows = rows[np.argsort(similarity[rows], kind="stable")]
        for start in range(0, len(rows), 1024):
            block = rows[start : start + 1024]
            product = vectors[block] @ vectors[rows[: start + len(block)]].T
            later = np.arange(product.shape[1])[None, :] >= (start + np.arange(len(block)))[:, None]
            product[later] = -2
            best = product.argmax(axis=1)
            hit = product[np.arange(len(block)), best] >= threshold
            keep[block[hit]] = False
            like[block[hit]] = rows[best[hit]]
    return SemDeDup(keep, like)
