"""Between NumPy and torch, and what makes torch repeat itself."""

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cvdata.augment.scene import Floats, Pixels

if TYPE_CHECKING:
    import torch


@functools.cache
def functional() -> Any:
    """`torchvision.transforms.v2.functional`, imported where it is first needed."""
    import torchvision.transforms.v2.functional as found

    return found


def pin_threads() -> None:
    """One thread for torch and OpenCV: results do not depend on how work was split."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def planes(pixels: Pixels) -> "torch.Tensor":
    """(3, H, W) uint8 tensor of (H, W, 3); shares memory where it may be written to."""
    import torch

    writable = pixels if pixels.flags.writeable else pixels.copy()
    return torch.from_numpy(writable.transpose(2, 0, 1)).contiguous()


def picture(tensor: "torch.Tensor") -> Pixels:
    """(H, W, 3) uint8 of a (3, H, W) tensor."""
    array: Pixels = tensor.contiguous().numpy().transpose(1, 2, 0)
    return array


def layers(masks: Pixels) -> "torch.Tensor":
    """(M, H, W) uint8 tensor of masks."""
    import torch

    return torch.from_numpy(masks if masks.flags.writeable else masks.copy())


def floats(values: Floats) -> "torch.Tensor":
    """A float64 tensor: corners are moved without loss."""
    import torch

    return torch.from_numpy(values.astype(np.float64))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generator of torch at `seed` within, and as it was before afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
