"""What several tests of jobs start from."""

from pathlib import Path

import pytest

from cvdata.sample import Truth
from tests.jobs.decided import make_decided


@pytest.fixture(scope="session")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The small sample, everything found, decided: (folder, truth). Copy it before changing it."""
    return make_decided(tmp_path_factory.mktemp("decide"))
