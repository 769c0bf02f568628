"""Poses: affine maps between two images as squares, [-1, 1] on both axes, (3, 3) float64.

A pose takes a point of the first image to its place in the second.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cvdata.kernels.jit import fast_jit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

MAX_ZOOM = 2.2
"""Crops down to 0.6 and borders of 25 %, with room for a turn or a squeeze on top."""


def mirrored(image: Any, k: int) -> Any:
    """One of eight mirrors and turns: bit 0 left-right, bit 1 up-down, bit 2 transposed."""
    if k & 1:
        image = image[:, ::-1]
    if k & 2:
        image = image[::-1]
    return image.T if k & 4 else image


def mirror_pose(k: int) -> F64:
    """Pose from `mirrored(image, k)` back to the image."""
    pose = np.eye(3)
    if k & 4:
        pose = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]) @ pose
    if k & 2:
        pose = np.diag([1.0, -1, 1]) @ pose
    return np.diag([-1.0, 1, 1]) @ pose if k & 1 else pose


def _pixel_frame(n: int) -> F64:
    """Pixel index -> square coordinates."""
    return np.array([[2 / n, 0, 1 / n - 1], [0, 2 / n, 1 / n - 1], [0, 0, 1]])


def to_pixels(pose: F64, n: int) -> F64:
    """A pose as a map between the pixels of two (n, n) images."""
    frame = _pixel_frame(n)
    return np.asarray(np.linalg.inv(frame) @ pose @ frame)


def from_pixels(matrix: F64, n: int) -> F64:
    """The inverse of `to_pixels`; (2, 3) or (3, 3)."""
    frame = _pixel_frame(n)
    full = np.vstack([matrix[:2], [0, 0, 1]])
    return np.asarray(frame @ full @ np.linalg.inv(frame))


@fast_jit
def _agreement(a: F32, b: F32, matrix: F64) -> float:
    """Share of the local structure of a that b repeats under a pixel map (2, 3).

    Correlation in blocks of 8 × 8, tone-blind, weighted by contrast. In [0, 1].
    """
    n = a.shape[0]
    top, bottom = 0.0, 1e-6
    for y0 in range(0, n, 8):
        for x0 in range(0, n, 8):
            count = 0
            sa, sb, saa, sbb, sab = 0.0, 0.0, 0.0, 0.0, 0.0
            for y in range(y0, y0 + 8):
                for x in range(x0, x0 + 8):
                    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
                    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
                    if u < 0 or v < 0 or u >= n - 1 or v >= n - 1:
                        continue
                    i, j = int(v), int(u)
                    fu, fv = u - j, v - i
                    low = b[i, j] * (1 - fu) + b[i, j + 1] * fu
                    high = b[i + 1, j] * (1 - fu) + b[i + 1, j + 1] * fu
                    q = low * (1 - fv) + high * fv
                    p = a[y, x]
                    count += 1
                    sa += p
                    sb += q
                    saa += p * p
                    sbb += q * q
                    sab += p * q
            if count < 32:
                continue
            va, vb = saa - sa * sa / count + 1000, sbb - sb * sb / count + 1000
            top += max(0.0, sab - sa * sb / count)
            bottom += np.sqrt(va * vb)
    return top / bottom


def agreement(a: F32, b: F32, pose: F64) -> float:
    """How well a pose explains two (n, n) images: in [0, 1], 0 where no edit makes such a pose."""
    if not is_plausible(pose):
        return 0.0
    seen = _seen(pose)
    score = float(_agreement(a, b, to_pixels(pose, a.shape[0])[:2]))
    return score * min(1.0, 1.2 * seen)


def is_plausible(pose: F64) -> bool:
    """Sides scaled by 1/2.2 to 2.2, and at least 60 % of one image seen in the other."""
    if not np.isfinite(pose).all():
        return False
    (a, b), (c, d) = pose[:2, :2]
    total, area = float(a * a + b * b + c * c + d * d), abs(float(a * d - b * c))
    gap = float(np.sqrt(max(total * total - 4 * area * area, 0.0)))
    longest, shortest = (total + gap) / 2, (total - gap) / 2  # squared singular values
    fits = longest <= MAX_ZOOM**2 and shortest >= MAX_ZOOM**-2
    return fits and _seen(pose) > 0.6


def is_unmoved(pose: F64) -> bool:
    """Whether a pose is a mere mirror or turn, to 1 % of the side."""
    return any(float(np.abs(pose - mirror_pose(k)).max()) < 0.02 for k in range(8))


def _seen(pose: F64) -> float:
    """Share of the one image that is seen in the other, whichever share is larger."""
    return float(max(_share(pose), _share(np.linalg.inv(pose))))


@fast_jit
def _share(pose: Any) -> float:
    """Share of the first image that falls inside the second, on a grid of 20 × 20."""
    n = 0
    for i in range(20):
        for j in range(20):
            x, y = i * 0.1 - 0.95, j * 0.1 - 0.95
            u = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2]
            v = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2]
            n += int(abs(u) <= 1 and abs(v) <= 1)
    return n / 400


def refined(a: F32, b: F32, pose: F64, n_steps: int, mask: U8 | None = None) -> F64 | None:
    """`pose` made exact on two (n, n) images by ECC (Evangelidis and Psarakis 2008), or None.

    `mask` (n, n) uint8 chooses pixels of b. Gain and offset of the tones do not matter.
    """
    n = a.shape[0]
    start = to_pixels(pose, n)[:2].astype(np.float32)
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, n_steps, 1e-4)
    try:
        _, matrix = cv2.findTransformECC(a, b, start, cv2.MOTION_AFFINE, until, mask, 5)  # type: ignore[arg-type]
    except cv2.error:
        return None  # no overlap, or no texture: this pose leads nowhere
    return from_pixels(np.asarray(matrix, np.float64), n)


def laid_over(b: F32, pose: F64) -> tuple[F32, npt.NDArray[np.bool_]]:
    """Draw b in the frame of a: (n, n) float32, and where it covers that frame."""
    n = b.shape[0]
    matrix = to_pixels(pose, n)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(b, matrix, (n, n), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    full = np.full((n, n), 255, np.uint8)
    covered = cv2.warpAffine(full, matrix, (n, n), flags=flags) >= 250
    return np.asarray(warped, np.float32), np.asarray(covered)
