"""Weights of images by the counts of their classes: published formulas."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]


def inverse_frequency(counts: Mapping[str, float]) -> dict[str, float]:
    """N / (C · n_c): scikit-learn's `balanced`; the mean over all images is 1."""
    total, n_classes = sum(counts.values()), len(counts)
    return {label: total / (n_classes * n) for label, n in counts.items()}


def effective_number(counts: Mapping[str, float], beta: float) -> dict[str, float]:
    """(1 − β) / (1 − β^n_c), scaled to a mean of 1 over classes; β in [0, 1).

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.
    """
    raw = {label: (1 - beta) / (1 - beta**n) for label, n in counts.items()}
    scale = len(raw) / sum(raw.values()) if raw else 1.0
    return {label: weight * scale for label, weight in raw.items()}


def repeat_factors(counts: Mapping[str, int], n_images: int, below: float) -> dict[str, float]:
    """max(1, sqrt(below / f_c)), f_c the share of images with an object of the class; >= 1.

    Gupta et al., LVIS, CVPR 2019. An image is repeated by the largest factor of its objects.
    """
    return {
        label: max(1.0, float(np.sqrt(below * n_images / n))) for label, n in counts.items() if n
    }


def largest(factors: Mapping[str, float], objects: Sequence[Sequence[str] | None]) -> F64:
    """(N,) the largest factor among each image's objects, 1 for an image without any."""
    return np.array(
        [max((factors.get(o, 1.0) for o in own), default=1.0) if own else 1.0 for own in objects],
        np.float64,
    )
