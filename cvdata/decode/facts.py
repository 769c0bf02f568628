"""What a scanner reports about an encoded file before any pixel is decoded."""

from dataclasses import dataclass

from cvdata.errors import ErrorCode, ImageError


@dataclass(frozen=True)
class Facts:
    r"""Header facts. Width and height are those stored, before orientation.

    `mode` is Pillow's name of the pixel layout, empty where only the decoder knows it. `exif` is a
    TIFF structure (without `Exif\0\0`); `clean` is what the decoder is given instead of the file
    where the scanner cut the metadata out.
    """

    format: str
    width: int
    height: int
    mode: str = ""
    bits: int = 8
    n_frames: int = 1
    has_icc: bool = False
    exif: bytes | None = None
    xmp: bytes | None = None
    jpeg_quality: int | None = None
    is_progressive: bool = False
    trailing_bytes: int = 0
    clean: bytes | None = None


def truncated(detail: str) -> ImageError:
    """The file ends before its format says that it may."""
    return ImageError(ErrorCode.TRUNCATED, detail)


def corrupt(detail: str) -> ImageError:
    """What is there contradicts the format."""
    return ImageError(ErrorCode.CORRUPT, detail)


def unsupported(detail: str) -> ImageError:
    """A sound file of a kind that no decoder here reads."""
    return ImageError(ErrorCode.FORMAT_DENIED, detail)
