"""What runs in the sandbox to augment: bytes of a parent and its partners -> encoded copies.

One order is one parent and some of its variants. Its images travel as one blob, what is known of
them as JSON in place of a name. It is decoded once for all its variants.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import xxhash

from cvdata.augment.policy import Policy, Written
from cvdata.augment.scene import Pixels, Scene, interleaved
from cvdata.augment.tensors import pin_threads
from cvdata.errors import ErrorCode, ImageError, printable
from cvdata.image import Limits, open_image
from cvdata.stages.masks import MaskReader

DECODED_BYTES = 128 << 20
"""Pixels of images that a child keeps: partners come again."""

Made = dict[str, Any]
"""One copy, or `{"error": code, "detail": text}`."""


@dataclass(frozen=True)
class Encoding:
    """How copies are written: `jpeg` at a `quality` and full colour resolution, or `png`."""

    format: str = "jpeg"
    quality: int = 92

    @property
    def suffix(self) -> str:
        """Of the file's name."""
        return ".jpg" if self.format == "jpeg" else ".png"

    def __call__(self, pixels: Pixels) -> bytes:
        """(H, W, 3) or, for PNG, (H, W) uint8 -> bytes; the same pixels, the same bytes."""
        if self.format == "jpeg":
            import simplejpeg

            return bytes(simplejpeg.encode_jpeg(interleaved(pixels), self.quality, "RGB", "444"))
        import cv2

        flipped = interleaved(pixels[..., ::-1]) if pixels.ndim == 3 else pixels
        _, data = cv2.imencode(".png", flipped, [cv2.IMWRITE_PNG_COMPRESSION, 6])
        return data.tobytes()


MASK_ENCODING = Encoding("png")


@dataclass(frozen=True)
class Making:
    """What is made of images; it travels as JSON with each order, so that children serve all."""

    policy: str
    operations: tuple[Written, ...] = ()
    encoding: Encoding = field(default_factory=Encoding)
    limits: Limits = field(default_factory=Limits)
    min_visible: float = 0.3

    @cached_property
    def text(self) -> str:
        """JSON; `decode` reads it."""
        value = asdict(self)
        value["limits"]["formats"] = sorted(self.limits.formats)
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def decode(text: str) -> "Making":
        """From JSON."""
        value = json.loads(text)
        limits = value["limits"] | {"formats": frozenset(value["limits"]["formats"])}
        return Making(
            value["policy"],
            tuple(value["operations"]),
            Encoding(**value["encoding"]),
            Limits(**limits),
            value["min_visible"],
        )

    @cached_property
    def built(self) -> Policy:
        """The policy; `ConfigError` where it cannot be built."""
        return Policy.of(self.policy, self.operations)


@dataclass(frozen=True)
class Augmenter:
    """What the sandbox runs: (blob, order) -> the copies of one parent."""

    def __call__(self) -> Callable[[bytes, str], list[Made]]:
        """Load what it needs where the pixels will be."""
        pin_threads()
        # Libraries load on first use: now, not on the time of the first image.
        Making("heavy").built(Scene.of(np.zeros((48, 48, 3), np.uint8)), 0)
        makings: dict[str, tuple[Making, _Decoded]] = {}

        def augment(data: bytes, order: str) -> list[Made]:
            asked = json.loads(order)
            if asked["making"] not in makings:
                makings.clear()
                making = Making.decode(asked["making"])
                makings[asked["making"]] = making, _Decoded(making)
            making, decoded = makings[asked["making"]]
            images = _images(data, asked["images"])
            parent = decoded.scene(*images[0], number=0)
            return [_variant(making, parent, images, v, decoded) for v in asked["variants"]]

        return augment


def _variant(
    making: Making,
    parent: Scene,
    images: Sequence[tuple[Mapping[str, Any], bytes, bytes]],
    variant: Mapping[str, Any],
    decoded: "_Decoded",
) -> Made:
    """One copy; what an operation raises is an error of this copy alone."""
    try:
        partners = tuple(
            decoded.scene(*images[place], number=number)
            for number, place in enumerate(variant["partners"], 1)
        )
        scene, done = making.built(replace(parent, partners=partners), variant["seed"])
        return _made(making, scene, done)
    except ImageError as error:
        return {"error": str(error.code), "detail": error.detail}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  an operation may be anybody's code
        detail = printable(f"{type(error).__name__}: {error}")
        return {"error": str(ErrorCode.AUGMENT_FAILED), "detail": detail}


def _made(making: Making, scene: Scene, done: list[dict[str, Any]]) -> Made:
    is_left = (scene.visible >= making.min_visible) & (scene.visible > 0)
    origins = scene.box_origins.tolist()
    boxes = scene.boxes.tolist()
    inside = scene.inside().tolist()
    masks = None if scene.masks is None or not len(scene.masks) else scene.masks[0]
    return {
        "image": making.encoding(scene.pixels),
        "mask": None if masks is None else MASK_ENCODING(masks),
        "width": scene.width,
        "height": scene.height,
        "params": json.dumps(done, sort_keys=True, separators=(",", ":"), allow_nan=False),
        "shares": [[number, share] for number, share in scene.shares],
        "boxes": [[*origins[i], boxes[i]] for i in range(len(boxes)) if is_left[i]],
        "vanished": [
            [*origins[i], float(scene.visible[i])] for i in range(len(boxes)) if not is_left[i]
        ],
        "keypoints": [
            [*origin, *point, is_inside]
            for origin, point, is_inside in zip(
                scene.keypoint_origins.tolist(), scene.keypoints.tolist(), inside, strict=True
            )
        ],
    }


def _images(
    data: bytes, entries: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], bytes, bytes]]:
    """(what is known, encoded image, encoded mask) of each image of an order."""
    found, at = [], 0
    for entry in entries:
        middle = at + entry["image_bytes"]
        end = middle + entry["mask_bytes"]
        found.append((entry, data[at:middle], data[middle:end]))
        at = end
    return found


class _Decoded:
    """Scenes of images; pixels are kept by content, because partners come again."""

    def __init__(self, making: Making) -> None:
        self.limits = making.limits
        self.keeps = DECODED_BYTES if making.built.n_partners else 0
        self._read_mask = MaskReader(making.limits)()
        self._kept: OrderedDict[bytes, tuple[Pixels, Pixels | None]] = OrderedDict()
        self._bytes = 0

    def scene(self, entry: Mapping[str, Any], image: bytes, mask: bytes, *, number: int) -> Scene:
        """The scene of an image in the part of `number`; raises `ImageError`."""
        if "error" in entry:
            raise ImageError(ErrorCode(entry["error"]), entry["detail"])
        pixels, layers = self._pixels(image, mask)
        return Scene.of(pixels, entry["boxes"], layers, entry["keypoints"], number)

    def _pixels(self, image: bytes, mask: bytes) -> tuple[Pixels, Pixels | None]:
        if not self.keeps:
            return self._open(image, mask)
        name = xxhash.xxh3_128_digest(image) + xxhash.xxh3_128_digest(mask)
        if name not in self._kept:
            found = self._open(image, mask)
            self._kept[name] = found
            self._bytes += found[0].nbytes
            while self._bytes > self.keeps and len(self._kept) > 1:
                _, (oldest, _) = self._kept.popitem(last=False)
                self._bytes -= oldest.nbytes
        self._kept.move_to_end(name)
        return self._kept[name]

    def _open(self, image: bytes, mask: bytes) -> tuple[Pixels, Pixels | None]:
        pixels = open_image(image, self.limits).rgb
        if not mask:
            return pixels, None
        return pixels, _fitted(self._read_mask(mask, ""), pixels)[None]


def _fitted(mask: Pixels, pixels: Pixels) -> Pixels:
    """The mask at the size of its image; raises `ImageError` where it is of another shape."""
    height, width = pixels.shape[:2]
    if mask.shape == (height, width):
        return mask
    if abs(mask.shape[0] - mask.shape[1] * height / width) > 1:
        detail = f"the mask is {mask.shape[1]} x {mask.shape[0]}, its image {width} x {height}"
        raise ImageError(ErrorCode.CORRUPT, detail)
    import cv2

    large = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(large, np.uint8)
