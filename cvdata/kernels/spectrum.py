"""Spectrum of a small grey image."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled

TILE = 32
TILES = 4

Table = npt.NDArray[np.float32]

_TABLE = "Array(float32, 2, 'C', readonly=True)"


def high_frequency_ratio(gray: npt.NDArray[np.uint8]) -> float | None:
    """Share of spectral power above half the Nyquist frequency; 0..1, larger is finer detail.

    (H, W) uint8 in up to 4×4 tiles of 32×32 spread evenly over it (where a side is below 32,
    square tiles of that side cut to a multiple of 4), each without its mean and under a Hann
    window; the power of all tiles summed (Welch 1967), their zero frequency left out. None where
    a side is below 8 or nothing varies.
    """
    power = tile_power(gray)
    if power is None:
        return None
    side, half = power.shape
    doubled = power * _weights(side)
    total = float(doubled.sum())
    # a single grey level of difference leaves far more than this, rounding far less
    return float(doubled[_is_high(side)].sum()) / total if total > 1e-3 * side * half else None


def tile_power(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64] | None:
    """(side, side // 2 + 1): squared magnitudes of the tiles' real 2-D DFT, summed over tiles."""
    side = min(TILE, *gray.shape) // 4 * 4
    if side < 8:
        return None
    window, waves, cosines, sines = _tables(side)
    rows, columns = (min(TILES, n // side) for n in gray.shape)
    tiles = np.empty((rows, columns, side, side), np.float32)
    _cut(gray, window, tiles)
    spectra = np.zeros((rows * columns, side, side), np.float32)
    _transform_rows(tiles.reshape(-1, side), waves, spectra.reshape(-1, side))
    power = np.zeros((side, side // 2 + 1), np.float64)
    _sum_columns(spectra, cosines, sines, power)
    return power


@lru_cache(maxsize=TILE)
def _tables(side: int) -> tuple[Table, Table, Table, Table]:
    """Hann window; waves of a row; cosines and sines of a column; all (side, side).

    The waves are the cosines of all side // 2 + 1 frequencies, then the negative sines of all but
    the first and the last, whose sines are zero.
    """
    angle = 2 * np.pi * (np.outer(np.arange(side), np.arange(side)) % side) / side
    half = side // 2 + 1
    waves = np.hstack([np.cos(angle[:, :half]), -np.sin(angle[:, 1 : half - 1])])
    line = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    tables = (np.outer(line, line), waves, np.cos(angle), np.sin(angle))
    window, waves, cosines, sines = (np.ascontiguousarray(t, np.float32) for t in tables)
    return window, waves, cosines, sines


@lru_cache(maxsize=TILE)
def _weights(side: int) -> npt.NDArray[np.float64]:
    """Half a plane: all but the first and the Nyquist column stand for two; DC for nothing."""
    weights = np.full((side, side // 2 + 1), 2.0)
    weights[:, 0] = weights[:, -1] = 1.0
    weights[0, 0] = 0.0
    return weights


@lru_cache(maxsize=TILE)
def _is_high(side: int) -> npt.NDArray[np.bool_]:
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    return np.asarray(radius > 0.25)


@compiled(f"void({GRAY}, {_TABLE}, float32[:,:,:,::1])")
def _cut(gray: Any, window: Any, tiles: Any) -> None:
    rows, columns, side = tiles.shape[:3]
    down, across = gray.shape[0] - side, gray.shape[1] - side
    for row in range(rows):
        # the first and the last tile touch the edges, a single one lies in the middle
        y0 = row * down // (rows - 1) if rows > 1 else down // 2
        for column in range(columns):
            x0 = column * across // (columns - 1) if columns > 1 else across // 2
            total = np.int64(0)
            for y in range(side):
                line = gray[y0 + y, x0:]
                for x in range(side):
                    total += np.int64(line[x])
            mean = np.float32(total / (side * side))
            for y in range(side):
                line, out, weight = gray[y0 + y, x0:], tiles[row, column, y], window[y]
                for x in range(side):
                    out[x] = (np.float32(line[x]) - mean) * weight[x]


@compiled(f"void(float32[:,::1], {_TABLE}, float32[:,::1])")
def _transform_rows(lines: Any, waves: Any, spectra: Any) -> None:
    """Each line's real DFT: its products with the waves, added to `spectra`."""
    side = waves.shape[0]
    for y in range(lines.shape[0]):
        line, spectrum = lines[y], spectra[y]
        for x in range(0, side, 4):
            v0, v1, v2, v3 = line[x], line[x + 1], line[x + 2], line[x + 3]
            w0, w1, w2, w3 = waves[x], waves[x + 1], waves[x + 2], waves[x + 3]
            for k in range(side):
                spectrum[k] += (v0 * w0[k] + v1 * w1[k]) + (v2 * w2[k] + v3 * w3[k])


@compiled(f"void(float32[:,:,::1], {_TABLE}, {_TABLE}, float64[:,::1])")
def _sum_columns(spectra: Any, cosines: Any, sines: Any, power: Any) -> None:
    """The DFT along each tile's columns; squared magnitudes are added to `power`."""
    n, side = spectra.shape[:2]
    last = side // 2
    even = np.empty(side, np.float32)
    odd = np.empty(side, np.float32)
    for tile, row in [(tile, row) for tile in range(n) for row in range(last + 1)]:
        even[:] = np.float32(0.0)
        odd[:] = np.float32(0.0)
        for y in range(0, side, 2):
            s0, s1 = spectra[tile, y], spectra[tile, y + 1]
            c0, c1 = cosines[row, y], cosines[row, y + 1]
            n0, n1 = sines[row, y], sines[row, y + 1]
            for k in range(side):
                even[k] += c0 * s0[k] + c1 * s1[k]
                odd[k] += n0 * s0[k] + n1 * s1[k]
        # the same sums serve the row of the negative frequency; where they are one, each is half
        mirror = (side - row) % side
        share = np.float32(1.0 if mirror != row else 0.5)
        for k in (0, last):
            both = share * (even[k] * even[k] + odd[k] * odd[k])
            power[row, k] += both
            power[mirror, k] += both
        for k in range(1, last):
            real, imaginary = even[k] + odd[last + k], even[last + k] - odd[k]
            power[row, k] += share * (real * real + imaginary * imaginary)
            real, imaginary = even[k] - odd[last + k], even[last + k] + odd[k]
            power[mirror, k] += share * (real * real + imaginary * imaginary)
