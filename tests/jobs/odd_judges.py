"""Small predictors whose answers can be worked out by hand: by colour, by brightness."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvdata.models.base import Batch, Floats, Geometry, Pixels, Prediction, Prepared, Task, digest

COLOURS = {"red": (210, 40, 40), "green": (40, 210, 40), "blue": (40, 40, 210)}


def _shrunk(rgb: Pixels) -> Prepared:
    height, width = rgb.shape[:2]
    colour = rgb.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    return Prepared(colour.reshape(1, 1, 3), Geometry(width, height, 1 / width, 1 / height))


@dataclass
class Judge:
    """The nearest of three colours, with scores of all; other weights take green for red."""

    weights: str = "a"
    name: str = "judge"
    task: Task = Task.CLASSIFY
    dimension: None = None
    licence: str = "Apache-2.0"
    labels: Sequence[str] = tuple(COLOURS)
    size: tuple[int, int] = (1, 1)

    @property
    def weights_digest(self) -> str:
        return digest(self.weights)

    @property
    def fingerprint(self) -> str:
        return digest(["judge", self.weights])

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def prepare(self, rgb: Pixels) -> Prepared:
        return _shrunk(rgb)

    def __call__(self, batch: Batch) -> list[Prediction]:
        pixels = np.asarray(batch, np.float32).reshape(len(batch), 1, 3)
        far = np.linalg.norm(pixels - np.array(list(COLOURS.values())), axis=2)
        odds = np.exp(-far / 60)
        scores = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        found = []
        for row in scores:
            order = np.argsort(-row, kind="stable").astype(np.int32)
            if self.weights == "b" and order[0] == 1:
                order = np.array([0, 1, 2], np.int32)
            found.append(Prediction(order, np.sort(row)[::-1].copy()))
        return found


@dataclass
class Colour:
    """The mean colour as a unit vector; `turn` reverses it, as other weights might."""

    turn: bool = False
    name: str = "colour"
    task: Task = Task.EMBED
    dimension: int = 3
    licence: str = "Apache-2.0"
    weights_digest: str = "0" * 64
    labels: Sequence[str] = ()
    size: tuple[int, int] = (1, 1)

    @property
    def fingerprint(self) -> str:
        return digest(["colour", self.turn])

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def prepare(self, rgb: Pixels) -> Prepared:
        return _shrunk(rgb)

    def __call__(self, batch: Batch) -> Floats:
        vectors = np.asarray(batch, np.float32).reshape(len(batch), 3) + 1
        vectors = vectors[:, ::-1] if self.turn else vectors
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass
class Bright:
    """One mask: where the mean of the channels is over 128."""

    name: str = "bright"
    task: Task = Task.SEGMENT
    dimension: None = None
    licence: str = "Apache-2.0"
    weights_digest: str = "0" * 64
    labels: Sequence[str] = ("bright",)
    size: None = None
    fingerprint: str = digest("bright")

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def prepare(self, rgb: Pixels) -> Prepared:
        return Prepared(rgb, Geometry(rgb.shape[1], rgb.shape[0]))

    def __call__(self, batch: Batch) -> list[Prediction]:
        found = []
        for image in batch:
            mask = image.mean(axis=2) > 128
            ids, scores = np.zeros(1, np.int32), np.ones(1, np.float32)
            found.append(Prediction(ids, scores, masks=mask[None]))
        return found
