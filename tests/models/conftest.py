"""What the model tests share: a cache of their own that outlives a run, and the default model."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cvdata.image import open_image
from cvdata.models import Model, ModelOptions, Task, resolve


@pytest.fixture(scope="session", autouse=True)
def model_cache(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Exports are made once and kept beside pytest's own cache, never in the user's."""
    assert request.config.cache is not None
    path = request.config.cache.mkdir("cvdata-models")
    before = os.environ.get("CVDATA_CACHE")
    os.environ["CVDATA_CACHE"] = str(path)
    yield path
    if before is None:
        del os.environ["CVDATA_CACHE"]
    else:
        os.environ["CVDATA_CACHE"] = before


def default_model(task: Task, **options: object) -> Model:
    """The default model, whose weights `make setup` installs."""
    return resolve("default", ModelOptions(task=task, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def encoder(model_cache: Path) -> Model:
    """The default encoder, on the CPU."""
    model = default_model(Task.EMBED)
    model.setup("cpu")
    return model


@pytest.fixture(scope="session")
def imagenet(shared_data: Path) -> list[np.ndarray]:
    """The 500 sample images, decoded, in the order of their class index 0, 2, 4, …"""
    files = sorted((shared_data / "imagenet_sample").glob("*.JPEG"))
    assert len(files) == 500
    return [open_image(path.read_bytes()).rgb for path in files]
