"""What every test shares."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images for tests; skips where the folder is absent."""
    path = Path(os.environ.get("CVDATA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real images: {path} is absent (set CVDATA_TEST_DATA)")
    return path
