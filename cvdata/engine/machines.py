"""What is refused on a cluster of several machines: paths that only one of them has."""

from collections.abc import Mapping, Sequence
from typing import Any

from cvdata.errors import ConfigError

Nodes = Sequence[Mapping[str, Any]]
"""What `ray.nodes()` says."""


def refuse_private(folder: str, nodes: Nodes) -> None:
    """`ConfigError` where work would be written to a folder that other machines do not have."""
    if folder and (n := _machines(nodes)) > 1:
        raise ConfigError(
            f"the workspace {folder} is a path of one machine, and the cluster has "
            f"{n}: what the others write would be lost. Use a URL that all reach "
            "(s3://, gs://, abfs://), or --shared-workspace for a folder that all of them mount"
        )


def refuse_unreachable(uri: str, nodes: Nodes) -> None:
    """`ConfigError` where `uri` is a path and the machines that would read it are several."""
    is_path = "://" not in uri or uri.startswith("file://")
    if is_path and (n := _machines(nodes)) > 1:
        raise ConfigError(
            f"the image {uri} is at a path of one machine, and the cluster has {n}: the others "
            "would find nothing there. Ingest from a URL that all reach (s3://, gs://, abfs://), "
            "or say --shared-workspace where all of them mount the same folders"
        )


def _machines(nodes: Nodes) -> int:
    return len({node["NodeManagerAddress"] for node in nodes if node["Alive"]})
