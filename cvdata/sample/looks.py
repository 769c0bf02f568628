"""What flags an image, and what makes two alike: DEFINITIONS computed with Pillow and NumPy alone.

Nothing here comes from cvdata's kernels, measures or issues, so that what the sample promises is
a second opinion on them and not an echo.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy.fft import dctn

THRESHOLDS = {
    "dark": 0.32,
    "light": 0.05,
    "low_information": 0.3,
    "blurry": 0.29,
    "odd_aspect_ratio": 0.35,
}
"""CleanVision 0.3.7: flagged where the score is below."""

NOISY, CLIPPED = 20.0, 0.5
"""cvdata's own: noisy above so many gray levels, clipped above this share of the pixels."""

MARGIN = 1.15
"""A tile's scores are this many times their thresholds: far from any rounding of an encoder."""

MIN_DISTANCE = 14
"""No two images of different groups are nearer in pHash, in any of the eight orientations."""

MAX_CORRELATION = 0.85
"""Nor are two tiles more correlated, at 32 x 32."""


def scores(rgb: npt.NDArray[np.uint8]) -> dict[str, float]:
    """CleanVision's scores of (H, W, 3) pixels, by issue; lower is worse."""
    image = Image.fromarray(np.ascontiguousarray(rgb))
    red, green, blue = (rgb[..., c].astype(np.float64) for c in range(3))
    bright = np.sqrt(0.241 * red * red + 0.691 * green * green + 0.068 * blue * blue) / 255
    width, height = image.size
    return {
        "dark": float(np.percentile(bright, 99)),
        "light": 1 - float(np.percentile(bright, 5)),
        "low_information": min(1.0, 0.1 * float(image.entropy())),
        "blurry": _sharpness(image),
        "odd_aspect_ratio": min(width / height, height / width),
    }


def _sharpness(image: Image.Image) -> float:
    ratio = max(image.size) / 64
    small = image.convert("L")
    if ratio > 1:
        small = small.resize(
            (max(int(image.width // ratio), 1), max(int(image.height // ratio), 1))
        )
    edges = np.asarray(small.filter(ImageFilter.FIND_EDGES), dtype=np.float64)
    blur = 1 - np.exp(-0.01 * np.sqrt(edges.var()))
    spread = 1 - np.exp(-0.01 * np.std(small.histogram()))
    return float(min(1.0, blur + (spread if spread > 0.18 else 0.0)))


def is_gray(rgb: npt.NDArray[np.uint8]) -> bool:
    """Whether R, G and B agree within 2 in every pixel."""
    red, green, blue = (rgb[..., c].astype(np.int16) for c in range(3))
    return all(int(np.abs(a - b).max()) <= 2 for a, b in ((red, green), (green, blue), (red, blue)))


def flags(rgb: npt.NDArray[np.uint8]) -> list[str]:
    """Names of the issues that one image has by its pixels alone."""
    values = scores(rgb)
    named = [name for name, limit in THRESHOLDS.items() if values[name] < limit]
    return named + ["grayscale"] * is_gray(rgb)


def odd_sizes(sides: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of these sqrt(width * height) lie beyond three interquartile ranges."""
    q1, q3 = np.percentile(sides, [25, 75])
    low, high = q1 - 3 * (q3 - q1), q3 + 3 * (q3 - q1)
    score = 1 - np.clip(np.abs(sides - (low + high) / 2) / (high - low), 0, 1)
    return np.asarray(score < 0.5)


def clears_thresholds(rgb: npt.NDArray[np.uint8]) -> bool:
    """Whether no issue is near: every score at least `MARGIN` times its threshold.

    Nor is it gray, clipped by more than a third, or of one colour along an edge as borders are.
    """
    values = scores(rgb)
    is_clear = all(values[n] >= MARGIN * limit for n, limit in THRESHOLDS.items())
    return is_clear and not (is_gray(rgb) or clipped_share(rgb) > 1 / 3 or has_plain_edge(rgb))


def clipped_share(rgb: npt.NDArray[np.uint8]) -> float:
    """Share of pixels that are black or white in gray, 0..1."""
    gray = np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).convert("L"))
    return float(((gray == 0) | (gray == 255)).mean())


def noise_sigma(rgb: npt.NDArray[np.uint8]) -> float:
    """Noise of the gray image, in gray levels. Immerkaer 1996."""
    gray = np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).convert("L"), dtype=np.float64)
    across = gray[:, :-2] - 2 * gray[:, 1:-1] + gray[:, 2:]
    second = across[:-2] - 2 * across[1:-1] + across[2:]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(second).mean())


def has_plain_edge(rgb: npt.NDArray[np.uint8], spread: int = 12) -> bool:
    """Whether a strip along an edge, 4 % deep, is within `spread` of its outermost line's mean."""
    sides = (rgb, rgb[::-1], rgb.swapaxes(0, 1), rgb.swapaxes(0, 1)[::-1])
    strips = [side[: max(1, len(side) // 25)] for side in sides]
    return any(float(np.abs(s - s[0].mean(axis=0)).max()) <= spread for s in strips)


@dataclass
class Looks:
    """The images so far: group, hash, and small view in one orientation; asked for in all eight.

    A group is a tile with all that is made from it: those may, and mostly do, look alike.
    """

    groups: list[str] = field(default_factory=list)
    hashes: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    views: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def admit(self, rgb: npt.NDArray[np.uint8], group: str, max_correlation: float = 1.0) -> bool:
        """Take (H, W, 3) pixels in, unless they are near an image of another group.

        An image without structure has no hash to speak of, one bit is set: it is near to none.
        """
        gray = Image.fromarray(np.ascontiguousarray(rgb)).convert("L")
        small = np.asarray(gray.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
        turns = _turns(small)
        hashes = np.stack([_hash(turn) for turn in turns])
        if hashes[0].sum() <= 1:
            return True
        others = [i for i, known in enumerate(self.groups) if known != group]
        if others:
            known = np.stack([self.hashes[i] for i in others])
            if int((hashes[:, None] != known).sum(axis=2).min()) < MIN_DISTANCE:
                return False
            if max_correlation < 1 and self._likest(turns, others) > max_correlation:
                return False
        self.groups.append(group)
        self.hashes.append(hashes[0])
        self.views.append(_view(small))
        return True

    def _likest(self, turns: list[npt.NDArray[np.float64]], others: list[int]) -> float:
        known = np.stack([self.views[i] for i in others])
        return float((np.stack([_view(turn) for turn in turns]) @ known.T).max())


def _turns(small: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    return [np.rot90(side, k) for side in (small, small.T) for k in range(4)]


def _hash(small: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    low = dctn(small)[:8, :8]
    return np.asarray(low > np.median(low)).ravel()


def _view(small: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean 0 and length 1: the dot product of two views is their correlation."""
    centred = (small - small.mean()).ravel()
    return np.asarray(centred / (float(np.linalg.norm(centred)) or 1.0))
