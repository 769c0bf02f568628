"""What every test shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvdata.engine.session import EngineConfig, Session

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Models' exports lie beside pytest's own cache; Ray's workers inherit where that is."""
    if config.cache is not None:
        os.environ["CVDATA_CACHE"] = str(config.cache.mkdir("cvdata-models"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images for tests; skips where the folder is absent."""
    path = Path(os.environ.get("CVDATA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real images: {path} is absent (set CVDATA_TEST_DATA)")
    return path


@pytest.fixture(scope="session")
def ray_up() -> Iterator[None]:
    """One embedded Ray for all tests of a session; sessions of the tests join it."""
    with Session(EngineConfig("ray", workers=4, object_store_bytes=256 * 1024**2)) as session:
        session.start()
        yield
