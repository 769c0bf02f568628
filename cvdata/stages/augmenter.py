"""What runs in the sandbox to augment: bytes of a parent and its partners -> encoded copies.

One order is one parent and some of its variants. Its images travel as one blob, what is known of
them as JSON in place of a name. It is decoded once for all its variants.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xxhash

from cvdata.augment.policy import Policy, Written
from cvdata.augment.scene import Pixels, Scene
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
        own = np.ascontiguousarray(pixels)
        if self.format == "jpeg":
            import simplejpeg

            return bytes(simplejpeg.encode_jpeg(own, self.quality, "RGB", "444"))
        import cv2

        flipped = own if own.ndim == 2 else np.ascontiguousarray(own[..., ::-1])
        _, data = cv2.imencode(".png", flipped, [cv2.IMWRITE_PNG_COMPRESSION, 6])
        return data.tobytes()


MASK_ENCODING = Encoding("png")


@dataclass(frozen=True)
class Augmenter:
    """What the sandbox runs; small, it travels. `operations` are as the config wrote them."""

    policy: str
    operations: tuple[Written, ...]
    encoding: Encoding
    limits: Limits
    min_visible: float

    def __call__(self) -> Callable[[bytes, str], list[Made]]:
        """Build the policy where the pixels will be, and load what it needs."""
        pin_threads()
        policy = Policy.of(self.policy, self.operations)
        decoded = _Decoded(self.limits, DECODED_BYTES if policy.n_partners else 0)
        pixels = np.zeros((48, 48, 3), np.uint8)
        partners = tuple(Scene.of(pixels, number=n + 1) for n in range(policy.n_partners))
        # Libraries load on first use: now, not on the time of the first image.
        policy(replace(Scene.of(pixels), partners=partners), 0)

        def augment(data: bytes, order: str) -> list[Made]:
            asked = json.loads(order)
            images = _images(data, asked["images"])
            parent = decoded.scene(*images[0], number=0)
            return [
                self._variant(policy, parent, images, variant, decoded)
                for variant in asked["variants"]
            ]

        return augment

    def _variant(
        self,
        policy: Policy,
        parent: Scene,
        images: Sequence[tuple[Mapping[str, Any], bytes, bytes]],
        variant: Mapping[str, Any],
        decoded: "_Decoded",
    ) -> Made:
        try:
            partners = tuple(
                decoded.scene(*images[place], number=number)
                for number, place in enumerate(variant["partners"], 1)
            )
            scene, done = policy(replace(parent, partners=partners), variant["seed"])
            return self._made(scene, done)
        except ImageError as error:
            return {"error": str(error.code), "detail": error.detail}
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  an operation may be anybody's code
            detail = printable(f"{type(error).__name__}: {error}")
            return {"error": str(ErrorCode.AUGMENT_FAILED), "detail": detail}

    def _made(self, scene: Scene, done: list[dict[str, Any]]) -> Made:
        is_left = (scene.visible >= self.min_visible) & (scene.visible > 0)
        origins = scene.box_origins.tolist()
        boxes = scene.boxes.tolist()
        inside = scene.inside().tolist()
        masks = None if scene.masks is None or not len(scene.masks) else scene.masks[0]
        return {
            "image": self.encoding(scene.pixels),
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

    def __init__(self, limits: Limits, keeps: int) -> None:
        self.limits = limits
        self.keeps = keeps
        self._read_mask = MaskReader(limits)()
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
        layer = self._read_mask(mask, "")
        if layer.shape != pixels.shape[:2]:
            detail = f"the mask is {layer.shape[::-1]}, its image {pixels.shape[1::-1]}"
            raise ImageError(ErrorCode.CORRUPT, detail)
        return pixels, layer[None]
