"""Where two registered images agree: local structure, tone-blind, and what was laid over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cvdata.kernels.poses import F32, F64, is_unmoved, laid_over

Bool = npt.NDArray[np.bool_]

NOISE = 8.0
"""Grey levels: a window whose standard deviation is below holds nothing but noise."""

FINE = 5


@dataclass(frozen=True)
class Comparison:
    """Two registered images, window by window: (n, n) each.

    `likeness` in [-1, 1]; `texture` the larger standard deviation, grey levels; `a`, `b` the
    images in one frame and one range of tones; `overlap` where both are. `fine` are likeness and
    texture in windows of `FINE`: small changes beside strong lines.
    """

    likeness: F32
    texture: F32
    a: F32
    b: F32
    overlap: Bool
    fine: tuple[F32, F32]

    @property
    def textured(self) -> Bool:
        """Windows with more than noise."""
        return self.overlap & (self.texture > NOISE)

    @property
    def changed(self) -> Bool:
        """Windows with structure that is not the same."""
        return self.textured & (self.likeness < 0.5)

    @property
    def contradicted(self) -> Bool:
        """Windows with strong structure in one image that the other denies.

        Where most of the image is flat (a form, an icon) a different flat tone denies it too; in
        a photograph it may be a recolouring.
        """
        likeness, texture = self.fine
        denied = self.overlap & (likeness < 0.2) & (texture > 2 * NOISE)
        return denied if self.is_photograph else denied | (self.overlap & self.apart)

    @property
    def apart(self) -> Bool:
        """Pixels whose tones differ by more than compression and a tone curve explain."""
        return np.asarray(cv2.blur(np.abs(self.a - self.b), (5, 5)) > 4 * NOISE)

    @property
    def is_photograph(self) -> bool:
        """Whether there is texture, however faint, in 40 % of the overlap: drawings have none."""
        faint = self.overlap & (self.fine[1] > NOISE / 4)
        return int(faint.sum()) >= 0.4 * int(self.overlap.sum())

    @property
    def is_telling(self) -> bool:
        """Whether there is enough structure to compare at all: 1 % of the overlap."""
        return int(self.textured.sum()) > 0.01 * int(self.overlap.sum())

    @property
    def ssim(self) -> float:
        """Mean likeness weighted by texture; 0 where there is none."""
        weight = np.where(self.textured, self.texture, 0)
        total = float(weight.sum())
        return float((np.clip(self.likeness, 0, 1) * weight).sum()) / total if total > 0 else 0.0


def compare(a: F32, b: F32, pose: F64, window: int) -> Comparison:
    """Lay b over a and compare; both (n, n) float32, grey levels."""
    zoom = float(np.sqrt(abs(np.linalg.det(pose[:2, :2]))))
    if zoom > 1.05:
        b = _blurred(b, zoom)
    elif zoom < 0.95:
        a = _blurred(a, 1 / zoom)
    warped, overlap = laid_over(b, pose)
    # half a window; where the frame was moved, the reach of the blurs too: nothing leaks in
    reach = window if is_unmoved(pose) else window + 6
    inner = np.ones((reach, reach), np.uint8)
    edge = cv2.BORDER_CONSTANT
    overlap = cv2.erode(overlap.astype(np.uint8), inner, borderType=edge, borderValue=0) > 0
    if not overlap.any():
        nothing = np.zeros_like(a)
        return Comparison(nothing, nothing, a, warped, overlap, (nothing, nothing))
    if _is_source(a[overlap], warped[overlap]):
        a, warped = warped, a
    fitted = _fitted(warped, a, overlap)
    fine = _likeness(a, fitted, FINE if a.shape[0] >= 128 else window)
    return Comparison(*_likeness(a, fitted, window), a, fitted, overlap, fine)


def _is_source(a: F32, b: F32) -> bool:
    """Whether a is to be brought to the tones of b, and not b to those of a.

    The clipped image is the target, as clipping cannot be undone; else the one of stronger
    contrast, as fitting down would call any two flat things alike.
    """
    clipped_a, clipped_b = (float(((x > 250) | (x < 5)).mean()) for x in (a, b))
    if abs(clipped_a - clipped_b) > 0.02:
        return clipped_b > clipped_a
    return float(a.std()) < float(b.std())


def _blurred(image: F32, zoom: float) -> F32:
    """Bring the finer image down to the other's detail."""
    sigma = 0.5 * float(np.sqrt(zoom * zoom - 1)) + 0.1
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _fitted(source: F32, target: F32, overlap: Bool) -> F32:
    """`source` with the gain and offset, clipped to 0 … 255, that bring it nearest to `target`.

    Trimmed least squares: what was changed does not pull the fit.
    """
    x, y = source[overlap], target[overlap]
    step = max(1, len(x) // 1500)
    x, y = x[::step].astype(np.float64), y[::step].astype(np.float64)
    inside = (y > 4) & (y < 251)  # a clipped highlight says nothing about the gain
    if int(inside.sum()) >= 50:
        x, y = x[inside], y[inside]
    gain, offset = 1.0, 0.0
    u, v = x, y
    for _ in range(4):
        # noise alone says nothing of the gain: it is drawn toward 1
        both = float(((u - u.mean()) * (v - v.mean())).mean())
        gain = (both + NOISE**2) / (float(u.var()) + NOISE**2)
        offset = float(v.mean()) - gain * float(u.mean())
        error = np.abs(np.clip(gain * x + offset, 0, 255) - y)
        cut = max(float(np.partition(error, len(x) * 3 // 4)[len(x) * 3 // 4]), 4.0)
        u, v = x[error <= cut], y[error <= cut]
    return np.asarray(np.clip(gain * source + offset, 0, 255), np.float32)


def _likeness(a: F32, b: F32, window: int) -> tuple[F32, F32]:
    """(contrast-structure term, larger standard deviation) per window."""
    size = (window, window)
    mean_a, mean_b = cv2.blur(a, size), cv2.blur(b, size)
    var_a = np.maximum(cv2.blur(a * a, size) - mean_a * mean_a, 0)
    var_b = np.maximum(cv2.blur(b * b, size) - mean_b * mean_b, 0)
    both = cv2.blur(a * b, size) - mean_a * mean_b
    likeness = (2 * both + NOISE**2) / (var_a + var_b + NOISE**2)
    texture = np.sqrt(np.maximum(var_a, var_b))
    return np.asarray(likeness, np.float32), np.asarray(texture, np.float32)


def overlaid(seen: Comparison) -> Bool:
    """Bars, captions and corners laid over a photograph: (n, n) bool.

    A region that differs counts as overlaid where one image is a flat fill there, at the frame,
    in one piece, and the other has something else at most pixels. A form that was filled in
    otherwise, or a scene in which a thing moved, keeps its background: that is no overlay. Only
    photographs have overlays; in a form or an icon any region may be the message.
    """
    found = np.zeros_like(seen.overlap)
    if not seen.is_photograph:
        return found
    differs = (seen.overlap & (seen.changed | seen.apart)).astype(np.uint8)
    if not differs.any():
        return found
    closed = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    frame = cv2.boundingRect(seen.overlap.astype(np.uint8))
    for i in range(1, count):
        region = labels == i
        if stats[i, cv2.CC_STAT_AREA] < 0.002 * region.size or not _hugs(stats[i, :4], frame):
            continue
        if _is_fill(seen.a, seen.b, region) or _is_fill(seen.b, seen.a, region):
            found |= region
    margin = cv2.dilate(found.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return np.asarray(margin & seen.overlap)


def _hugs(box: npt.NDArray[Any], frame: Sequence[int]) -> bool:
    """Whether a box (x, y, w, h) spans a side of the frame or fills one of its corners."""
    x, y, w, h = (int(v) for v in box)
    left, top, width, height = frame
    near = 4
    at_x = x <= left + near or x + w >= left + width - near
    at_y = y <= top + near or y + h >= top + height - near
    wide, high = w >= 0.85 * width, h >= 0.85 * height
    return (at_x and at_y) or (wide and at_y) or (high and at_x)


def _is_fill(image: F32, other: F32, region: Bool) -> bool:
    """Whether one tone fills the region in `image`, and little of it in `other`."""
    contour, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.contourArea(cv2.convexHull(np.concatenate(contour)))
    if hull <= 0 or float(region.sum()) < 0.7 * hull:
        return False
    tones = image[region]
    counts = np.bincount((tones / 8).astype(np.int64), minlength=33)
    tone = 8.0 * float(np.argmax(counts[:-1] + counts[1:])) + 8.0
    own = float((np.abs(tones - tone) <= 12).mean())
    others = float((np.abs(other[region] - tone) <= 12).mean())
    return own >= 0.5 and others <= 0.35
