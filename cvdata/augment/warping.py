"""Geometry on scenes: pixels, masks, boxes and keypoints through the same map.

Boxes become the smallest upright box around their moved corners, then are cut to the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.augment.scene import Floats, Pixels, Scene
from cvdata.augment.tensors import floats, functional, layers, picture, planes

INTERPOLATIONS = ("nearest", "bilinear")


@dataclass(frozen=True)
class Paint:
    """How pixels are read between pixels, and what stands where there are none."""

    interpolation: str = "bilinear"
    fill: int = 0

    def options(self) -> dict[str, Any]:
        """As torchvision takes them."""
        mode = functional().InterpolationMode(self.interpolation)
        return {"interpolation": mode, "fill": [float(self.fill)] * 3}


def _xyxy() -> Any:
    from torchvision.tv_tensors import BoundingBoxFormat

    return BoundingBoxFormat.XYXY


@dataclass(frozen=True)
class Motion:
    """Turn by `angle` degrees clockwise, shear, scale about `center` (the middle), then shift."""

    angle: float = 0.0
    translate: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    shear: tuple[float, float] = (0.0, 0.0)
    center: tuple[float, float] | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether everything stays where it is."""
        return self.angle == 0 and self.scale == 1 and not any(self.translate + self.shear)

    def options(self) -> dict[str, Any]:
        """As torchvision takes them."""
        return {
            "angle": self.angle,
            "translate": [float(v) for v in self.translate],
            "scale": self.scale,
            "shear": [float(v) for v in self.shear],
            "center": None if self.center is None else [float(v) for v in self.center],
        }


def affine(scene: Scene, motion: Motion, paint: Paint) -> Scene:
    """Everything moved; the image keeps its size."""
    if motion.is_nothing:
        return scene
    f, size, how = functional(), (scene.height, scene.width), motion.options()
    pixels = picture(f.affine_image(planes(scene.pixels), **how, **paint.options()))
    boxes, keypoints, masks = scene.boxes, scene.keypoints, scene.masks
    if len(boxes):
        moved = f.affine_bounding_boxes(floats(boxes), _xyxy(), size, **how, clamping_mode=None)
        boxes = _narrow(moved)
    if len(keypoints):
        keypoints = _narrow(f.affine_keypoints(floats(keypoints), size, **how)[0])
    if masks is not None:
        masks = f.affine_mask(layers(masks), **how).numpy()
    return scene.moved(pixels, boxes, masks, keypoints)


def _narrow(values: Any) -> Floats:
    narrowed: Floats = values.numpy().astype(np.float32)
    return narrowed


def mirror(scene: Scene, *, is_vertical: bool = False) -> Scene:
    """Left and right exchanged, or top and bottom."""
    f, size = functional(), (scene.height, scene.width)
    way = "vertical" if is_vertical else "horizontal"
    flip = getattr(f, f"{way}_flip_image")
    boxes = getattr(f, f"{way}_flip_bounding_boxes")(floats(scene.boxes), _xyxy(), size)
    keypoints = getattr(f, f"{way}_flip_keypoints")(floats(scene.keypoints), size)
    masks = None if scene.masks is None else flip(layers(scene.masks)).numpy()
    pixels = picture(flip(planes(scene.pixels)))
    points = keypoints[0] if isinstance(keypoints, tuple) else keypoints
    return scene.moved(pixels, _narrow(boxes), masks, _narrow(points))


def crop(scene: Scene, top: int, left: int, height: int, width: int) -> Scene:
    """The rectangle of `height` x `width` pixels from (left, top), which lies in the image."""
    if (top, left, height, width) == (0, 0, scene.height, scene.width):
        return scene
    f = functional()
    how = {"top": top, "left": left, "height": height, "width": width}
    pixels = picture(f.crop_image(planes(scene.pixels), **how))
    boxes = f.crop_bounding_boxes(floats(scene.boxes), _xyxy(), **how, clamping_mode=None)[0]
    keypoints = f.crop_keypoints(floats(scene.keypoints), **how)[0]
    masks = None if scene.masks is None else f.crop_mask(layers(scene.masks), **how)
    held = None if masks is None else masks.contiguous().numpy()
    return scene.moved(pixels, _narrow(boxes), held, _narrow(keypoints))


def resize(scene: Scene, height: int, width: int, paint: Paint) -> Scene:
    """Stretched to `height` x `width`, antialiased."""
    size = (scene.height, scene.width)
    if size == (height, width):
        return scene
    f, to = functional(), [height, width]
    mode = paint.options()["interpolation"]
    # torch 2.14's kernel for bytes fails on a single pixel; the one for floats does not.
    is_pixel = height * width == 1
    source = planes(scene.pixels).float() if is_pixel else planes(scene.pixels)
    resized = f.resize_image(source, to, mode, antialias=True)
    pixels = picture(resized.round().byte() if is_pixel else resized)
    factor = np.array([width / size[1], height / size[0]], np.float64)
    masks = None if scene.masks is None else f.resize_mask(layers(scene.masks), to).numpy()
    boxes = (scene.boxes * np.tile(factor, 2)).astype(np.float32)
    return scene.moved(pixels, boxes, masks, (scene.keypoints * factor).astype(np.float32))


def perspective(scene: Scene, ends: Sequence[Sequence[float]], paint: Paint) -> Scene:
    """The image's corners (top left, then clockwise) moved to `ends`, x and y in pixels."""
    width, height = float(scene.width), float(scene.height)
    starts = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]]
    if [list(map(float, end)) for end in ends] == starts:
        return scene
    f, size = functional(), (scene.height, scene.width)
    how = {"startpoints": starts, "endpoints": [list(end) for end in ends]}
    pixels = picture(f.perspective_image(planes(scene.pixels), **how, **paint.options()))
    corners = _corners(scene.boxes)
    points = np.concatenate([corners.reshape(-1, 2), scene.keypoints])
    moved = points
    if len(points):
        moved = _narrow(f.perspective_keypoints(floats(points), size, **how))
    boxes = _around(moved[: corners.shape[0] * 4].reshape(-1, 4, 2))
    masks = None
    if scene.masks is not None:
        masks = f.perspective_mask(layers(scene.masks), **how).numpy()
    return scene.moved(pixels, boxes, masks, moved[corners.shape[0] * 4 :])


def elastic(scene: Scene, displacement: Pixels | npt.NDArray[np.float32], paint: Paint) -> Scene:
    """Each pixel of the result is read `displacement` (H, W, 2), x and y in pixels, away.

    Boxes and keypoints move the other way by the displacement where they stand, a box by sixteen
    points of each side: exact where the field is smooth against their moves.
    """
    if not displacement.any():
        return scene
    import torch

    f = functional()
    field = displacement / (np.array([scene.width, scene.height], np.float32) / 2)
    grid = torch.from_numpy(field.astype(np.float32))[None]
    pixels = picture(f.elastic_image(planes(scene.pixels), grid, **paint.options()))
    masks = scene.masks
    if masks is not None:
        masks = f.elastic_mask(layers(masks), grid).numpy()
    outlines = _outlines(scene.boxes)
    moved = _against(outlines.reshape(-1, 2), displacement).reshape(outlines.shape)
    return scene.moved(pixels, _around(moved), masks, _against(scene.keypoints, displacement))


def _against(points: Floats, displacement: npt.NDArray[Any]) -> Floats:
    """Points moved by minus the displacement at them."""
    height, width = displacement.shape[:2]
    x = np.clip(np.rint(points[:, 0] - 0.5).astype(np.int64), 0, width - 1)
    y = np.clip(np.rint(points[:, 1] - 0.5).astype(np.int64), 0, height - 1)
    moved: Floats = (points - displacement[y, x]).astype(np.float32)
    return moved


def _corners(boxes: Floats) -> Floats:
    """(N, 4, 2) corners, clockwise."""
    found: Floats = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return found


def _outlines(boxes: Floats) -> Floats:
    """(N, 64, 2) points on the sides."""
    corners = _corners(boxes)
    along = np.linspace(0, 1, 16, endpoint=False, dtype=np.float32)[None, None, :, None]
    sides = corners[:, :, None] + along * (np.roll(corners, -1, axis=1) - corners)[:, :, None]
    found: Floats = sides.reshape(len(boxes), 64, 2).astype(np.float32)
    return found


def _around(points: Floats) -> Floats:
    """(N, 4) the smallest upright boxes around (N, P, 2) points."""
    found: Floats = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    return found
