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

from cvdata.kernels.likeness import Bool, Comparison, compare, overlaid
from cvdata.kernels.poses import (
    F32,
    F64,
    agreement,
    is_plausible,
    is_unmoved,
    laid_over,
    mirror_pose,
    refined,
)
from cvdata.kernels.registration import View, coarse_poses, feature_poses

SURE = 0.9
"""Agreement at 64 pixels from which on a pose is taken to be the right one."""
REPEATING, CLEAR, FAITHFUL = 0.6, 0.88, 0.02
"""An image that agrees so well with itself, shifted, lies well on any piece of its kind: a moved
copy of it must be as alike as the second figure, or change no more than the third."""


@dataclass(frozen=True)
class VerifyOptions:
    """When two images count as one photograph.

    `min_agreement`: least block correlation at 64 pixels for a closer look. `min_ssim`: least
    mean likeness. `max_changed`: largest share of the textured area that may differ.
    `max_region`: largest coherent contradiction, as a share of the overlap; down to a tenth of it
    where the rest agrees exactly. `max_overlay`:
    largest share that flat bars and corners may hide. `features`: try ORB and RANSAC too.
    """

    min_agreement: float = 0.5
    min_ssim: float = 0.7
    max_changed: float = 0.3
    max_region: float = 0.002
    max_overlay: float = 0.3
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
    left, right = _same_detail(*(x if isinstance(x, View) else View(x) for x in (a, b)))
    score, pose, n_inliers = _find_pose(left, right, options)
    if score < options.min_agreement:
        return Verdict(False, score, 0.0, 1.0, 1.0, 0.0, pose, n_inliers)
    if score >= SURE:
        return _judged(left, right, (score, pose, n_inliers), options)
    first = _judged(left, right, (score, pose, n_inliers), options)
    if first.is_copy:
        return first
    plain = _judged(left, right, (score, _nearest_mirror(left, right), n_inliers), options)
    return max(first, plain, key=lambda verdict: (verdict.is_copy, verdict.ssim))


def _judged(
    left: View, right: View, start: tuple[float, F64, int], options: VerifyOptions
) -> Verdict:
    """The verdict under one pose, made exact first."""
    score, pose, n_inliers = start
    n = min(left.working_side, right.working_side)
    for side in (128, n) if n > 128 and score < SURE else (n,):
        pose, seen = _sharpen(left.at(side), right.at(side), pose, 10 if side <= 128 else 5)
    overlay = overlaid(seen)
    rest = replace(seen, overlap=seen.overlap & ~overlay)
    hidden = float(overlay.sum()) / max(int(seen.overlap.sum()), 1)
    changed = float(rest.changed.sum()) / max(int(rest.textured.sum()), 1)
    region = _largest(rest.contradicted) / max(int(rest.overlap.sum()), 1)
    calm = replace(rest, overlap=rest.overlap & ~rest.changed)
    # where all the rest agrees to the last bit, a small contradiction is no compression artefact
    strict = float(np.clip((1 - calm.ssim) / 0.04, 0.1, 1))
    is_copy = (
        rest.is_telling
        and int(rest.textured.sum()) >= 0.3 * int(seen.textured.sum())
        and is_plausible(pose)
        and rest.ssim >= options.min_ssim
        and changed <= options.max_changed
        and region <= options.max_region * strict
        and hidden <= options.max_overlay
    )
    if is_copy and rest.ssim < CLEAR and changed > FAITHFUL and not is_unmoved(pose):
        is_copy = not (_repeats(left) or _repeats(right))
    return Verdict(is_copy, score, rest.ssim, changed, region, hidden, pose, n_inliers)


def _repeats(view: View) -> bool:
    """Whether a shift of 6 to 20 pixels of 64 lays the image on itself: bricks, tiles, weaves."""
    image = view.at(64)
    for dx in range(-20, 21, 2):
        for dy in range(0, 21, 2):
            shift = np.array([[1, 0, dx / 32], [0, 1, dy / 32], [0, 0, 1.0]])
            if dx * dx + dy * dy >= 36 and agreement(image, image, shift) >= REPEATING:
                return True
    return False


def _nearest_mirror(a: View, b: View) -> F64:
    """The best pose without any shift or scale: a wide bar can pull ECC away from it."""
    poses = [mirror_pose(k) for k in range(8)]
    return max(poses, key=lambda pose: agreement(a.at(64), b.at(64), pose))


def _same_detail(a: View, b: View) -> tuple[View, View]:
    """The two, the finer one brought down to the other's size where that is less than 2/3."""
    least = min(*a.gray.shape, *b.gray.shape)
    views = []
    for view in (a, b):
        size = min(view.gray.shape)
        if least < view.side and size > 1.5 * least:
            shape = (
                max(1, view.gray.shape[1] * least // size),
                max(1, view.gray.shape[0] * least // size),
            )
            small = cv2.resize(view.gray, shape, interpolation=cv2.INTER_AREA)
            view = View(np.asarray(small, np.uint8), view.side)
        views.append(view)
    return views[0], views[1]


def _find_pose(a: View, b: View, options: VerifyOptions) -> tuple[float, F64, int]:
    """(agreement at 64 pixels, pose, RANSAC inliers) of the best pose found."""
    small_a, small_b = a.at(64), b.at(64)

    def scored(poses: list[tuple[int, F64]]) -> Tried:
        return [(agreement(small_a, small_b, pose), pose, n) for n, pose in poses]

    tried = _ranked(scored([(0, mirror_pose(k)) for k in range(8)]))
    if tried[0][0] >= SURE:  # most copies are neither moved nor scaled
        return _with_refined(small_a, small_b, tried[:1])[0]
    tried = _ranked(tried + scored([(0, pose) for _, pose in coarse_poses(a, b, 8)]))
    tried = _with_refined(small_a, small_b, tried)
    if options.features and tried[0][0] < SURE:
        tried += _with_refined(small_a, small_b, scored(feature_poses(a, b)))
    return _ranked(tried)[0]


Tried = list[tuple[float, F64, int]]


def _ranked(tried: Tried) -> Tried:
    return sorted(tried, key=lambda pose: -pose[0])


def _with_refined(a: F32, b: F32, tried: Tried) -> Tried:
    """The poses and what ECC makes of the best three, best first; one that is sure ends it."""
    for _, pose, n in tried[:3]:
        better = refined(a, b, pose, 30)
        if better is not None:
            tried = [*tried, (agreement(a, b, better), better, n)]
            if tried[-1][0] >= SURE:
                break
    return _ranked(tried)


def _sharpen(a: F32, b: F32, pose: F64, n_steps: int) -> tuple[F64, Comparison]:
    """The pose made exact at this size where the images agree, and the comparison under it."""
    window = 9 if a.shape[0] >= 128 else 7
    seen = compare(a, b, pose, window)
    if seen.ssim >= 0.97 and not seen.changed.any():
        return pose, seen
    spoiled = cv2.dilate(seen.changed.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    sound = (seen.overlap & ~spoiled).astype(np.float32) * 255
    mask, _ = laid_over(sound, np.asarray(np.linalg.inv(pose), np.float64))
    better = refined(a, b, pose, n_steps, (mask > 127).astype(np.uint8))
    if better is None:
        return pose, seen
    again = compare(a, b, better, window)
    return (better, again) if again.ssim >= seen.ssim else (pose, seen)


def _largest(region: Bool) -> int:
    """Pixels of the largest connected region."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    return int(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
