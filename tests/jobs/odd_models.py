"""A small encoder that can be as bad as the worst: it crashes, raises, or kills its worker."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cvdata.models.base import Batch, Floats, Geometry, Pixels, Prepared, Task, digest

RED, GREEN, BLUE = (254, 0, 0), (0, 255, 1), (0, 0, 254)
"""What JPEG makes of pure colours: red fails the model, green ends the sandbox, blue prepare()."""


@dataclass
class Tiles:
    """Mean colours of 2 x 2 tiles, as a unit vector of 12."""

    kill_once: str = ""
    room: int = 10**9
    log: str = ""
    name: str = "tiles"
    task: Task = Task.EMBED
    dimension: int = 12
    licence: str = "Apache-2.0"
    weights_digest: str = "0" * 64
    labels: Sequence[str] = ()
    size: tuple[int, int] = (2, 2)
    is_ready: bool = field(default=False, init=False)

    @property
    def fingerprint(self) -> str:
        return digest(["tiles", self.kill_once, self.room, self.log])

    def setup(self, device: str) -> None:
        self.is_ready = True
        if self.log:
            gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
            (Path(self.log) / str(os.getpid())).write_text(f"{device} {gpu}")

    def prepare(self, rgb: Pixels) -> Prepared:
        height, width = rgb.shape[:2]
        colour = rgb.reshape(-1, 3).mean(axis=0)
        if np.abs(colour - GREEN).max() < 4:
            os.kill(os.getpid(), signal.SIGSEGV)
        if np.abs(colour - BLUE).max() < 4:
            raise ZeroDivisionError("planted in prepare")
        tiles = [
            [part.reshape(-1, 3).mean(axis=0) for part in np.array_split(row, 2, axis=1)]
            for row in np.array_split(rgb, 2)
        ]
        pixels = np.asarray(tiles).round().astype(np.uint8)
        return Prepared(pixels, Geometry(width, height, 2 / width, 2 / height))

    def __call__(self, batch: Batch) -> Floats:
        assert self.is_ready
        if len(batch) > self.room:
            raise MemoryError("planted: no room for so many")
        if self.kill_once and not Path(self.kill_once).exists():
            Path(self.kill_once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        pixels = np.asarray(batch).reshape(len(batch), 4, 3)
        if (np.abs(pixels.mean(axis=1) - RED).max(axis=1) < 4).any():
            raise ZeroDivisionError("planted in the model")
        vectors = pixels.reshape(len(batch), 12).astype(np.float32) + 1
        unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit
