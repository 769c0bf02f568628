"""An encoder that takes a known time for each batch."""

import time
from dataclasses import dataclass

from cvdata.models.base import Batch, Floats
from tests.jobs.odd_models import Tiles

SECONDS = 0.2


@dataclass
class Slow(Tiles):
    """Tiles, SECONDS a batch."""

    def __call__(self, batch: Batch) -> Floats:
        time.sleep(SECONDS)
        return super().__call__(batch)
