"""Clusters of embeddings to look at, never to drop by; and what SemDeDup would have dropped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata import schema
from cvdata.duplicates import candidates as find
from cvdata.duplicates import explore
from cvdata.duplicates.groups import star
from cvdata.errors import ConfigError
from cvdata.kernels.neighbors import unit_rows
from cvdata.runs.dedup_options import DedupRequest, resolved
from cvdata.vectors import has_direction, matrix
from cvdata.workspace import Change, Workspace

CLUSTERS = pa.schema(
    [
        schema.ISSUES.field("image_id"),
        schema.ISSUES.field("revision"),
        pa.field("method", pa.string(), nullable=False),
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("keep", pa.bool_()),
        pa.field("like", schema.ID),
    ]
)
"""Clusters by method: -1 is noise; `keep` and `like` (whom a dropped image is like) of semdedup."""
MOST = 200_000
"""Images that are clustered: beyond, DBSCAN and the comparison take hours."""
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExploreOptions:
    """`method` of `METHODS`; `n_clusters` 0: the root of the images; `threshold` a cosine."""

    method: str = "semdedup"
    embeddings: str = ""
    threshold: float | None = None
    n_clusters: int = 0
    min_images: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Clustered:
    """(N,) cluster, and for a rule that drops: whether each is kept, and the row it is like."""

    cluster: npt.NDArray[np.int64]
    keep: npt.NDArray[np.bool_] | None = None
    like: npt.NDArray[np.int64] | None = None


def _dbscan(vectors: F32, threshold: float, options: ExploreOptions) -> Clustered:
    return Clustered(explore.dbscan(vectors, threshold, options.min_images))


def _kmeans(vectors: F32, threshold: float, options: ExploreOptions) -> Clustered:
    return Clustered(explore.kmeans(vectors, _n_clusters(vectors, options), options.seed)[0])


def _semdedup(vectors: F32, threshold: float, options: ExploreOptions) -> Clustered:
    n = _n_clusters(vectors, options)
    found = explore.semdedup(vectors, threshold, n, options.seed)
    labels, _ = explore.kmeans(vectors, n, options.seed)
    return Clustered(labels, found.keep, found.like)


METHODS: dict[str, Callable[[F32, float, ExploreOptions], Clustered]] = {
    "dbscan": _dbscan,
    "kmeans": _kmeans,
    "semdedup": _semdedup,
}


def _n_clusters(vectors: F32, options: ExploreOptions) -> int:
    return options.n_clusters or max(1, round(len(vectors) ** 0.5))


def cluster(change: Change, workspace: Workspace, options: ExploreOptions) -> dict[str, Any]:
    """Write the method's rows of `clusters`, those of other methods stay; what they come to."""
    rules = resolved(workspace, _request(options))
    rows = workspace.read(rules.table, ["image_id", "revision", "embedding"])
    known = has_direction(matrix(rows["embedding"]))  # not so where there is no embedding
    rows = rows.filter(pa.array(known)).combine_chunks()
    if not 1 <= len(rows) <= MOST:
        raise ConfigError(
            f"{rules.table} has {len(rows):,} vectors with a direction; exploring takes 1 to "
            f"{MOST:,}: copies are found at any size by `cvdata dedup`"
        )
    vectors = unit_rows(matrix(rows["embedding"]))
    found = METHODS[options.method](vectors, rules.threshold, options)
    threshold = rules.threshold if options.method != "kmeans" else None
    meta = {
        "computed_from": change.base.seq,
        "table": rules.table,
        "threshold": threshold,
        "n_clusters": options.n_clusters,
        "seed": options.seed,
    }
    table = _table(options.method, rows, found)
    change.replace(f"clusters/{options.method}", [table], CLUSTERS, meta=meta)
    sizes = np.bincount(found.cluster[found.cluster >= 0])
    figures = {
        "method": options.method,
        "threshold": threshold,
        "n_images": len(rows),
        "n_clusters": int((sizes > 0).sum()),
        "n_noise": int((found.cluster < 0).sum()),
        "largest": np.sort(sizes[sizes > 0])[::-1][:10].tolist(),
    }
    if found.keep is not None and found.like is not None:
        figures |= _compared(vectors, rules.threshold, found.keep, found.like)
    return figures


def _request(options: ExploreOptions) -> DedupRequest:
    """The table and the cosine; k-means compares with none, so no model need have one."""
    threshold = 1.0 if options.method == "kmeans" else options.threshold
    return DedupRequest(
        ("semantic",), embeddings=options.embeddings, threshold=threshold, is_verified=False
    )


def _table(method: str, rows: pa.Table, found: Clustered) -> pa.Table:
    n = len(rows)
    like = np.full(n, -1, np.int64) if found.like is None else found.like
    columns = {
        "image_id": rows["image_id"],
        "revision": rows["revision"],
        "method": pa.array([method] * n, pa.string()),
        "cluster": pa.array(found.cluster, pa.int64()),
        "keep": pa.nulls(n, pa.bool_()) if found.keep is None else pa.array(found.keep),
        "like": rows["image_id"].take(pa.array(like, mask=like < 0)),
    }
    return pa.table(columns, schema=CLUSTERS)


def _compared(
    vectors: F32,
    threshold: float,
    keep: npt.NDArray[np.bool_],
    like: npt.NDArray[np.int64],
) -> dict[str, int]:
    """SemDeDup beside star groups at the same cosine, without a second look."""
    ours = star(find.semantic(vectors, threshold).neighbors, np.arange(len(vectors)))
    dropped = np.flatnonzero(~keep)
    return {
        "n_dropped": len(dropped),
        "n_dropped_by_stars": int((~ours.is_keeper).sum()),
        "n_dropped_by_both": int((~keep & ~ours.is_keeper).sum()),
        "n_dropped_for_dropped": int((~keep[like[dropped]]).sum()),
        "n_missed_across_clusters": int((keep & ~ours.is_keeper).sum()),
    }


def lines(figures: dict[str, Any]) -> tuple[str, ...]:
    """The figures for a person."""
    cosine = figures["threshold"]
    at = f" at cosine {cosine:g}" if cosine is not None else ""
    n_placed = figures["n_images"] - figures["n_noise"]
    head = (
        f"explore: {figures['method']} puts {n_placed:,} of {figures['n_images']:,} images into "
        f"{figures['n_clusters']:,} clusters{at}, {figures['n_noise']:,} in none",
        f"  largest: {', '.join(f'{n:,}' for n in figures['largest'])}",
    )
    if "n_dropped" not in figures:
        return head
    return (
        *head,
        f"  SemDeDup would drop {figures['n_dropped']:,}, "
        f"{figures['n_dropped_for_dropped']:,} of them for an image that it drops too",
        f"  star groups (cvdata dedup) drop {figures['n_dropped_by_stars']:,}, "
        f"{figures['n_dropped_by_both']:,} in common",
    )
