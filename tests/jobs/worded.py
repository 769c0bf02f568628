"""A model with a text tower: images by their mean colour, words by the colour that they name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvdata.models.base import Batch, Floats, Geometry, Pixels, Prepared, Task, digest

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3}


@dataclass
class Colours:
    """Mean colour as a unit vector of 3. `lengthen`: text vectors that are too long."""

    lengthen: bool = False
    name: str = "colours"
    task: Task = Task.EMBED
    dimension: int = 3
    licence: str = "Apache-2.0"
    weights_digest: str = "0" * 64
    labels: Sequence[str] = ()
    size: tuple[int, int] = (1, 1)

    @property
    def fingerprint(self) -> str:
        return digest(["colours", self.lengthen])

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def prepare(self, rgb: Pixels) -> Prepared:
        height, width = rgb.shape[:2]
        mean = rgb.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
        return Prepared(mean.reshape(1, 1, 3), Geometry(width, height, 1 / width, 1 / height))

    def __call__(self, batch: Batch) -> Floats:
        return _unit(np.asarray(batch).reshape(len(batch), 3) + np.float32(1))

    def encode_text(self, texts: Sequence[str]) -> Floats:
        vectors = _unit(np.array([COLOURS[t] for t in texts]) + np.float32(1))
        return np.hstack([vectors, vectors]) if self.lengthen else vectors


def _unit(vectors: Floats) -> Floats:
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
