"""What a cluster of several machines is told before it begins."""

import pytest

from cvdata.command import engine_config
from cvdata.config import JobConfig
from cvdata.engine.machines import refuse_private, refuse_unreachable
from cvdata.errors import ConfigError


def _nodes(*addresses: str, dead: str = "") -> list[dict[str, object]]:
    return [{"NodeManagerAddress": a, "Alive": a != dead} for a in addresses]


def test_a_path_of_one_machine_is_refused_on_several() -> None:
    with pytest.raises(ConfigError, match="--shared-workspace"):
        refuse_private("/results", _nodes("10.0.0.1", "10.0.0.2"))


def test_nodes_of_one_machine_share_its_folders() -> None:
    refuse_private("/results", _nodes("10.0.0.1", "10.0.0.1"))
    refuse_private("/results", _nodes("10.0.0.1", "10.0.0.2", dead="10.0.0.2"))


@pytest.mark.parametrize("uri", ["/photos/a.jpg", "file:///photos/a.jpg"])
def test_images_at_a_path_of_one_machine_are_refused_on_several(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"photos/a\.jpg is at a path of one machine.* has 2"):
        refuse_unreachable(uri, _nodes("10.0.0.1", "10.0.0.2"))
    refuse_unreachable(uri, _nodes("10.0.0.1", "10.0.0.1"))


@pytest.mark.parametrize("uri", ["s3://bucket/a.jpg", "gs://bucket/a.jpg", "https://x.org/a.jpg"])
def test_images_that_every_machine_reaches_are_not(uri: str) -> None:
    refuse_unreachable(uri, _nodes("10.0.0.1", "10.0.0.2"))


@pytest.mark.parametrize(
    ("workspace", "is_shared", "expected"),
    [("w", False, "w"), ("w", True, ""), ("s3://bucket/w", False, "")],
)
def test_what_is_private(workspace: str, is_shared: bool, expected: str) -> None:
    config = JobConfig(workspace=workspace, shared_workspace=is_shared)
    engine = engine_config(config)
    assert engine.private_folder == expected
    assert engine.has_shared_paths == is_shared
