"""PIQE: the share of distortion in an image's active blocks.

Venkatanath, Praneeth, Maruthi, Channappayya, Medasani, "Blind Image Quality Evaluation Using
Perception Based Features", 2015. Needs no model.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cvdata.kernels.jit import jit

BLOCK, SEGMENT = 16, 6
ACTIVE, IMPAIRED = 0.1, 0.1
"""A block is active above this variance; an edge segment below this deviation is impaired."""


def score(gray: npt.NDArray[np.uint8]) -> float:
    """Of (H, W) uint8; 0 … 100, larger is worse; 100 where no block is active."""
    height, width = gray.shape
    pad = ((0, -height % BLOCK), (0, -width % BLOCK))
    brightest = max(int(gray.max()), 1)
    full = np.round(255 * (np.pad(gray, pad, mode="symmetric") / brightest))
    mean, square = _blurred(full), _blurred(full * full)
    normalised = (full - mean) / (np.sqrt(np.abs(square - mean * mean)) + 1)
    distortion, n_active = _distortion(np.ascontiguousarray(normalised, np.float64))
    return float((distortion + 1) / (1 + n_active) * 100)


def _blurred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE))


@jit
def _distortion(rows: Any) -> tuple[float, int]:
    """(distortion summed over the active blocks, how many there are)."""
    total, n_active = 0.0, 0
    for top in range(0, rows.shape[0], BLOCK):
        for left in range(0, rows.shape[1], BLOCK):
            block = rows[top : top + BLOCK, left : left + BLOCK]
            variance = _variance(block.copy().reshape(-1))
            if variance <= ACTIVE:
                continue
            n_active += 1
            if _is_impaired(block):
                total += 1 - variance
            if _is_noisy(block, variance):
                total += variance
    return total, n_active


@jit
def _variance(values: Any) -> float:
    """Of a sample: divided by n - 1."""
    mean = values.mean()
    return float(((values - mean) ** 2).sum() / (values.size - 1))


@jit
def _is_impaired(block: Any) -> bool:
    """Whether a segment of 6 pixels of an edge of the block hardly varies."""
    last = BLOCK - 1
    for start in range(BLOCK - SEGMENT + 1):
        end = start + SEGMENT
        for edge in (block[0], block[last], block[:, 0], block[:, last]):
            if np.sqrt(_variance(edge[start:end].copy())) < IMPAIRED:
                return True
    return False


@jit
def _is_noisy(block: Any, variance: float) -> bool:
    """Whether the two middle columns vary as the surround does.

    The surround lacks column 7 and column 9, where the middle is 7 and 8: so do the published
    implementations, whose second deletion counts after the first.
    """
    middle = np.concatenate((block[:, 7].copy(), block[:, 8].copy()))
    surround = np.empty(BLOCK * (BLOCK - 2))
    n = 0
    for y in range(BLOCK):
        for x in range(BLOCK):
            if x not in (7, 9):
                surround[n] = block[y, x]
                n += 1
    around = np.sqrt(_variance(surround))
    ratio = np.sqrt(_variance(middle)) / around if around > 0 else 0.0
    deviation = np.sqrt(variance)
    beta = abs(deviation - ratio) / max(deviation, ratio)
    return bool(deviation > 2 * beta)
