"""How fast a model runs here: measured when asked for, kept in the cache, shown in the list."""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from cvdata.errors import ConfigError, ImageError
from cvdata.models.base import Model, digest
from cvdata.models.batching import Runner
from cvdata.models.weights import cache_dir, write_atomically

SECONDS = 2.0
"""Least time that is measured, after the batch size was found."""
N_PICTURES = 128
VARYING = 480, 640
"""(height, width) of the pictures for models that take any size."""
RUNTIMES = ("onnxruntime", "torch", "numpy")


@dataclass(frozen=True)
class Speed:
    """Images/s of the model alone, without decode and resize, on `device` with one thread."""

    images_per_second: float
    batch_size: int
    device: str

    def line(self) -> str:
        """For a person."""
        where = "a core" if self.device == "cpu" else f"on {self.device}"
        return f"{self.images_per_second:,.3g} images/s {where}, {self.batch_size} at once"


def measure(model: Model, device: str = "cpu", seconds: float = SECONDS) -> Speed:
    """Load the model and run it on noise for `seconds`; the result is kept for `kept`.

    Raises `ConfigError` where the model fails on every picture.
    """
    runner = Runner(model, device)
    runner.setup()
    rng = np.random.default_rng(0)
    height, width = model.size or VARYING
    pictures = [
        model.prepare(rng.integers(0, 256, (height, width, 3), np.uint8)) for _ in range(N_PICTURES)
    ]
    n_failed, n, began = 0, 0, time.perf_counter()
    while runner.batch_size is None and time.perf_counter() - began < seconds:
        runner.run(pictures)
    took, began = 0.0, time.perf_counter()
    while took < seconds:
        part = pictures[: runner.batch_size or N_PICTURES]
        n_failed += sum(isinstance(one, ImageError) for one in runner.run(part))
        n += len(part)
        took = time.perf_counter() - began
    if n_failed == n:
        raise ConfigError(f"{model.name} fails on every picture that it was measured with")
    found = Speed(n / took, runner.batch_size or len(part), device)
    _keep(model, found)
    return found


def kept(model: Model, device: str = "cpu") -> Speed | None:
    """What was measured on this machine, with these weights and libraries; None where nothing."""
    path = _path(model, device)
    return Speed(**json.loads(path.read_text())) if path.is_file() else None


def _keep(model: Model, speed: Speed) -> None:
    text = json.dumps(asdict(speed))
    path = _path(model, speed.device)
    write_atomically(path, lambda temporary: _write(temporary, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _path(model: Model, device: str) -> Path:
    """Named by all that makes a speed another one: machine, cores, libraries, model."""
    machine = [platform.node(), platform.machine(), os.cpu_count(), device]
    versions = [_version(name) for name in RUNTIMES]
    return cache_dir() / "speed" / f"{digest([*machine, *versions, model.fingerprint])[:32]}.json"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
