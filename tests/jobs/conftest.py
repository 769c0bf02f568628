"""What several tests of jobs start from."""

from pathlib import Path

import pytest

from cvdata.sample import Truth
from tests.jobs.decided import make_decided
from tests.jobs.labelled import make_embedded


@pytest.fixture(scope="session")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The small sample, everything found, decided: (folder, truth). Copy it before changing it."""
    return make_decided(tmp_path_factory.mktemp("decide"))


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The sample with embeddings and groups of copies: (folder, truth). Copy it before changes."""
    return make_embedded(tmp_path_factory.mktemp("embedded"))
