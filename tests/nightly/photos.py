"""Photographs of a night: no issue, no copy, as bright as is asked for."""

from pathlib import Path

import numpy as np
from PIL import Image


def make_photos(photos: Path, numbers: range, brightness: float = 1.0) -> None:
    """Sharp noise on a colour of its own, by number: no issue, no copy."""
    photos.mkdir(exist_ok=True)
    for i in numbers:
        rng = np.random.default_rng(i)
        pixels = rng.normal(rng.uniform(90, 160, 3), 45, (72, 96, 3)).clip(0, 255) * brightness
        path = photos / f"{i:05d}.jpg"
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)
