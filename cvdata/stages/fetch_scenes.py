"""The bytes of images and of their masks, each fetched once, in the order they are asked for."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from cvdata.errors import ImageError
from cvdata.image import Limits
from cvdata.sources.fetch import Fetcher
from cvdata.stages.augment_rows import Known

_COLUMNS = ["uri", "offset", "length", "revision", "error", "error_detail", "size_bytes"]

Fetched = tuple[dict[str, Any], bytes]
"""What the sandbox is told of an image, and its bytes, those of the mask behind them."""


def fetched_scenes(
    wanted: Sequence[Sequence[bytes]], known: Known, limits: Limits
) -> Iterator[list[Fetched]]:
    """For each list of ids what the sandbox needs of them.

    An image is read when it is first asked for, and let go after it was last asked for.
    """
    last: dict[bytes, int] = {}
    first: list[bytes] = []
    for n, ids in enumerate(wanted):
        for one in ids:
            if one not in last:
                first.append(one)
            last[one] = n
    arriving = _read(first, known, limits)
    held: dict[bytes, Fetched] = {}
    for n, ids in enumerate(wanted):
        for one in ids:
            while one not in held:
                name, scene = next(arriving)
                held[name] = scene
        yield [held[one] for one in ids]
        for one in set(ids):
            if last[one] == n:
                del held[one]


def _read(ids: Sequence[bytes], known: Known, limits: Limits) -> Iterator[tuple[bytes, Fetched]]:
    rows = known.rows(ids)
    uris = rows["mask_uri"].to_pylist()
    images = Fetcher(max_bytes=limits.max_bytes).fetch(rows.select(_COLUMNS))
    masks = Fetcher(max_bytes=limits.max_bytes).fetch(_mask_rows([u for u in uris if u]))
    for one, uri, image in zip(ids, uris, images, strict=True):
        mask = next(masks) if uri else b""
        entry = known.entry(one)
        bad = next((found for found in (image, mask) if isinstance(found, ImageError)), None)
        if bad is not None:
            entry |= {"error": str(bad.code), "detail": bad.detail}
            image = mask = b""
        assert isinstance(image, bytes) and isinstance(mask, bytes)  # noqa: S101, PT018  types
        yield one, (entry | {"image_bytes": len(image), "mask_bytes": len(mask)}, image + mask)


def _mask_rows(uris: list[str]) -> pa.Table:
    """What `Fetcher` needs of files of which nothing was listed."""
    none = pa.nulls(len(uris))
    return pa.table(
        {
            "uri": pa.array(uris, pa.string()),
            "offset": none.cast(pa.int64()),
            "length": none.cast(pa.int64()),
            "revision": pa.array([""] * len(uris), pa.string()),
            "error": none.cast(pa.string()),
            "error_detail": none.cast(pa.string()),
        }
    )
