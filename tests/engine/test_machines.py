"""What a cluster of several machines is told before it begins."""

import pytest

from cvdata.command import engine_config
from cvdata.config import JobConfig
from cvdata.engine.session import refuse_private
from cvdata.errors import ConfigError


def _nodes(*addresses: str, dead: str = "") -> list[dict[str, object]]:
    return [{"NodeManagerAddress": a, "Alive": a != dead} for a in addresses]


def test_a_path_of_one_machine_is_refused_on_several() -> None:
    with pytest.raises(ConfigError, match="--shared-workspace"):
        refuse_private("/results", _nodes("10.0.0.1", "10.0.0.2"))


def test_nodes_of_one_machine_share_its_folders() -> None:
    refuse_private("/results", _nodes("10.0.0.1", "10.0.0.1"))
    refuse_private("/results", _nodes("10.0.0.1", "10.0.0.2", dead="10.0.0.2"))


@pytest.mark.parametrize(
    ("workspace", "is_shared", "expected"),
    [("w", False, "w"), ("w", True, ""), ("s3://bucket/w", False, "")],
)
def test_what_is_private(workspace: str, is_shared: bool, expected: str) -> None:
    config = JobConfig(workspace=workspace, shared_workspace=is_shared)
    assert engine_config(config).private_folder == expected
