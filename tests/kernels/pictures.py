"""Made images: every kind of content, every awkward shape."""

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Rgb = npt.NDArray[np.uint8]

SHAPES = (
    *((1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 2), (3, 3), (7, 5), (8, 8), (8, 9), (15, 16)),
    *((32, 32), (33, 31), (64, 64), (65, 40), (63, 129), (100, 30), (300, 5), (2, 700), (257, 255)),
)


def noise(height: int, width: int, seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def flat(height: int, width: int, seed: int = 0) -> Rgb:
    color = np.random.default_rng(seed).integers(0, 256, 3, np.uint8)
    return np.broadcast_to(color, (height, width, 3)).copy()


def black(height: int, width: int, seed: int = 0) -> Rgb:
    return np.zeros((height, width, 3), np.uint8)


def white(height: int, width: int, seed: int = 0) -> Rgb:
    return np.full((height, width, 3), 255, np.uint8)


def gray(height: int, width: int, seed: int = 0) -> Rgb:
    return np.repeat(noise(height, width, seed)[:, :, :1], 3, axis=2)


def smooth(height: int, width: int, seed: int = 0) -> Rgb:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(0, 0.3, (3, 3))]
    return (127.5 + 127.4 * np.stack(planes, axis=2)).astype(np.uint8)


def blocks(height: int, width: int, seed: int = 0) -> Rgb:
    coarse = noise(-(-height // 8), -(-width // 8), seed)
    return np.ascontiguousarray(coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width])


def symmetric(height: int, width: int, seed: int = 0) -> Rgb:
    """Equal to its mirrors: many coefficients are exactly zero, ties everywhere."""
    half = noise(height, width, seed)
    half = np.minimum(half, half[::-1])
    return np.ascontiguousarray(np.minimum(half, half[:, ::-1]))


KINDS = (noise, flat, black, white, gray, smooth, blocks, symmetric)


@st.composite
def pictures(draw: st.DrawFn, longest: int = 150) -> Rgb:
    """An RGB image of any kind and shape, sides up to `longest`."""
    kind = draw(st.sampled_from(KINDS))
    height = draw(st.integers(1, longest))
    width = draw(st.integers(1, longest))
    return kind(height, width, draw(st.integers(0, 2**16)))
