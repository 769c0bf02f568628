"""One pass of 3×3 neighbourhoods over a grey image: sharpness, noise, block edges."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled


@dataclass(frozen=True)
class StencilPass:
    """Sums over an (H, W) grey image; all are exact.

    `laplacian`, `laplacian_squares`, `sobel_squares`: of the 4-neighbour Laplacian and of both
    3×3 Sobel derivatives, edges mirrored (the edge pixel itself not repeated). `noise`: absolute
    response of Immerkær's operator over the (H-2)(W-2) inner pixels. `columns` (W-1,) and `rows`
    (H-1,) int64: absolute differences between neighbouring columns and rows.
    """

    height: int
    width: int
    laplacian: int
    laplacian_squares: int
    sobel_squares: int
    noise: int
    columns: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def scan_stencils(gray: npt.NDArray[np.uint8]) -> StencilPass:
    """Scan (H, W) uint8 once; see `StencilPass`."""
    import cv2

    height, width = gray.shape
    padded = np.asarray(cv2.copyMakeBorder(gray, 1, 1, 1, 1, cv2.BORDER_REFLECT_101), np.uint8)
    columns = np.zeros(width, np.int32)
    rows = np.zeros(height, np.int64)
    totals = np.zeros(4, np.int64)
    _scan(padded, columns, rows, totals)
    lap, lap_squares, sobel, noise = totals.tolist()
    noise -= _frame_noise(padded)
    steps = columns[:-1].astype(np.int64)
    return StencilPass(height, width, lap, lap_squares, sobel, noise, steps, rows[:-1])


@compiled(f"void({GRAY}, int32[::1], int64[::1], int64[::1])")
def _scan(padded: Any, columns: Any, rows: Any, totals: Any) -> None:
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    window = np.empty((3, width + 2), np.int32)
    for y in range(-2, height):
        source, target = padded[y + 2], window[(y + 2) % 3]
        for x in range(width + 2):
            target[x] = source[x]
        # runs of 1,024 columns cannot overflow 32 bits: 1024 · 2 · 1020² < 2³¹
        for start in range(0, width if y >= 0 else 0, 1024):
            a, b, c = (
                window[y % 3, start:],
                window[(y + 1) % 3, start:],
                window[(y + 2) % 3, start:],
            )
            beside = columns[start:]
            lap_sum = lap_squares = sobel = noise = down = np.int32(0)
            for x in range(min(1024, width - start)):
                mid = b[x + 1]
                cross = np.int32(np.int32(a[x + 1] + c[x + 1]) + np.int32(b[x] + b[x + 2]))
                corners = np.int32(np.int32(a[x] + a[x + 2]) + np.int32(c[x] + c[x + 2]))
                lap = np.int32(cross - np.int32(4 * mid))
                right = np.int32(np.int32(a[x + 2] - a[x]) + np.int32(c[x + 2] - c[x]))
                gx = np.int32(right + np.int32(2 * np.int32(b[x + 2] - b[x])))
                lower = np.int32(np.int32(c[x] - a[x]) + np.int32(c[x + 2] - a[x + 2]))
                gy = np.int32(lower + np.int32(2 * np.int32(c[x + 1] - a[x + 1])))
                second = np.int32(corners - np.int32(2 * np.int32(cross - np.int32(2 * mid))))
                lap_sum = np.int32(lap_sum + lap)
                lap_squares = np.int32(lap_squares + np.int32(lap * lap))
                sobel = np.int32(sobel + np.int32(np.int32(gx * gx) + np.int32(gy * gy)))
                noise = np.int32(noise + np.int32(abs(second)))
                down = np.int32(down + np.int32(abs(np.int32(c[x + 1] - mid))))
                beside[x] = np.int32(beside[x] + np.int32(abs(np.int32(b[x + 2] - mid))))
            totals[0] += lap_sum
            totals[1] += lap_squares
            totals[2] += sobel
            totals[3] += noise
            rows[y] += down


@compiled(f"int64({GRAY})")
def _frame_noise(padded: Any) -> Any:
    """What the image's own outermost pixels gave to `noise`: they are not in Immerkær's sum."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    total = np.int64(0)
    for y in range(height):
        # all of the first and last row, the ends of the others
        step = 1 if y in (0, height - 1) else max(width - 1, 1)
        for x in range(0, width, step):
            response = np.int64(0)
            for dy in range(3):
                for dx in range(3):
                    weight = (1 if dy != 1 else -2) * (1 if dx != 1 else -2)
                    response += weight * np.int64(padded[y + dy, x + dx])
            total += abs(response)
    return total


def laplacian_variance(scan: StencilPass) -> float:
    """Variance of the 4-neighbour Laplacian; >= 0, larger is sharper. Pech-Pacheco et al. 2000."""
    n = scan.height * scan.width
    # integers to the end: no cancellation
    return (n * scan.laplacian_squares - scan.laplacian**2) / n**2


def tenengrad(scan: StencilPass) -> float:
    """Mean squared Sobel gradient; >= 0, larger is sharper. Krotkov 1987."""
    return scan.sobel_squares / (scan.height * scan.width)


def noise_sigma(scan: StencilPass) -> float | None:
    """Standard deviation of additive noise in grey levels; >= 0. Immerkær 1996.

    None where a side is below 3 pixels.
    """
    if min(scan.height, scan.width) < 3:
        return None
    inner = (scan.height - 2) * (scan.width - 2)
    return math.sqrt(math.pi / 2) * scan.noise / (6 * inner)


def blockiness(scan: StencilPass) -> float | None:
    """How much more neighbours differ across the 8-pixel JPEG grid than inside it, -1 .. 1.

    (b - i) / (b + i) of the mean absolute differences across block edges (b) and inside blocks
    (i), columns and rows together (after Wang, Sheikh and Bovik 2002); 0 is no grid (also where
    nothing differs), 1 is nothing but the grid. The grid starts at the top left. None where a
    side is below 16 pixels.
    """
    if min(scan.height, scan.width) < 16:
        return None
    edges = inside = 0.0
    for sums, length in ((scan.columns, scan.height), (scan.rows, scan.width)):
        on_grid, every = _grid_sums(sums)
        edges += on_grid / length
        inside += (every - on_grid) / length
    n_edges = scan.columns.size // 8 + scan.rows.size // 8
    edges /= n_edges
    inside /= scan.columns.size + scan.rows.size - n_edges
    return (edges - inside) / (edges + inside) if edges + inside > 0 else 0.0


@compiled("UniTuple(int64, 2)(int64[::1])")
def _grid_sums(sums: Any) -> Any:
    on_grid = np.int64(0)
    every = np.int64(0)
    for i in range(sums.size):
        every += sums[i]
        if i & 7 == 7:
            on_grid += sums[i]
    return on_grid, every
