"""An image with all that must follow it: boxes, masks, keypoints, and shares of labels."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


def _no_boxes() -> Floats:
    return np.zeros((0, 4), np.float32)


def _no_points() -> Floats:
    return np.zeros((0, 2), np.float32)


def _no_origins() -> Ints:
    return np.zeros((0, 2), np.int32)


def _nothing() -> npt.NDArray[np.float64]:
    return np.zeros(0, np.float64)


@dataclass(frozen=True)
class Scene:
    """One image and what was said of it.

    `pixels` (H, W, 3) uint8, of any strides; `boxes` (N, 4) float32 xyxy, absolute pixels,
    within the image; `visible` (N,) in [0, 1], how much of each is left; `masks` (M, H, W) uint8;
    `keypoints` (K, 2) float32 x, y. `box_origins` (N, 2) and `keypoint_origins` (K, 2) say where
    each came from: (image, place in it), image 0 the parent, 1 … its partners. `shares` is how
    much of the result each image is, by its number, in all 1. `partners` wait to be mixed in.
    """

    pixels: Pixels
    boxes: Floats = field(default_factory=_no_boxes)
    visible: npt.NDArray[np.float64] = field(default_factory=_nothing)
    box_origins: Ints = field(default_factory=_no_origins)
    masks: Pixels | None = None
    keypoints: Floats = field(default_factory=_no_points)
    keypoint_origins: Ints = field(default_factory=_no_origins)
    shares: tuple[tuple[int, float], ...] = ((0, 1.0),)
    partners: tuple["Scene", ...] = ()

    @staticmethod
    def of(
        pixels: Pixels,
        boxes: npt.ArrayLike = (),
        masks: Pixels | None = None,
        keypoints: npt.ArrayLike = (),
        number: int = 0,
    ) -> "Scene":
        """The scene of image `number`; pixels are copied, boxes are cut to the image."""
        height, width = pixels.shape[:2]
        # Planes one after the other: torchvision works on them up to six times as fast.
        planes = separated(pixels)
        corners = np.asarray(boxes, np.float32).reshape(-1, 4)
        limits = np.array([width, height, width, height], np.float32)
        points = np.asarray(keypoints, np.float32).reshape(-1, 2)
        return Scene(
            planes.transpose(1, 2, 0),
            np.clip(corners, 0, limits).astype(np.float32),
            np.ones(len(corners), np.float64),
            _origins(number, len(corners)),
            None if masks is None else np.array(masks, np.uint8),
            points,
            _origins(number, len(points)),
            ((number, 1.0),),
        )

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def is_annotated(self) -> bool:
        """Whether anything has a place in the image: boxes, masks or keypoints."""
        return bool(len(self.boxes) or len(self.keypoints) or self.masks is not None)

    def repainted(self, pixels: Pixels) -> "Scene":
        """Other pixels in the same places."""
        return replace(self, pixels=pixels)

    def moved(
        self, pixels: Pixels, boxes: Floats, masks: Pixels | None, keypoints: Floats
    ) -> "Scene":
        """Everything elsewhere: `boxes` may reach out of the new image, and are cut to it."""
        height, width = pixels.shape[:2]
        cut, kept = cut_to(boxes, height, width)
        return replace(
            self,
            pixels=pixels,
            boxes=cut,
            visible=self.visible * kept,
            masks=masks,
            keypoints=np.asarray(keypoints, np.float32).reshape(-1, 2),
        )

    def hidden(self, rectangles: npt.NDArray[np.int64]) -> "Scene":
        """Less visible where these (R, 4) xyxy rectangles, which do not overlap, cover boxes."""
        if not len(rectangles) or not len(self.boxes):
            return self
        boxes = self.boxes.astype(np.float64)[:, None]
        low = np.maximum(boxes[..., :2], rectangles[None, :, :2])
        high = np.minimum(boxes[..., 2:], rectangles[None, :, 2:])
        covered = np.clip(high - low, 0, None).prod(axis=-1).sum(axis=-1)
        area = (boxes[:, 0, 2:] - boxes[:, 0, :2]).prod(axis=-1)
        return self.faded(1 - np.divide(covered, area, out=np.zeros_like(area), where=area > 0))

    def faded(self, left: npt.NDArray[np.float64] | float) -> "Scene":
        """Boxes of which the fraction `left`, (N,) or one for all, is still visible."""
        return replace(self, visible=self.visible * np.clip(left, 0, 1))

    def inside(self) -> npt.NDArray[np.bool_]:
        """(K,) which keypoints lie within the image."""
        x, y = self.keypoints[:, 0], self.keypoints[:, 1]
        found: npt.NDArray[np.bool_] = (x >= 0) & (y >= 0) & (x <= self.width) & (y <= self.height)
        return found


def separated(pixels: Pixels) -> Pixels:
    """(H, W, 3) uint8 of any strides -> (3, H, W), a copy; OpenCV is ten times NumPy's speed."""
    import cv2

    planes = np.empty((3, *pixels.shape[:2]), np.uint8)
    cv2.split(pixels, list(planes))
    return planes


def interleaved(pixels: Pixels) -> Pixels:
    """The same (H, W, 3) uint8 with the values of a pixel side by side in memory."""
    import cv2

    if pixels.flags.c_contiguous:
        return pixels
    merged = cv2.merge([np.ascontiguousarray(plane) for plane in pixels.transpose(2, 0, 1)])
    return np.asarray(merged, np.uint8)


def _origins(number: int, n: int) -> Ints:
    return np.stack([np.full(n, number), np.arange(n)], axis=1).astype(np.int32)


def cut_to(boxes: Floats, height: int, width: int) -> tuple[Floats, npt.NDArray[np.float64]]:
    """The boxes cut to the image, and the fraction of each that is left: (N, 4), (N,) in [0, 1].

    A side of no length counts as wholly left where it lies within the image.
    """
    limits = np.array([width, height, width, height], np.float64)
    whole = boxes.astype(np.float64).reshape(-1, 4)
    cut = np.clip(whole, 0, limits)
    length = whole[:, 2:] - whole[:, :2]
    remains = cut[:, 2:] - cut[:, :2]
    is_within = (whole[:, :2] >= 0) & (whole[:, 2:] <= limits[2:])
    kept = np.where(length > 0, remains / np.where(length > 0, length, 1), is_within)
    return cut.astype(np.float32), kept.prod(axis=1)


def joined(first: Scene, *others: Scene) -> Scene:
    """`first` with the boxes and keypoints of the others beside its own."""
    scenes = (first, *others)
    return replace(
        first,
        boxes=np.concatenate([s.boxes for s in scenes]),
        visible=np.concatenate([s.visible for s in scenes]),
        box_origins=np.concatenate([s.box_origins for s in scenes]),
        keypoints=np.concatenate([s.keypoints for s in scenes]),
        keypoint_origins=np.concatenate([s.keypoint_origins for s in scenes]),
    )


def shared(weighted: list[tuple[Scene, float]]) -> tuple[tuple[int, float], ...]:
    """Shares of a mixture: each scene's own, times its weight; equal images are added up."""
    total: dict[int, float] = {}
    for scene, weight in weighted:
        for number, share in scene.shares:
            total[number] = total.get(number, 0.0) + share * weight
    return tuple(sorted(total.items()))
