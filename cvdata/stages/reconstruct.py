"""Reconstruct: fetch and decode in the sandbox, two views an image; what is not given back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import pyarrow as pa

from cvdata.errors import ImageError
from cvdata.image import DECODE_VERSION, Limits, open_image
from cvdata.models.base import Pixels, device_name
from cvdata.schema import ID
from cvdata.sources.fetch import Fetcher
from cvdata.stages.base import Resources
from cvdata.stages.isolation import shared_sandbox
from cvdata.stages.predict import limits_text
from cvdata.storage import digest

TABLE = "reconstruction"
SIDE = 64
COLUMNS = (
    *("whole_luma_error", "whole_chroma_error", "detail_luma_error", "detail_chroma_error"),
    *("whole_luma_quiet", "whole_chroma_quiet", "detail_luma_quiet", "detail_chroma_quiet"),
)
SCHEMA = pa.schema(
    [
        pa.field("image_id", ID, nullable=False),
        pa.field("revision", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("error_detail", pa.string()),
        *(pa.field(name, pa.float32()) for name in COLUMNS),
    ]
)


@dataclass(frozen=True)
class TwoViews:
    """bytes -> uint8 (2, 64, 64, 3): the whole image, area averaged, and its middle as it is."""

    limits: Limits = field(default_factory=Limits)

    def __call__(self) -> Callable[[bytes, str], Pixels]:
        """Build it where the pixels will be."""
        limits = self.limits

        def views(data: bytes, name: str) -> Pixels:
            return two_views(open_image(data, limits, name).rgb)

        return views


def two_views(rgb: Pixels) -> Pixels:
    """uint8 (H, W, 3) -> (2, 64, 64, 3); an image below 64 is enlarged for its detail."""
    whole = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    height, width = rgb.shape[:2]
    if min(height, width) < SIDE:
        rgb = np.asarray(cv2.resize(rgb, (max(width, SIDE), max(height, SIDE))), np.uint8)
        height, width = rgb.shape[:2]
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    detail = rgb[top : top + SIDE, left : left + SIDE]
    return np.stack([np.asarray(whole, np.uint8), detail])


def views_of(records: pa.Table, limits: Limits) -> list[Pixels | ImageError]:
    """The two views of each row of `records`, or why there are none."""
    found: list[Pixels | ImageError | None] = [None] * len(records)
    places: list[int] = []

    def fetched() -> Iterator[tuple[bytes, str]]:
        uris = records["uri"].to_pylist()
        for i, data in enumerate(Fetcher(max_bytes=limits.max_bytes).fetch(records)):
            if isinstance(data, ImageError):
                found[i] = data
            else:
                places.append(i)
                yield data, uris[i]

    with shared_sandbox(TwoViews(limits)) as sandbox:
        for n, outcome in enumerate(sandbox.map(fetched())):
            found[places[n]] = outcome
    return [one for one in found if one is not None]


@dataclass(frozen=True)
class Reconstruct:
    """Rows of `records` -> how badly the autoencoder gives each image back."""

    weights: bytes
    limits: Limits = field(default_factory=Limits)
    resources: Resources = field(default_factory=Resources)

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of the weights, the decode version and the limits."""
        text = f"{TABLE} 2 decode {DECODE_VERSION}\n{limits_text(self.limits)}\n"
        return digest(text.encode() + self.weights)

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Schema by table."""
        return {TABLE: SCHEMA}

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint by table."""
        return {TABLE: self.fingerprint}

    def __call__(self, batch: pa.Table) -> dict[str, pa.Table]:
        """One row in, one row out; what cannot be read is a row with its code."""
        from cvdata.models.autoencoder import errors

        found = views_of(batch, self.limits)
        failed = [one if isinstance(one, ImageError) else None for one in found]
        seen = [one for one in found if not isinstance(one, ImageError)]
        values = np.full((len(batch), len(COLUMNS)), np.nan)
        if seen:
            is_seen = np.array([one is None for one in failed])
            values[is_seen] = errors(self.weights, np.stack(seen), device_name("auto"))
        columns = {
            "image_id": batch["image_id"],
            "revision": batch["revision"],
            "error": pa.array([e and str(e.code) for e in failed], pa.string()),
            "error_detail": pa.array([e and e.detail for e in failed], pa.string()),
        }
        for j, name in enumerate(COLUMNS):
            columns[name] = pa.array(values[:, j], pa.float32(), from_pandas=True)
        return {TABLE: pa.table(columns, schema=SCHEMA)}
