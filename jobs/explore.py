"""Cluster embeddings to look around: DBSCAN, k-means, SemDeDup's rule; nothing is dropped."""

import sys
from typing import Literal

from pydantic import Field

from cvdata.command import Summary, main
from cvdata.config import JobConfig
from cvdata.runs.explore import ExploreOptions, cluster, lines
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Write clusters/METHOD: for looking; `cvdata dedup` decides what a copy is."""

    method: Literal["dbscan", "kmeans", "semdedup"] = "semdedup"
    """dbscan: by density, it chains; kmeans; semdedup: what Abbas et al. 2023 would drop."""
    embeddings: str = ""
    """Table: the MODEL of embeddings/MODEL; not given: the one there is."""
    threshold: float | None = Field(None, gt=0, le=1)
    """Cosine of dbscan and semdedup; not given: the model's own (cvdata calibrate)."""
    clusters: int = Field(0, ge=0)
    """Clusters of kmeans and semdedup; 0: the square root of the number of images."""
    min_images: int = Field(2, ge=1)
    """Neighbours that make a core of dbscan, itself counted."""
    seed: int = 0
    """Another number starts k-means elsewhere."""


def run(config: Config) -> Summary:
    """Write the clusters."""
    options = ExploreOptions(
        config.method,
        config.embeddings,
        config.threshold,
        config.clusters,
        config.min_images,
        config.seed,
    )
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with workspace.change("explore", config.model_dump(mode="json")) as change:
        if config.dry_run:
            change.cancel()
            rows = sum(part.rows for part in change.records)
            return Summary((f"plan: cluster at most {rows:,} images by {config.method}",))
        figures = cluster(change, workspace, options)
    return Summary(lines(figures), {"explore": figures})


if __name__ == "__main__":
    sys.exit(main(Config, run))
