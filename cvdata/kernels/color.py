"""Colour statistics of a small RGB image: HSV, LAB, dominant colours; and colourfulness."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import RGB, compiled

Rgb = npt.NDArray[np.uint8]
Triple = tuple[float, float, float]


def mean_hsv(rgb: Rgb) -> tuple[float | None, float, float]:
    """Mean hue in degrees (0..360), saturation and value (0..1) of (H, W, 3) uint8.

    The hue is the direction of the summed chroma vectors (R - (G + B)/2, √3/2 (G - B)): the
    circular mean of the hues weighted by chroma (Hanbury 2003). None where they cancel out, as in
    a grey image. Saturation is (max - min)/max, 0 for black; value is max/255.
    """
    sums = np.zeros(4, np.float64)
    _sum_hsv(rgb, sums)
    alpha, beta, saturation, value = sums.tolist()
    n = rgb.shape[0] * rgb.shape[1]
    hue = math.degrees(math.atan2(beta, alpha)) % 360 if alpha or beta else None
    return hue, saturation / n, value / n / 255


@compiled(f"void({RGB}, float64[::1])")
def _sum_hsv(rgb: Any, sums: Any) -> None:
    height, width = rgb.shape[:2]
    half_red_chroma = np.int64(0)
    green_over_blue = np.int64(0)
    values = np.int64(0)
    for y in range(height):
        line = rgb[y]
        for x in range(width):
            r, g, b = np.int64(line[x, 0]), np.int64(line[x, 1]), np.int64(line[x, 2])
            top = max(max(r, g), b)
            half_red_chroma += 2 * r - g - b
            green_over_blue += g - b
            values += top
            if top > 0:
                sums[2] += (top - min(min(r, g), b)) / top
    sums[0] = half_red_chroma / 2.0
    sums[1] = green_over_blue * math.sqrt(3.0) / 2.0
    sums[3] = values


def to_lab(rgb: Rgb) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 sRGB -> CIE LAB (D65) in OpenCV's bytes: L · 2.55, a + 128, b + 128."""
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.uint8)


def _lab(level: float, a: float, b: float) -> Triple:
    return level * 100 / 255, a - 128, b - 128


def lab_moments(lab: npt.NDArray[np.uint8]) -> tuple[Triple, Triple]:
    """Mean and population std of LAB bytes, in units of L (0..100), a and b (-128..127)."""
    import cv2

    mean, std = cv2.meanStdDev(lab)
    spread = std.ravel().tolist()
    return _lab(*mean.ravel().tolist()), (spread[0] * 100 / 255, spread[1], spread[2])


def frame_lab(lab: npt.NDArray[np.uint8], share: float = 0.1) -> Triple:
    """Mean LAB of the outer frame of LAB bytes, `share` of each side wide (at least one pixel)."""
    import cv2

    height, width = lab.shape[:2]
    top, left = max(round(height * share), 1), max(round(width * share), 1)
    inner = lab[top : height - top, left : width - left]
    n = height * width - inner.shape[0] * inner.shape[1]
    sums = cv2.sumElems(lab)
    inside = cv2.sumElems(inner) if inner.size else (0.0, 0.0, 0.0)
    return _lab(*((sums[c] - inside[c]) / n for c in range(3)))


def colorfulness(means: Triple, rg_mean_square: float, yb_mean_square: float) -> float:
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
    cells = np.zeros((4096, 4), np.int32)
    _fill_cells(rgb, cells)
    points = np.empty((4096, 4), np.float64)
    n = _gather(cells, points)
    centers = np.zeros((3, 3), np.float64)
    _start(points[:n], centers)
    weights = np.zeros(3, np.float64)
    _settle(points[:n], centers, weights)
    ranked = sorted(zip(weights.tolist(), centers.tolist(), strict=True), key=lambda c: -c[0])
    total = rgb.shape[0] * rgb.shape[1]
    colors = [center if weight > 0 else ranked[0][1] for weight, center in ranked]
    return [round(c) for color in colors for c in color], [weight / total for weight, _ in ranked]


@compiled("int64(int32[:,::1], float64[:,::1])")
def _gather(cells: Any, points: Any) -> Any:
    """Mean R, G, B and count of each cell in use, one a row of `points`; how many there are."""
    n = np.int64(0)
    for i in range(4096):
        if cells[i, 0] > 0:
            for c in range(3):
                points[n, c] = cells[i, c + 1] / cells[i, 0]
            points[n, 3] = cells[i, 0]
            n += 1
    return n


@compiled(f"void({RGB}, int32[:,::1])")
def _fill_cells(rgb: Any, cells: Any) -> None:
    height, width = rgb.shape[:2]
    for y in range(height):
        line = rgb[y]
        for x in range(width):
            r, g, b = np.int64(line[x, 0]), np.int64(line[x, 1]), np.int64(line[x, 2])
            cell = cells[((r >> 4) << 8) | ((g >> 4) << 4) | (b >> 4)]
            cell[0] += 1
            cell[1] += np.int32(r)
            cell[2] += np.int32(g)
            cell[3] += np.int32(b)


@compiled("void(float64[:,::1], float64[:,::1])")
def _start(points: Any, centers: Any) -> None:
    n = points.shape[0]
    far = np.full(n, np.inf)
    chosen: Any = np.argmax(points[:, 3])
    for m in range(3):
        centers[m] = points[chosen, :3]
        most = -1.0
        for i in range(n):
            distance = 0.0
            for c in range(3):
                distance += (points[i, c] - centers[m, c]) ** 2
            far[i] = min(far[i], distance)
            if points[i, 3] * far[i] > most:
                most = points[i, 3] * far[i]
                chosen = i


@compiled("void(float64[:,::1], float64[:,::1], float64[::1])")
def _settle(points: Any, centers: Any, weights: Any) -> None:
    sums = np.empty((3, 3), np.float64)
    for _ in range(16):
        sums[:] = 0.0
        weights[:] = 0.0
        for i in range(points.shape[0]):
            nearest = 0
            least = np.inf
            for m in range(3):
                distance = 0.0
                for c in range(3):
                    distance += (points[i, c] - centers[m, c]) ** 2
                if distance < least:
                    least = distance
                    nearest = m
            weights[nearest] += points[i, 3]
            for c in range(3):
                sums[nearest, c] += points[i, 3] * points[i, c]
        moved = 0.0
        for m in range(3):
            for c in range(3):
                center = sums[m, c] / weights[m] if weights[m] > 0 else centers[m, c]
                moved = max(moved, abs(center - centers[m, c]))
                centers[m, c] = center
        if moved < 0.05:
            break
