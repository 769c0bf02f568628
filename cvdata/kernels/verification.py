"""A second look at two images: one photograph edited, or two photographs that look alike?

After registration a true copy agrees everywhere, up to what compression, resampling and tone
curves do; two different images disagree somewhere, in structure and not in tone. So the verdict
rests on local structure: the contrast-structure term of SSIM (Wang et al. 2004) in every window
that holds more than noise. Its mean must be high, and no coherent region may contradict it,
except what an edit lays over a photograph: flat bars and corners at the frame.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from cvdata.kernels.registration import (
    F32,
    F64,
    View,
    agreement,
    coarse_poses,
    feature_poses,
    laid_over,
    mirror_pose,
    refined,
)

Bool = npt.NDArray[np.bool_]

NOISE = 8.0
"""Grey levels: a window whose standard deviation is below holds nothing but noise."""


@dataclass(frozen=True)
class VerifyOptions:
    """When two images count as one photograph.

    `min_agreement`: least block correlation at 64 pixels for a closer look. `min_ssim`: least
    mean likeness. `max_changed`: largest share of the textured area that may differ.
    `max_region`: largest coherent contradiction, as a share of the overlap. `max_overlay`:
    largest share that flat bars and corners may hide. `features`: try ORB and RANSAC too.
    """

    min_agreement: float = 0.5
    min_ssim: float = 0.7
    max_changed: float = 0.3
    max_region: float = 0.006
    max_overlay: float = 0.35
    features: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether two images are one photograph, and the figures that say so.

    `ncc` (block correlation at 64 pixels), `ssim` (mean likeness) in [0, 1], higher is more
    alike; `changed`, `region`, `overlay` in [0, 1], lower is. `transform` (3, 3) takes the first
    image to the second, both as squares [-1, 1]. `n_inliers` are RANSAC's, 0 if not asked.
    """

    is_copy: bool
    ncc: float
    ssim: float
    changed: float
    region: float
    overlay: float
    transform: F64
    n_inliers: int = 0


def verify(
    a: View | npt.NDArray[np.uint8],
    b: View | npt.NDArray[np.uint8],
    options: VerifyOptions = VerifyOptions(),
) -> Verdict:
    """Compare two grey thumbs, (H, W) uint8, longest side about 256, aspect ratio free.

    A `View` keeps what was computed of an image for its next pair. Symmetric up to rounding.
    """
    left = a if isinstance(a, View) else View(a)
    right = b if isinstance(b, View) else View(b)
    score, pose, n_inliers = _find_pose(left, right, options)
    if score < options.min_agreement:
        return Verdict(False, score, 0.0, 1.0, 1.0, 0.0, pose, n_inliers)
    n = min(left.working_side, right.working_side)
    for side in (128, n) if n > 128 else (n,):
        pose, seen = _sharpen(left.at(side), right.at(side), pose, 10 if side <= 128 else 4)
    overlay = overlaid(seen)
    rest = replace(seen, overlap=seen.overlap & ~overlay)
    hidden = float(overlay.sum()) / max(int(seen.overlap.sum()), 1)
    changed = float(rest.changed.sum()) / max(int(rest.textured.sum()), 1)
    region = _largest(rest.contradicted) / max(int(rest.overlap.sum()), 1)
    is_copy = (
        rest.is_telling
        and rest.ssim >= options.min_ssim
        and changed <= options.max_changed
        and region <= options.max_region
        and hidden <= options.max_overlay
    )
    return Verdict(is_copy, score, rest.ssim, changed, region, hidden, pose, n_inliers)


def _find_pose(a: View, b: View, options: VerifyOptions) -> tuple[float, F64, int]:
    """(agreement at 64 pixels, pose, RANSAC inliers) of the best pose found."""
    small_a, small_b = a.at(64), b.at(64)
    poses = [mirror_pose(k) for k in range(8)] + [pose for _, pose in coarse_poses(a, b, 8)]
    tried = _ranked([(agreement(small_a, small_b, pose), pose, 0) for pose in poses])
    tried = _with_refined(small_a, small_b, tried)
    if options.features and tried[0][0] < 0.9:
        extra = [(agreement(small_a, small_b, pose), pose, n) for n, pose in feature_poses(a, b)]
        tried = _ranked(tried + _with_refined(small_a, small_b, extra))
    return tried[0]


Tried = list[tuple[float, F64, int]]


def _ranked(tried: Tried) -> Tried:
    return sorted(tried, key=lambda pose: -pose[0])


def _with_refined(a: F32, b: F32, tried: Tried) -> Tried:
    """The poses and what ECC makes of the best three, best first."""
    for _, pose, n in tried[:3]:
        better = refined(a, b, pose, 30)
        if better is not None:
            tried = [*tried, (agreement(a, b, better), better, n)]
    return _ranked(tried)


def _sharpen(a: F32, b: F32, pose: F64, n_steps: int) -> tuple[F64, "Comparison"]:
    """The pose made exact at this size where the images agree, and the comparison under it."""
    window = 9 if a.shape[0] >= 128 else 7
    seen = compare(a, b, pose, window)
    spoiled = cv2.dilate(seen.changed.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    sound = (seen.overlap & ~spoiled).astype(np.float32) * 255
    mask, _ = laid_over(sound, np.linalg.inv(pose))
    better = refined(a, b, pose, n_steps, (mask > 127).astype(np.uint8))
    if better is None:
        return pose, seen
    again = compare(a, b, better, window)
    return (better, again) if again.ssim >= seen.ssim else (pose, seen)


@dataclass(frozen=True)
class Comparison:
    """Two registered images, window by window: (n, n) each.

    `likeness` in [-1, 1]; `texture` the larger standard deviation, grey levels; `a`, `b` the
    images in one frame and one range of tones; `overlap` where both are.
    """

    likeness: F32
    texture: F32
    a: F32
    b: F32
    overlap: Bool

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
        denied = self.overlap & (self.likeness < 0.2) & (self.texture > 2 * NOISE)
        return denied if self.is_photograph else denied | (self.overlap & self.apart)

    @property
    def apart(self) -> Bool:
        """Pixels whose tones differ by more than compression and a tone curve explain."""
        return np.asarray(cv2.blur(np.abs(self.a - self.b), (5, 5)) > 4 * NOISE)

    @property
    def is_photograph(self) -> bool:
        """Whether texture is everywhere, so that one odd region is an edit and not the message."""
        return int(self.textured.sum()) >= 0.25 * int(self.overlap.sum())

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
    inner = np.ones((window, window), np.uint8)
    edge = cv2.BORDER_CONSTANT
    overlap = cv2.erode(overlap.astype(np.uint8), inner, borderType=edge, borderValue=0) > 0
    if not overlap.any():
        nothing = np.zeros_like(a)
        return Comparison(nothing, nothing, a, warped, overlap)
    # the stronger contrast is the target: fitting down would call any two flat things alike
    if float(a[overlap].std()) < float(warped[overlap].std()):
        a, warped = warped, a
    fitted = _fitted(warped, a, overlap)
    return Comparison(*_likeness(a, fitted, window), a, fitted, overlap)


def _blurred(image: F32, zoom: float) -> F32:
    """Bring the finer image down to the other's detail."""
    return cv2.GaussianBlur(image, (0, 0), 0.5 * float(np.sqrt(zoom * zoom - 1)) + 0.1)  # type: ignore[return-value]


def _fitted(source: F32, target: F32, overlap: Bool) -> F32:
    """`source` with the gain and offset, clipped to 0 … 255, that bring it nearest to `target`.

    Trimmed least squares: what was changed does not pull the fit.
    """
    x, y = source[overlap], target[overlap]
    step = max(1, len(x) // 1500)
    x, y = x[::step].astype(np.float64), y[::step].astype(np.float64)
    gain, offset = 1.0, 0.0
    u, v = x, y
    for _ in range(4):
        spread = float(u.var())
        gain = float(((u - u.mean()) * (v - v.mean())).mean()) / spread if spread > 1 else 1.0
        offset = float(v.mean()) - gain * float(u.mean())
        error = np.abs(np.clip(gain * x + offset, 0, 255) - y)
        inside = error <= max(float(np.partition(error, len(x) * 3 // 4)[len(x) * 3 // 4]), 4.0)
        u, v = x[inside], y[inside]
    return np.clip(gain * source + offset, 0, 255).astype(np.float32)


def _likeness(a: F32, b: F32, window: int) -> tuple[F32, F32]:
    """(contrast-structure term, larger standard deviation) per window."""
    size = (window, window)
    mean_a, mean_b = cv2.blur(a, size), cv2.blur(b, size)
    var_a = np.maximum(cv2.blur(a * a, size) - mean_a * mean_a, 0)
    var_b = np.maximum(cv2.blur(b * b, size) - mean_b * mean_b, 0)
    both = cv2.blur(a * b, size) - mean_a * mean_b
    likeness = (2 * both + NOISE**2) / (var_a + var_b + NOISE**2)
    return likeness, np.sqrt(np.maximum(var_a, var_b))


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
    closed = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    outside = cv2.dilate((~seen.overlap).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    for i in range(1, count):
        region = labels == i
        if stats[i, cv2.CC_STAT_AREA] < 0.002 * region.size or not (region & outside).any():
            continue
        if _is_fill(seen.a, seen.b, region) or _is_fill(seen.b, seen.a, region):
            found |= region & seen.overlap
    return found


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


def _largest(region: Bool) -> int:
    """Pixels of the largest connected region."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    return int(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
