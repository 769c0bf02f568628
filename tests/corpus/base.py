"""What a case is, and the picture that most cases show."""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image as PilImage

from cvdata.errors import ErrorCode as E


@dataclass(frozen=True)
class Case:
    """`data` under the file name `name` ends as `code`, or decodes where `code` is None.

    `pixels` are the exact (H, W, 3) uint8 expected, where they are known without a decoder; `flags`
    are those that must be set.
    """

    name: str
    data: bytes
    code: E | None = None
    pixels: np.ndarray | None = None
    flags: tuple[str, ...] = ()


@lru_cache
def photo(width: int = 48, height: int = 32, seed: int = 0) -> np.ndarray:
    """A smooth gradient with texture: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]
    noise = rng.integers(-12, 12, (height, width, 3))
    return np.clip(np.stack(planes, axis=2) + noise, 0, 255).astype(np.uint8)


def saved(mode: str, fmt: str, array: np.ndarray | None = None, **options: Any) -> bytes:
    """`array` (the photo by default) converted to `mode` and written by Pillow."""
    image = PilImage.fromarray(photo() if array is None else array)
    image = image if image.mode == mode else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def gray_of(array: np.ndarray) -> np.ndarray:
    """(H, W) -> (H, W, 3), the same value thrice."""
    return np.repeat(array[:, :, None], 3, axis=2).astype(np.uint8)
