"""The decode limits as a config writes them."""

from pydantic import Field

from cvdata.config import Frozen
from cvdata.image import Limits


class ImageLimits(Frozen):
    """What is decoded at all; anything beyond is an error row."""

    max_bytes: int = Field(Limits().max_bytes, ge=1)
    """Largest file, bytes."""
    max_pixels: int = Field(Limits().max_pixels, ge=1)
    """Most pixels."""
    max_side: int = Field(Limits().max_side, ge=1)
    """Longest side, pixels."""
    formats: list[str] = sorted(Limits().formats)
    """Formats that are decoded; AVIF, HEIF and JPEG2000 on request."""

    def build(self) -> Limits:
        """As the decoder takes them."""
        values = self.model_dump() | {"formats": frozenset(f.upper() for f in self.formats)}
        return Limits(**values)
