"""One pass of 3×3 neighbourhoods over a grey image: sharpness, noise, block edges."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled

_RUN = 1024
"""Columns summed in 32 bits before they are added to 64: 1024 · 2 · 1020² < 2³¹."""


@dataclass(frozen=True)
class StencilPass:
    """Sums over an (H, W) grey image; all integers are exact.

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
    height, width = gray.shape
    columns = np.zeros(width, np.int32)
    rows = np.zeros(height, np.int64)
    totals = np.zeros(4, np.int64)
    _scan(gray, columns, rows, totals)
    laplacian, laplacian_squares, sobel_squares, noise = totals.tolist()
    return StencilPass(
        height,
        width,
        laplacian,
        laplacian_squares,
        sobel_squares,
        noise,
        columns[:-1].astype(np.int64),
        rows[:-1],
    )


@compiled(f"void({GRAY}, int32[::1], int64[::1], int64[::1])")
def _scan(gray: Any, columns: Any, rows: Any, totals: Any) -> None:
    height, width = gray.shape
    # three rows with a mirrored column at either end
    window = np.empty((3, width + 2), np.int16)
    left = min(1, width - 1)
    right = max(width - 2, 0)
    laplacian = np.int64(0)
    laplacian_squares = np.int64(0)
    sobel_squares = np.int64(0)
    noise = np.int64(0)
    for y in range(-1, height):
        # load row y + 1 (mirrored below the last) into its place
        source = y + 1 if y + 1 < height else max(height - 2, 0)
        place = (y + 1) % 3
        if y >= 0 or True:
            for x in range(width):
                window[place, x + 1] = gray[source, x]
            window[place, 0] = gray[source, left]
            window[place, width + 1] = gray[source, right]
        if y < 0:
            first = min(1, height - 1)
            for x in range(width):
                window[2, x + 1] = gray[first, x]
            window[2, 0] = gray[first, left]
            window[2, width + 1] = gray[first, right]
            continue
        a = window[(y + 2) % 3]
        b = window[y % 3]
        c = window[(y + 1) % 3]
        inner = 0 < y < height - 1
        for start in range(0, width, 1024):
            stop = min(start + 1024, width)
            lap_sum = np.int32(0)
            lap_squares = np.int32(0)
            sobel = np.int32(0)
            absolute = np.int32(0)
            down = np.int32(0)
            for x in range(start, stop):
                nw = np.int32(a[x])
                n = np.int32(a[x + 1])
                ne = np.int32(a[x + 2])
                w = np.int32(b[x])
                m = np.int32(b[x + 1])
                e = np.int32(b[x + 2])
                sw = np.int32(c[x])
                s = np.int32(c[x + 1])
                se = np.int32(c[x + 2])
                cross = np.int32(n + s + e + w)
                corners = np.int32(nw + ne + sw + se)
                lap = np.int32(cross - 4 * m)
                gx = np.int32(ne + 2 * e + se - nw - 2 * w - sw)
                gy = np.int32(sw + 2 * s + se - nw - 2 * n - ne)
                lap_sum = np.int32(lap_sum + lap)
                lap_squares = np.int32(lap_squares + lap * lap)
                sobel = np.int32(sobel + np.int32(gx * gx) + np.int32(gy * gy))
                absolute = np.int32(absolute + abs(np.int32(corners - 2 * cross + 4 * m)))
                down = np.int32(down + abs(np.int32(s - m)))
                columns[x] = np.int32(columns[x] + abs(np.int32(e - m)))
            laplacian += lap_sum
            laplacian_squares += lap_squares
            sobel_squares += sobel
            rows[y] += down
            if inner:
                noise += absolute
        if inner:
            # the two edge columns do not belong to Immerkær's sum
            for x in (0, width - 1):
                corners = np.int32(a[x] + a[x + 2] + c[x] + c[x + 2])
                cross = np.int32(a[x + 1] + c[x + 1] + b[x] + b[x + 2])
                noise -= abs(np.int32(corners - 2 * cross + 4 * b[x + 1]))
    totals[0] = laplacian
    totals[1] = laplacian_squares
    totals[2] = sobel_squares
    totals[3] = noise


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
    inner = (scan.height - 2) * (scan.width - 2)
    if scan.height < 3 or scan.width < 3:
        return None
    return math.sqrt(math.pi / 2) * scan.noise / (6 * inner)


def blockiness(scan: StencilPass) -> float | None:
    """How much neighbours differ more across the 8-pixel JPEG grid than inside it, -1 .. 1.

    (b - i) / (b + i) of the mean absolute differences across block edges (b) and inside blocks
    (i), columns and rows together (after Wang, Sheikh and Bovik 2002); 0 is no grid (also where
    nothing differs), 1 is nothing but the grid. The grid starts at the top left. None where a
    side is below 16 pixels.
    """
    if min(scan.height, scan.width) < 16:
        return None
    across = scan.columns[7::8].sum() / scan.height, scan.rows[7::8].sum() / scan.width
    every = scan.columns.sum() / scan.height, scan.rows.sum() / scan.width
    n_across = scan.columns[7::8].size + scan.rows[7::8].size
    n_inside = scan.columns.size + scan.rows.size - n_across
    edges = float(sum(across)) / n_across
    inside = float(sum(every) - sum(across)) / n_inside
    return (edges - inside) / (edges + inside) if edges + inside > 0 else 0.0
