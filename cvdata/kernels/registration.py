"""How one image lies on another: mirror, turn, crop, border, squeeze, small rotation; tone-blind.

Images are squared first, so that a squeeze is no transform at all. What comes out are poses
(`poses.py`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from cvdata.kernels.jit import fast_jit
from cvdata.kernels.poses import F32, F64, U8, from_pixels, mirror_pose, mirrored, to_pixels

COARSE = 24
FAINTEST, FAINT, MAX_GAIN = 1.5, 20.0, 6.0
"""Standard deviations in grey levels: below the first nothing is there, below the second the image
is stretched, at most so many times."""
_SIZES = (24, 22, 20, 18, 16, 14, 12)
_CENTRE = 19
_TURNED = 16
_TURNS = tuple((zoom, sign * 10.0) for zoom in (1.0, 0.87, 1.15) for sign in (-1, 1))
"""(zoom, degrees) of the turned searches; 0.87 and 1.15: the canvas grew to hold the turn."""
_N_SMALL = len(_SIZES) - 1
_KINDS = 1 + 2 * _N_SMALL + len(_TURNS)
"""Searches per mirror or turn: shifted, the first inside, the second inside, turned."""


@dataclass(frozen=True)
class View:
    """One image made ready for comparison: `gray` (H, W) uint8, any size; squared to `side`."""

    gray: U8
    side: int = 256

    @cached_property
    def square(self) -> U8:
        """(side, side) uint8; an image of less than half the side is only doubled."""
        n = self.working_side
        shrinks = min(self.gray.shape) >= n
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        gray, gain = self.gray, self.gain
        if gain == 1:
            return np.asarray(cv2.resize(gray, (n, n), interpolation=how))
        lifted = (gray.astype(np.float32) - np.float32(gray.mean())) * np.float32(gain) + 128
        whole = cv2.resize(lifted, (n, n), interpolation=how)
        return np.asarray(np.clip(np.rint(whole), 0, 255), np.uint8)

    @property
    def gain(self) -> float:
        """What brings a faint image to the contrast that noise is told from structure by."""
        spread = float(self.gray.std())
        return min(FAINT / spread, MAX_GAIN) if FAINTEST < spread < FAINT else 1.0

    @property
    def working_side(self) -> int:
        """Detail that is not there is not compared: at most twice the shorter side."""
        return int(np.clip(2 * min(self.gray.shape), 64, self.side))

    def at(self, n: int) -> F32:
        """(n, n) float32."""
        return self._levels(n)

    def _levels(self, n: int) -> F32:
        cached = self._memo.get(n)
        if cached is None:
            how = cv2.INTER_AREA if n <= self.square.shape[0] else cv2.INTER_LINEAR
            cached = cv2.resize(self.square, (n, n), interpolation=how).astype(np.float32)
            self._memo[n] = cached
        return cached

    @cached_property
    def _memo(self) -> dict[int, F32]:
        return {}

    @cached_property
    def bank(self) -> F32:
        """(8, 7, 24, 24) float32: each mirror and turn at each size, in the top left corner."""
        bank = np.zeros((8, len(_SIZES), COARSE, COARSE), np.float32)
        for j, n in enumerate(_SIZES):
            small = self.at(n)
            for k in range(8):
                bank[k, j, :n, :n] = mirrored(small, k)
        return bank

    @cached_property
    def turned(self) -> F32:
        """(6, 16, 16) float32: the middle, zoomed and turned as `_TURNS` says."""
        n, m = COARSE, _TURNED
        out = np.empty((len(_TURNS), m, m), np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        low = (n - m) // 2
        for i, (zoom, degrees) in enumerate(_TURNS):
            matrix = to_pixels(_turn(zoom, degrees), n)[:2]
            whole = cv2.warpAffine(
                self.at(n), matrix, (n, n), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            out[i] = whole[low : low + m, low : low + m]
        return out

    @cached_property
    def features(self) -> tuple[Any, Any]:
        """ORB keypoints and descriptors (None where there are none). Rublee et al. 2011."""
        return _ORB.detectAndCompute(self.square, None)  # type: ignore[no-any-return]


_ORB: Any = cv2.ORB_create(500, 1.3, 6, edgeThreshold=15, patchSize=31, fastThreshold=8)  # type: ignore[attr-defined]


def _turn(zoom: float, degrees: float) -> F64:
    """Pose from the turned and zoomed image back to the image."""
    c, s = np.cos(np.radians(degrees)) / zoom, np.sin(np.radians(degrees)) / zoom
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@fast_jit
def _best_place(image: F32, n: int, template: F32, m: int, out: F32) -> None:
    """Best zero-mean normalised correlation of an m×m template in an n×n image, and its place.

    Fills out (3,): score, x, y.
    """
    total = np.float32(0)
    square = np.float32(0)
    for i in range(m):
        for j in range(m):
            total += template[i, j]
            square += template[i, j] * template[i, j]
    area = np.float32(m * m)
    spread = square - total * total / area
    best, best_x, best_y = np.float32(-2), 0, 0
    for y in range(n - m + 1):
        for x in range(n - m + 1):
            dot, one, two = np.float32(0), np.float32(0), np.float32(0)
            for i in range(m):
                for j in range(m):
                    v = image[y + i, x + j]
                    dot += v * template[i, j]
                    one += v
                    two += v * v
            variance = (two - one * one / area) * spread
            if variance > 1:
                score = (dot - one * total / area) / np.sqrt(variance)
                if score > best:
                    best, best_x, best_y = score, x, y
    out[0], out[1], out[2] = best, best_x, best_y


@fast_jit
def _search(bank_a: F32, bank_b: F32, parts: Any, sizes: Any, out: F32) -> None:
    """Fill out (8, kinds, 3): score, x, y of every search."""
    middle, turned = parts
    n = bank_a.shape[2]
    m = middle.shape[0]
    n_small = sizes.shape[0] - 1
    for k in range(8):
        _best_place(bank_b[k, 0], n, middle, m, out[k, 0])
        for j in range(n_small):
            size = sizes[j + 1]
            _best_place(bank_b[k, 0], n, bank_a[0, j + 1], size, out[k, 1 + j])
            _best_place(bank_a[0, 0], n, bank_b[k, j + 1], size, out[k, 1 + n_small + j])
        for j in range(turned.shape[0]):
            _best_place(bank_b[k, 0], n, turned[j], turned.shape[1], out[k, 1 + 2 * n_small + j])


def coarse_poses(a: View, b: View, n_best: int) -> list[tuple[float, F64]]:
    """The best distinct poses by correlation at 24 pixels: (score in [-1, 1], pose)."""
    out = np.empty((8, _KINDS, 3), np.float32)
    low = (COARSE - _CENTRE) // 2
    middle = np.ascontiguousarray(a.at(COARSE)[low : low + _CENTRE, low : low + _CENTRE])
    _search(a.bank, b.bank, (middle, a.turned), np.array(_SIZES), out)
    ranked = np.argsort(-out[:, :, 0], axis=None, kind="stable")
    chosen: list[tuple[float, F64]] = []
    for flat in ranked[: 6 * n_best]:
        k, kind = divmod(int(flat), _KINDS)
        score, x, y = (float(v) for v in out[k, kind])
        pose = mirror_pose(k) @ _pose_of(kind, x, y)
        if all(np.abs(pose - other).max() > 0.15 for _, other in chosen):
            chosen.append((score, pose))
        if len(chosen) == n_best:
            break
    return chosen


def _pose_of(kind: int, x: float, y: float) -> F64:
    """Pose of a search: the shifted middle, one image shrunk inside the other, or turned."""
    n = COARSE
    if kind == 0:
        return from_pixels(_shift(x, y, (n - _CENTRE) // 2), n)
    if kind > 2 * _N_SMALL:
        shift = from_pixels(_shift(x, y, (n - _TURNED) // 2), n)
        return np.asarray(shift @ np.linalg.inv(_turn(*_TURNS[kind - 1 - 2 * _N_SMALL])))
    share = _SIZES[1 + (kind - 1) % _N_SMALL] / n
    offset = (share - 1) / 2
    inside = np.array([[share, 0, x + offset], [0, share, y + offset], [0, 0, 1]])
    pose = from_pixels(inside, n)
    return pose if kind <= _N_SMALL else np.asarray(np.linalg.inv(pose))


def _shift(x: float, y: float, low: int) -> F64:
    """A shift in coarse pixels; one of a single pixel is none, which most copies have."""
    dx, dy = x - low, y - low
    if abs(dx) <= 1 and abs(dy) <= 1:
        dx = dy = 0.0
    return np.array([[1.0, 0, dx], [0, 1, dy], [0, 0, 1]])


def feature_poses(a: View, b: View) -> list[tuple[int, F64]]:
    """Poses from ORB matches by RANSAC, b as it is and mirrored: (inliers, pose)."""
    found = []
    plain = View(np.ascontiguousarray(b.square[:, ::-1]), b.side)
    for view, back in ((b, np.eye(3)), (plain, mirror_pose(1))):
        (points_a, words_a), (points_b, words_b) = a.features, view.features
        if words_a is None or words_b is None or min(len(words_a), len(words_b)) < 8:
            continue
        nearest = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(words_a, words_b, 2)
        good = [m[0] for m in nearest if len(m) == 2 and m[0].distance < 0.85 * m[1].distance]
        if len(good) < 8:
            continue
        left = np.array([points_a[m.queryIdx].pt for m in good], np.float32)
        right = np.array([points_b[m.trainIdx].pt for m in good], np.float32)
        cv2.setRNGSeed(0)
        matrix, inliers = cv2.estimateAffine2D(
            left / a.working_side, right / b.working_side, ransacReprojThreshold=0.015, maxIters=500
        )
        if matrix is not None:
            pose = _unit_frame() @ np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(_unit_frame())
            found.append((int(inliers.sum()), np.asarray(back @ pose)))
    return found


def _unit_frame() -> F64:
    """[0, 1] -> square coordinates."""
    return np.array([[2.0, 0, -1], [0, 2, -1], [0, 0, 1]])
