"""Scenes that the tests of augmentation share."""

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from cvdata.augment import Operation, Scene, build

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))
ODD_SIZES = [(1, 1), (1, 2), (2, 1), (3, 3), (1, 700), (900, 1), (2, 500), (7, 300)]


def smooth(
    height: int, width: int, seed: int = 0, *, is_gray: bool = False
) -> npt.NDArray[np.uint8]:
    """Slow waves of colour: what a photograph is to a warp."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    channels = [
        128
        + 100 * np.sin(x / rng.uniform(5, 30) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(5, 30))
        for _ in range(1 if is_gray else 3)
    ]
    stacked = np.stack(channels * (3 if is_gray else 1), axis=-1)
    return np.clip(np.rint(stacked), 0, 255).astype(np.uint8)


def noisy(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Independent values: shows every pixel that moves."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def a_scene(height: int, width: int, seed: int = 0, *, is_gray: bool = False) -> Scene:
    """A picture with boxes, a mask and keypoints."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, 1, (4, 2, 2)), axis=1) * [width, height]
    mask = np.zeros((1, height, width), np.uint8)
    mask[
        0, height // 4 : height // 4 + height // 2 + 1, width // 4 : width // 4 + width // 2 + 1
    ] = 7
    points = rng.uniform(0, 1, (3, 2)) * [width, height]
    return Scene.of(
        smooth(height, width, seed, is_gray=is_gray), corners.reshape(4, 4), mask, points
    )


def with_partners(scene: Scene, operation: Operation, seed: int = 7) -> Scene:
    """The scene with the partners that the operation mixes in, of other sizes."""
    from dataclasses import replace

    partners = []
    for number in range(1, operation.n_partners + 1):
        picture = smooth(20 + 9 * number, 31 + 5 * number, seed + number)
        boxes = [[2, 3, 17, 12], [0, 0, 31, 20]]
        mask = np.full((1, *picture.shape[:2]), 3, np.uint8)
        partners.append(Scene.of(picture, boxes, mask, [[4, 5]], number))
    return replace(scene, partners=tuple(partners))


def at_zero(kind: type[Operation]) -> Operation:
    """The operation with the fields under which it changes nothing."""
    return build(kind.name, kind.zero)
