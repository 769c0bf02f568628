"""What runs in the sandbox for pictures that are looked at again: small views, nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata.errors import ImageError
from cvdata.image import Limits, open_image
from cvdata.sources.fetch import Fetcher
from cvdata.stages.isolation import shared_sandbox

GRAY_SIDE = 256


@dataclass(frozen=True)
class GrayThumb:
    """bytes -> (h, w) uint8, longest side at most `side`, area averaged: what verification sees."""

    limits: Limits = field(default_factory=Limits)
    side: int = GRAY_SIDE

    def __call__(self) -> Callable[[bytes, str], npt.NDArray[np.uint8]]:
        """Build it where the pixels will be."""
        limits, side = self.limits, self.side

        def thumb(data: bytes, name: str) -> npt.NDArray[np.uint8]:
            gray = open_image(data, limits, name).gray
            scale = side / max(gray.shape)
            if scale >= 1:
                return np.ascontiguousarray(gray)
            height, width = (max(1, round(n * scale)) for n in gray.shape)
            return np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA))

        return thumb


def gray_thumbs(records: pa.Table) -> Iterator[npt.NDArray[np.uint8] | None]:
    """A grey thumb for each row of `records`, decoded once; None where it cannot be read now."""
    places: list[int] = []
    found: list[npt.NDArray[np.uint8] | None] = [None] * len(records)

    def fetched() -> Iterator[tuple[bytes, str]]:
        uris = records["uri"].to_pylist()
        for i, data in enumerate(Fetcher(max_bytes=Limits().max_bytes).fetch(records)):
            if not isinstance(data, ImageError):
                places.append(i)
                yield data, uris[i]

    with shared_sandbox(GrayThumb()) as sandbox:
        for n, thumb in enumerate(sandbox.map(fetched())):
            if not isinstance(thumb, ImageError):
                found[places[n]] = thumb
    return iter(found)
