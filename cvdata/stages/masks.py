"""Masks that belong to images: fetched, and decoded in the sandbox, as their raw pixel values."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image as PilImage

from cvdata.errors import ErrorCode, ImageError
from cvdata.image import Limits, open_image
from cvdata.sources.fetch import Fetcher
from cvdata.stages.isolation import shared_sandbox

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MaskReader:
    """bytes -> (H, W) uint8 as stored: indices of a palette, 0 or 1 of a bilevel mask, grey values.

    An RGB mask must be grey; a deeper one is `format_denied`.
    """

    limits: Limits = field(default_factory=Limits)

    def __call__(self) -> Callable[[bytes, str], Mask]:
        """Build it where the pixels will be."""
        limits = self.limits

        def read(data: bytes, name: str) -> Mask:
            image = open_image(data, limits, name)
            if image.header.mode in ("P", "1", "L"):
                with PilImage.open(io.BytesIO(data)) as stored:
                    return np.ascontiguousarray(np.asarray(stored, np.uint8))
            is_grey = (image.rgb == image.rgb[..., :1]).all()
            if "16" in image.header.mode or image.header.mode in ("I", "F") or not is_grey:
                raise ImageError(ErrorCode.FORMAT_DENIED, f"a mask of mode {image.header.mode}")
            return np.ascontiguousarray(image.rgb[..., 0])

        return read


def read_masks(records: pa.Table) -> Iterator[Mask | ImageError | None]:
    """The mask of each row's `mask_uri`, None where it has none, the error where it is unreadable.

    Masks lie as their images are seen, EXIF orientation applied.
    """
    uris = records["mask_uri"].to_pylist()
    places = [i for i, uri in enumerate(uris) if uri is not None]
    found: list[Mask | ImageError | None] = [None] * len(records)
    none = pa.nulls(len(places))
    wanted = pa.table(
        {
            "uri": pa.array([uris[i] for i in places], pa.string()),
            "offset": none.cast(pa.int64()),
            "length": none.cast(pa.int64()),
            "revision": pa.array([""] * len(places), pa.string()),
            "error": none.cast(pa.string()),
            "error_detail": none.cast(pa.string()),
        }
    )
    fetched: list[int] = []

    def bytes_of() -> Iterator[tuple[bytes, str]]:
        for place, data in zip(places, Fetcher().fetch(wanted), strict=True):
            if isinstance(data, ImageError):
                found[place] = data
            else:
                fetched.append(place)
                yield data, uris[place]

    with shared_sandbox(MaskReader()) as sandbox:
        for n, mask in enumerate(sandbox.map(bytes_of())):
            found[fetched[n]] = mask
    return iter(found)
