"""Colour statistics of a small RGB image: HSV, LAB, dominant colours; and colourfulness."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import RGB, compiled

Rgb = npt.NDArray[np.uint8]

_LAB_SCALE = np.array([100 / 255, 1, 1])
_LAB_SHIFT = np.array([0, -128, -128])


def mean_hsv(rgb: Rgb) -> tuple[float | None, float, float]:
    """Mean hue in degrees (0..360), saturation and value (0..1) of (H, W, 3) uint8.

    The hue is the circular mean weighted by chroma; None where no pixel has a colour or hues
    cancel out.
    """
    sums = np.zeros(4, np.float64)
    _sum_hsv(rgb, sums)
    cosine, sine, saturation, value = sums.tolist()
    n = rgb.shape[0] * rgb.shape[1]
    hue = (
        math.degrees(math.atan2(sine, cosine)) % 360
        if math.hypot(sine, cosine) > 1e-6 * n
        else None
    )
    return hue, saturation / n, value / n / 255


@compiled(f"void({RGB}, float64[::1])")
def _sum_hsv(rgb: Any, sums: Any) -> None:
    height, width = rgb.shape[:2]
    for y in range(height):
        for x in range(width):
            r = np.int64(rgb[y, x, 0])
            g = np.int64(rgb[y, x, 1])
            b = np.int64(rgb[y, x, 2])
            top = max(r, g, b)
            chroma = top - min(r, g, b)
            sums[3] += top
            if chroma == 0:
                continue
            sums[2] += chroma / top
            if top == r:
                sextant = (g - b) / chroma
            elif top == g:
                sextant = 2.0 + (b - r) / chroma
            else:
                sextant = 4.0 + (r - g) / chroma
            sums[0] += chroma * math.cos(sextant * math.pi / 3)
            sums[1] += chroma * math.sin(sextant * math.pi / 3)


def to_lab(rgb: Rgb) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 sRGB -> CIE LAB (D65) in OpenCV's bytes: L · 2.55, a + 128, b + 128."""
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.uint8)


def lab_moments(
    lab: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and population std of LAB bytes, in units of L (0..100), a and b (-128..127)."""
    import cv2

    mean, std = cv2.meanStdDev(lab)
    return mean.ravel() * _LAB_SCALE + _LAB_SHIFT, std.ravel() * _LAB_SCALE


def frame_lab(lab: npt.NDArray[np.uint8], share: float = 0.1) -> npt.NDArray[np.float64]:
    """Mean LAB of the outer frame, `share` of each side wide (at least one pixel)."""
    height, width = lab.shape[:2]
    top, left = max(round(height * share), 1), max(round(width * share), 1)
    total = lab.sum(axis=(0, 1), dtype=np.int64)
    inner = lab[top : height - top, left : width - left]
    n = height * width - inner.shape[0] * inner.shape[1]
    mean = (total - inner.sum(axis=(0, 1), dtype=np.int64)) / n
    return np.asarray(mean * _LAB_SCALE + _LAB_SHIFT)


def colorfulness(
    means: tuple[float, float, float], rg_mean_square: float, yb_mean_square: float
) -> float:
    """Colourfulness, 0 (grey) to about 180. Hasler and Süsstrunk 2003.

    From the channel means and the mean squares of rg = R - G and yb = (R + G)/2 - B.
    """
    red, green, blue = means
    rg, yb = red - green, (red + green) / 2 - blue
    variance = max(rg_mean_square - rg * rg, 0) + max(yb_mean_square - yb * yb, 0)
    return math.sqrt(variance) + 0.3 * math.hypot(rg, yb)


def dominant(rgb: Rgb) -> tuple[list[int], list[float]]:
    """Three dominant colours (nine bytes) and their fractions, the largest first.

    k-means (k = 3, Lloyd, at most 16 rounds) over the 16×16×16 colour cells, started from the
    fullest cell and then the cells of greatest count · squared distance: no chance in it. An image
    with fewer than three cells repeats its first colour with fraction 0.
    """
    cells = np.zeros((4096, 4), np.int64)
    centers = np.zeros((3, 3), np.float64)
    weights = np.zeros(3, np.float64)
    _dominant(rgb, cells, centers, weights)
    order = np.argsort(-weights, kind="stable")
    shares = weights[order] / weights.sum()
    colors = np.where(shares[:, None] > 0, centers[order], centers[order[0]])
    return np.rint(colors).astype(int).ravel().tolist(), shares.tolist()


@compiled(f"void({RGB}, int64[:,::1], float64[:,::1], float64[::1])")
def _dominant(rgb: Any, cells: Any, centers: Any, weights: Any) -> None:
    height, width = rgb.shape[:2]
    for y in range(height):
        for x in range(width):
            r, g, b = rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2]
            cell = (np.int64(r >> 4) << 8) | (np.int64(g >> 4) << 4) | np.int64(b >> 4)
            cells[cell, 0] += 1
            cells[cell, 1] += np.int64(r)
            cells[cell, 2] += np.int64(g)
            cells[cell, 3] += np.int64(b)
    used = np.nonzero(cells[:, 0])[0]
    n = used.size
    points = np.empty((n, 3), np.float64)
    counts = np.empty(n, np.float64)
    for i in range(n):
        counts[i] = cells[used[i], 0]
        for c in range(3):
            points[i, c] = cells[used[i], c + 1] / counts[i]
    nearest = np.full(n, np.inf)
    chosen = np.argmax(counts)
    k = min(3, n)
    for m in range(k):
        centers[m] = points[chosen]
        best = -1.0
        for i in range(n):
            distance = 0.0
            for c in range(3):
                distance += (points[i, c] - centers[m, c]) ** 2
            nearest[i] = min(nearest[i], distance)
            if counts[i] * nearest[i] > best:
                best = counts[i] * nearest[i]
                chosen = i
    sums = np.empty((3, 3), np.float64)
    for _ in range(16):
        sums[:] = 0.0
        weights[:] = 0.0
        for i in range(n):
            at = 0
            best = np.inf
            for m in range(k):
                distance = 0.0
                for c in range(3):
                    distance += (points[i, c] - centers[m, c]) ** 2
                if distance < best:
                    best = distance
                    at = m
            weights[at] += counts[i]
            for c in range(3):
                sums[at, c] += counts[i] * points[i, c]
        moved = 0.0
        for m in range(k):
            for c in range(3):
                if weights[m] > 0:
                    center = sums[m, c] / weights[m]
                    moved = max(moved, abs(center - centers[m, c]))
                    centers[m, c] = center
        if moved < 0.05:
            break
