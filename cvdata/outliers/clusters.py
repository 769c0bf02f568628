"""k-means: distance to the nearest common centre, and the rare clusters by name."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvdata.outliers.embedded import FIT_ROWS
from cvdata.outliers.reference import Reference
from cvdata.outliers.rows import F32, F64, I64, Bools
from cvdata.outliers.settings import Options

MOST_CLUSTERS = 100


@dataclass(frozen=True)
class Cluster:
    """One cluster: images of it in the fitted rows, their share, its commonest label, examples."""

    number: int
    size: int
    share: float
    is_rare: bool
    label: str | None
    label_share: float
    examples: tuple[str, ...]

    @property
    def name(self) -> str:
        """`cluster 7, mostly 'tram'`."""
        mostly = f", mostly {self.label!r}" if self.label is not None else ""
        return f"{'rare ' if self.is_rare else ''}cluster {self.number}{mostly}"

    def told(self) -> dict[str, Any]:
        """For an explanation and the figures."""
        return {
            "name": self.name,
            "number": self.number,
            "size": self.size,
            "share": round(self.share, 6),
            "is_rare": self.is_rare,
            "label": self.label,
            "label_share": round(self.label_share, 4),
            "examples": list(self.examples),
        }


@dataclass(frozen=True)
class KMeansDistance:
    """Distance to the nearest centre of a common cluster; a small group of its own is no refuge.

    Rare clusters are the smallest, while each is below `rare_ratio` of the median cluster and all
    together below `trim` of the rows (after He, Xu, Deng 2003, who call them small clusters).
    """

    centres: F64
    clusters: tuple[Cluster, ...]

    @classmethod
    def fit(
        cls, reference: Reference, options: Options, labels: dict[bytes, str] | None = None
    ) -> "KMeansDistance":
        """Of at most `FIT_ROWS` rows of the reference, unusual ones too: they may be clusters."""
        from sklearn.cluster import KMeans

        rows = reference.subsample(FIT_ROWS)
        vectors = rows.vectors.astype(np.float64)
        k = options.clusters or int(np.clip(np.sqrt(len(vectors) / 2), 1, MOST_CLUSTERS))
        k = min(k, len(vectors))
        estimator = KMeans(k, n_init=3, random_state=options.seed).fit(vectors)
        sizes = np.bincount(estimator.labels_, minlength=k)
        is_rare = rare(sizes, options.rare_ratio, options.trim)
        distances = estimator.transform(vectors)
        clusters = tuple(
            _cluster(i, is_rare, (estimator.labels_, distances), rows.ids, labels or {})
            for i in range(k)
        )
        return cls(estimator.cluster_centers_, clusters)

    def nearest_centre(self, vectors: F32) -> tuple[F64, I64]:
        """(distance to the nearest common centre, number of the nearest cluster of any size)."""
        is_common = np.array([not c.is_rare for c in self.clusters])
        distance, number = np.empty(len(vectors)), np.empty(len(vectors), np.int64)
        for start in range(0, len(vectors), FIT_ROWS):
            block = vectors[start : start + FIT_ROWS].astype(np.float64)
            square = (
                (block**2).sum(axis=1)[:, None]
                - 2 * block @ self.centres.T
                + (self.centres**2).sum(axis=1)
            )
            all_ = np.sqrt(np.maximum(square, 0))
            distance[start : start + len(block)] = all_[:, is_common].min(axis=1)
            number[start : start + len(block)] = all_.argmin(axis=1)
        return distance, number

    def score(self, vectors: F32) -> F64:
        """The distance."""
        return self.nearest_centre(vectors)[0]

    def in_rare(self, vectors: F32) -> Bools:
        """(N,) whether the nearest cluster is a rare one."""
        is_rare = np.array([c.is_rare for c in self.clusters])
        return np.asarray(is_rare[self.nearest_centre(vectors)[1]])

    def explain(self, vectors: F32) -> list[dict[str, Any]]:
        """The cluster that the row is in."""
        return [{"cluster": self.clusters[i].told()} for i in self.nearest_centre(vectors)[1]]


def rare(sizes: I64, ratio: float, most: float) -> Bools:
    """(k,) which clusters are rare: the smallest, below ratio · median and `most` of all."""
    is_rare = np.zeros(len(sizes), np.bool_)
    total = 0
    for i in np.lexsort((np.arange(len(sizes)), sizes)):
        total += int(sizes[i])
        if sizes[i] >= ratio * np.median(sizes) or total > most * sizes.sum():
            break
        is_rare[i] = True
    return is_rare


def _cluster(
    number: int,
    is_rare: Bools,
    assigned: tuple[I64, F64],
    ids: tuple[bytes, ...],
    labels: dict[bytes, str],
) -> Cluster:
    of, distances = assigned
    members = np.flatnonzero(of == number)
    near = members[np.argsort(distances[members, number], kind="stable")]
    named = Counter(labels[ids[i]] for i in members if ids[i] in labels)
    label, n = min(named.items(), key=lambda kv: (-kv[1], kv[0])) if named else (None, 0)
    return Cluster(
        number,
        len(members),
        len(members) / len(of),
        bool(is_rare[number]),
        label,
        n / max(sum(named.values()), 1),
        tuple(ids[i].hex() for i in near[:5]),
    )
