"""The size and orientation of an image from its header: a bounded read, no pixels decoded."""

import io
from typing import Any, NamedTuple

from PIL import ExifTags
from PIL import Image as PilImage

MAX_HEADER_BYTES = 4 * 1024 * 1024
_FIRST_BYTES = 64 * 1024
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


class Stored(NamedTuple):
    """Width and height as stored, and the EXIF orientation (1 where there is none)."""

    width: int
    height: int
    orientation: int = 1

    @property
    def oriented(self) -> tuple[int, int]:
        """Width and height after orientation."""
        if self.orientation >= 5:
            return self.height, self.width
        return self.width, self.height


def read_header(file: Any) -> Stored:
    """Read from an open image; ValueError where its header is broken or beyond 4 MB.

    OSError is raised for storage only: what Pillow says of the content becomes ValueError.
    """
    data: bytes = file.read(_FIRST_BYTES)
    try:
        return parse_header(data)
    except ValueError:
        rest: bytes = file.read(MAX_HEADER_BYTES - len(data))
        if not rest:
            raise
    return parse_header(data + rest)


def parse_header(data: bytes) -> Stored:
    """The header at the start of `data`; ValueError where there is none."""
    PilImage.preinit()
    PilImage.init()
    try:
        for name in _FORMATS:
            # the plugin itself: Image.open would warn of size, which no reader of headers minds
            factory, accepts = PilImage.OPEN[name]
            if accepts is not None and accepts(data[:16]) is True:
                with factory(io.BytesIO(data), "") as image:
                    return Stored(*image.size, _orientation(image))
    except Exception as error:  # Pillow raises many kinds at broken files
        raise ValueError(f"broken header: {type(error).__name__}: {error}") from error
    raise ValueError("no header of an image")


def _orientation(image: PilImage.Image) -> int:
    if image.format == "PNG":  # getexif() would decode the pixels in search of a late chunk
        exif = PilImage.Exif()
        if image.info.get("exif"):
            exif.load(image.info["exif"])
    else:
        exif = image.getexif()
    value = exif.get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
