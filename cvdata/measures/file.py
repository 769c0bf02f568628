"""Facts of the file and its header."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cvdata.image import Image
from cvdata.measures.base import Field, Value

_FLAGS = ("wrong_extension", "exif_invalid", "multi_frame", "was_cmyk", "was_16_bit")


@dataclass(frozen=True)
class File:
    """Size, checksum, container, EXIF and warnings: known without a pixel."""

    name: ClassVar[str] = "file"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (
        Field("size_bytes", "int64", "Size of the encoded file, bytes."),
        Field("format", "string", "Container by its magic bytes: JPEG, PNG, WEBP, …"),
        Field("mode", "string", "Pixel mode as stored, in Pillow's names: RGB, L, P, CMYK, …"),
        Field("bits", "int32", "Bits per channel as stored."),
        Field("sha256", "binary[32]", "SHA-256 of the encoded file; equal means the same bytes."),
        Field("n_frames", "int32", "Frames in the file; the first one is measured."),
        Field("has_alpha", "bool", "Whether the stored image has transparency."),
        Field("has_icc", "bool", "Whether an ICC profile is embedded (it is not applied)."),
        Field("exif_orientation", "int32", "EXIF orientation 1..8, already applied, or null."),
        Field("exif_datetime", "string", "EXIF capture time as written; null if absent."),
        Field("exif_make", "string", "EXIF camera maker; null if absent."),
        Field("exif_model", "string", "EXIF camera model; null if absent."),
        Field("exif_software", "string", "EXIF software; null if absent."),
        Field("has_gps", "bool", "Whether EXIF holds a position."),
        Field("jpeg_quality", "int32", "JPEG quality 1..100 from its tables; null if not a JPEG."),
        Field("is_progressive", "bool", "Whether a JPEG is progressive."),
        Field("trailing_bytes", "int64", "Bytes after the end of the image."),
        Field("wrong_extension", "bool", "Whether the extension names another format."),
        Field("exif_invalid", "bool", "Whether EXIF is present and cannot be read."),
        Field("multi_frame", "bool", "Whether there is more than one frame."),
        Field("was_cmyk", "bool", "Whether it was converted from CMYK."),
        Field("was_16_bit", "bool", "Whether it was reduced from more than 8 bits a channel."),
    )

    def __call__(self, image: Image) -> Mapping[str, Value]:
        """Read the header's facts and hash the bytes."""
        header = image.header
        values: dict[str, Value] = {
            field.name: getattr(header, field.name)
            for field in self.fields
            if hasattr(header, field.name)
        }
        values |= {flag: flag in header.flags for flag in _FLAGS}
        values["size_bytes"] = len(image.data)
        values["sha256"] = hashlib.sha256(image.data).digest()
        return values
