"""Canny edges, counted."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.compiled import GRAY, compiled


def edge_density(gray: npt.NDArray[np.uint8], low: int = 100, high: int = 200) -> float:
    """Fraction of (H, W) uint8 on Canny edges; 0..1, larger has more edges. Canny 1986.

    The same pixels as ``cv2.Canny(gray, low, high)``: 3×3 Sobel, |gx| + |gy|, hysteresis over
    eight neighbours.
    """
    height, width = gray.shape
    stride = width + 2
    gradients = np.zeros((3, height + 2, stride), np.int16)
    _gradients(gray, gradients)
    # a frame of zeros, and room to the next multiple of eight
    marks = np.zeros(-(-(height + 2) * stride // 8) * 8, np.uint8)
    _thin(gradients, low, high, marks[: (height + 2) * stride].reshape(height + 2, stride))
    stack = np.empty(gray.size, np.int32)
    return int(_follow(marks, marks.view(np.uint64), stride, stack)) / gray.size


@compiled(f"void({GRAY}, int16[:,:,::1])")
def _gradients(gray: Any, gradients: Any) -> None:
    """Sobel x, Sobel y and the sum of their sizes, in a frame of one zero; edges replicated."""
    height, width = gray.shape
    smooth = np.empty(width + 2, np.int32)
    slope = np.empty(width + 2, np.int32)
    inner_smooth, inner_slope = smooth[1:], slope[1:]
    for y in range(height):
        above, here, below = gray[max(y - 1, 0)], gray[y], gray[min(y + 1, height - 1)]
        for x in range(width):
            a, b, c = np.int32(above[x]), np.int32(here[x]), np.int32(below[x])
            inner_smooth[x] = np.int32(np.int32(a + c) + np.int32(2 * b))
            inner_slope[x] = np.int32(c - a)
        smooth[0], smooth[width + 1] = smooth[1], smooth[width]
        slope[0], slope[width + 1] = slope[1], slope[width]
        across, down = gradients[0, y + 1, 1:], gradients[1, y + 1, 1:]
        sizes = gradients[2, y + 1, 1:]
        for x in range(width):
            gx = np.int32(smooth[x + 2] - smooth[x])
            gy = np.int32(np.int32(slope[x] + slope[x + 2]) + np.int32(2 * slope[x + 1]))
            across[x] = np.int16(gx)
            down[x] = np.int16(gy)
            sizes[x] = np.int16(np.int32(np.int32(abs(gx)) + np.int32(abs(gy))))


@compiled("void(int16[:,:,::1], int64, int64, uint8[:,::1])")
def _thin(gradients: Any, low: int, high: int, marks: Any) -> None:
    """1 where the gradient is a ridge above `low`, 2 where it is also above `high`, else 0."""
    least, most = np.int32(low), np.int32(high)
    width = marks.shape[1] - 2
    for y in range(marks.shape[0] - 2):
        before, now, after = gradients[2, y], gradients[2, y + 1], gradients[2, y + 2]
        across, down, out = gradients[0, y + 1, 1:], gradients[1, y + 1, 1:], marks[y + 1, 1:]
        for x in range(width):
            gx, gy, m = np.int32(across[x]), np.int32(down[x]), np.int32(now[x + 1])
            # tan 22.5° in 15-bit fixed point splits the directions into four
            shallow = np.int32(np.int32(abs(gx)) * np.int32(13573))
            steep = np.int32(shallow + np.int32(np.int32(abs(gx)) << 16))
            rise = np.int32(np.int32(abs(gy)) << 15)
            falling = np.int32(gx ^ gy) < 0
            first = before[x + 2] if falling else before[x]
            last = after[x] if falling else after[x + 2]
            flat, upright = rise < shallow, rise > steep
            first = now[x] if flat else (before[x + 1] if upright else first)
            last = now[x + 2] if flat else (after[x + 1] if upright else last)
            # a tie with the later neighbour counts as a peak only along an axis
            slack = np.int32(flat | upright)
            peak = (m > least) & (m > np.int32(first)) & (np.int32(m + slack) > np.int32(last))
            out[x] = np.uint8(np.uint8(peak) << np.uint8(m > most))


@compiled("int64(uint8[::1], uint64[::1], int64, int32[::1])")
def _follow(marks: Any, words: Any, stride: int, stack: Any) -> Any:
    n: Any = np.int64(0)
    for w in range(words.size):
        if words[w] & np.uint64(0x0202020202020202):
            for i in range(8 * w, 8 * w + 8):
                if marks[i] == 2:
                    stack[n] = i
                    n += 1
    found = n
    while n > 0:
        n -= 1
        at = np.int64(stack[n])
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                j = at + dy * stride + dx
                if marks[j] == 1:
                    marks[j] = 2
                    stack[n] = j
                    n += 1
                    found += 1
    return found
