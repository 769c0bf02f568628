"""A model's input on its way from the CPU that made it to the device: rows of one Arrow table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata.errors import ErrorCode, ImageError
from cvdata.models.base import Geometry, Prepared
from cvdata.schema import ID

_GEOMETRY = pa.struct(
    [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("scale_x", pa.float64()),
        ("scale_y", pa.float64()),
        ("left", pa.float64()),
        ("top", pa.float64()),
    ]
)

PREPARED = pa.schema(
    [
        pa.field("image_id", ID, nullable=False),
        pa.field("revision", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("error_detail", pa.string()),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("geometry", _GEOMETRY),
        pa.field("pixels", pa.large_binary()),
    ]
)
"""`pixels` are uint8 (height, width, 3), row by row; null, as is the rest, where there is an error.
They lie one after the other in one buffer, so that images of one size are an array as they are."""


def pack(keys: pa.Table, results: Sequence[Prepared | ImageError]) -> pa.Table:
    """Rows of PREPARED: `keys` (image_id, revision) and what became of each, in order."""
    good = [r if isinstance(r, Prepared) else None for r in results]
    errors = [r if isinstance(r, ImageError) else None for r in results]
    return pa.table(
        {
            "image_id": keys["image_id"],
            "revision": keys["revision"],
            "error": pa.array([e and str(e.code) for e in errors], pa.string()),
            "error_detail": pa.array([e and e.detail for e in errors], pa.string()),
            "height": pa.array([p and p.pixels.shape[0] for p in good], pa.int32()),
            "width": pa.array([p and p.pixels.shape[1] for p in good], pa.int32()),
            "geometry": pa.array([p and _fields(p.geometry) for p in good], _GEOMETRY),
            "pixels": _buffer([None if p is None else p.pixels for p in good]),
        },
        schema=PREPARED,
    )


def unpack(rows: pa.Table) -> list[Prepared | ImageError]:
    """What `pack` was given; pixels are read-only views of the table's own memory."""
    pixels = rows["pixels"].combine_chunks()
    offsets = np.frombuffer(pixels.buffers()[1], np.int64)[pixels.offset :]
    data = np.frombuffer(pixels.buffers()[2] or b"", np.uint8)
    columns = (rows[name].to_pylist() for name in PREPARED.names[2:7])
    found: list[Prepared | ImageError] = []
    for i, (error, detail, height, width, geometry) in enumerate(zip(*columns, strict=True)):
        if error is not None:
            found.append(ImageError(ErrorCode(error), detail or ""))
            continue
        view = data[offsets[i] : offsets[i + 1]].reshape(height, width, 3)
        found.append(Prepared(view, Geometry(**geometry)))
    return found


def _fields(geometry: Geometry) -> dict[str, Any]:
    names = [field.name for field in _GEOMETRY]
    return {name: getattr(geometry, name) for name in names}


def _buffer(images: Sequence[npt.NDArray[np.uint8] | None]) -> pa.Array:
    """One large binary an image, null where there is none; each pixel is copied once."""
    sizes = np.array([0 if image is None else image.nbytes for image in images], np.int64)
    offsets = np.zeros(len(images) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    for image, start, end in zip(images, offsets, offsets[1:], strict=False):
        if image is not None:
            data[start:end] = image.reshape(-1)
    is_valid = pa.array([image is not None for image in images], pa.bool_())
    buffers = [is_valid.buffers()[1], pa.py_buffer(offsets), pa.py_buffer(data)]
    n_null = sum(image is None for image in images)
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(images), buffers, n_null)
