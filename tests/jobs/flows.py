"""Pictures and commands that the tests of jobs share."""

from pathlib import Path

import numpy as np
from PIL import Image

from cvdata.cli import main


def make_photos(folder: Path, numbers: range, size: tuple[int, int] = (96, 72)) -> None:
    """Distinct small JPEGs, by number."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        pixels = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:05d}.jpg", quality=85)


def cvdata(*words: object, engine: str = "serial") -> int:
    """Run a job's command in this process."""
    return main([*map(str, words), "--engine", engine])
