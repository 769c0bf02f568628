"""Boxes as formats write them, in as few digits as bring the same float32 pixels back."""

import math
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Any

_F32 = struct.Struct("=f")
_MAX_SIDE = 10_000
Four = tuple[float, float, float, float]


def to_f32(value: float) -> float:
    """The nearest float32; infinity beyond its range."""
    try:
        found: float = _F32.unpack(_F32.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return found


def neat(value: float) -> float:
    """The shortest decimal whose float32 is that of `value`."""
    wanted = to_f32(value)
    return _shortest(wanted, lambda short: to_f32(short) == wanted, 6)


def _shortest(value: float, is_good: Callable[[float], bool], digits: int) -> float:
    """`value` in the fewest significant digits, at least `digits`, that are good; else as it is."""
    for n in range(digits, 17):
        short = float(f"{value:.{n}g}")
        if is_good(short):
            return short
    return value


def number(value: float) -> int | float:
    """The same as an int where it is whole: `3.0` is written as `3`."""
    return int(value) if value.is_integer() else value


def is_finite(xyxy: Sequence[float]) -> bool:
    """Whether a box is four finite numbers."""
    return all(map(math.isfinite, xyxy))


def corners_to_size(xyxy: Sequence[float]) -> Four:
    """Xyxy -> (x, y, width, height), such that x + width is x1 again in float32."""
    x0, y0, x1, y1 = xyxy
    x, y = neat(x0), neat(y0)
    return x, y, _extent(x, x1), _extent(y, y1)


def _extent(start: float, end: float) -> float:
    wanted = to_f32(end)
    return _shortest(neat(end) - start, lambda size: to_f32(start + size) == wanted, 6)


def corners_to_fractions(xyxy: Sequence[float], width: int, height: int) -> Four:
    """Xyxy -> (x, y, width, height) of the box's centre and size as fractions of the image.

    x0 = (x - width / 2) * image width comes back in float32, if need be with all digits.
    """
    x, w = _centre(xyxy[0], xyxy[2], width)
    y, h = _centre(xyxy[1], xyxy[3], height)
    return x, y, w, h


def _centre(start: float, end: float, size: int) -> tuple[float, float]:
    low, high = to_f32(start), to_f32(end)
    centre, extent = (low + high) / 2 / size, (high - low) / size
    for n in range(6, 17):
        c, e = float(f"{centre:.{n}f}"), float(f"{extent:.{n}f}")
        if to_f32((c - e / 2) * size) == low and to_f32((c + e / 2) * size) == high:
            return c, e
    return centre, extent


def clipped(xyxy: Sequence[float], width: int, height: int) -> list[float] | None:
    """The part of a box that lies in the image; None where nothing does."""
    x0, x1 = (min(max(v, 0.0), float(width)) for v in (xyxy[0], xyxy[2]))
    y0, y1 = (min(max(v, 0.0), float(height)) for v in (xyxy[1], xyxy[3]))
    return [x0, y0, x1, y1] if x1 > x0 and y1 > y0 else None


def scaled(xyxy: Sequence[float], x: float, y: float) -> list[float]:
    """A box after the image was resized by these factors."""
    return [xyxy[0] * x, xyxy[1] * y, xyxy[2] * x, xyxy[3] * y]


def scaled_extra(extra: dict[str, Any], x: float, y: float) -> dict[str, Any]:
    """Polygons, keypoints and areas of `extra["coco"]` after the image was resized."""
    coco = extra.get("coco")
    if not isinstance(coco, dict):
        return extra
    changed = dict(coco)
    for name, scale in (("segmentation", _outline), ("keypoints", _keypoints), ("area", _area)):
        if isinstance(coco.get(name), list):
            changed[name] = [None if v is None else scale(v, x, y) for v in coco[name]]
    return {**extra, "coco": changed}


def _outline(value: Any, x: float, y: float) -> Any:
    """Polygons; a run-length mask keeps its raster and is resized where it is written."""
    if not isinstance(value, list):
        return resized_rle(value, x, y)
    return [
        [v * (y if i % 2 else x) for i, v in enumerate(polygon)]
        if isinstance(polygon, list) and all(isinstance(v, int | float) for v in polygon)
        else polygon
        for polygon in value
    ]


def _keypoints(value: Any, x: float, y: float) -> Any:
    factors = (x, y, 1)
    if not isinstance(value, list) or not all(isinstance(v, int | float) for v in value):
        return value
    return [v * factors[i % 3] for i, v in enumerate(value)]


def _area(value: Any, x: float, y: float) -> Any:
    return value * x * y if isinstance(value, int | float) else value


def resized_rle(value: Any, x: float, y: float) -> Any:
    """A COCO run-length mask, resized by nearest neighbour; None where it is a broken one."""
    if not isinstance(value, dict) or not {"size", "counts"} <= set(value):
        return value
    import numpy as np
    from PIL import Image
    from pycocotools import mask as codec

    size, counts = value["size"], value["counts"]
    if not _is_size(size):
        return None
    height, width = size
    try:
        if isinstance(counts, list):
            flat = np.repeat(np.arange(len(counts)) % 2, _runs(counts, height * width))
            pixels = flat.astype(np.uint8).reshape(width, height).T
        else:
            with warnings.catch_warnings():  # pycocotools is behind NumPy's copy keyword
                warnings.simplefilter("ignore", DeprecationWarning)
                pixels = codec.decode({"size": size, "counts": counts})
    except (ValueError, TypeError, AttributeError):
        return None
    small_size = (max(1, round(width * x)), max(1, round(height * y)))
    small = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        small_size, Image.Resampling.NEAREST
    )
    found = codec.encode(np.asfortranarray(small))
    return {"size": [small_size[1], small_size[0]], "counts": found["counts"].decode()}


def _is_size(size: Any) -> bool:
    is_pair = isinstance(size, list) and len(size) == 2
    return is_pair and all(isinstance(n, int) and 0 < n <= _MAX_SIDE for n in size)


def _runs(counts: list[Any], n_pixels: int) -> list[int]:
    """The runs of a mask, which must fill it: else ValueError."""
    if not all(isinstance(n, int) and n >= 0 for n in counts) or sum(counts) != n_pixels:
        raise ValueError("runs that do not fill the mask")
    return counts
