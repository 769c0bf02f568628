"""Size of the image and identity of its pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cvdata.image import Image
from cvdata.kernels.digest import pixel_digest
from cvdata.measures.base import Field, Value


@dataclass(frozen=True)
class Geometry:
    """Sides after orientation."""

    name: ClassVar[str] = "geometry"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("width", "int32", "Width after orientation, pixels."),
        Field("height", "int32", "Height after orientation, pixels."),
        Field("aspect_ratio", "float32", "Width / height, > 0."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Read the shape of the decoded pixels."""
        height, width = image.rgb.shape[:2]
        return {"width": width, "height": height, "aspect_ratio": width / height}


@dataclass(frozen=True)
class PixelDigest:
    """Identity of the decoded pixels, whatever the container."""

    name: ClassVar[str] = "pixel_digest"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("pixel_digest", "binary[16]", "XXH3-128 of shape and decoded RGB pixels."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Digest the pixels."""
        return {"pixel_digest": pixel_digest(image.rgb)}
