"""Results as rows: the schemas of `embeddings/<model>` and `predictions/<model>`."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cvdata.errors import ImageError
from cvdata.models.base import Model, Prediction, Task
from cvdata.models.batching import Result
from cvdata.schema import ID

BOX = pa.list_(pa.float32(), 4)
POINT = pa.list_(pa.float32(), 3)
MASK = pa.struct([("size", pa.list_(pa.int32(), 2)), ("counts", pa.string())])

_HEAD = [
    pa.field("image_id", ID, nullable=False),
    pa.field("revision", pa.string(), nullable=False),
    pa.field("error", pa.string()),
    pa.field("error_detail", pa.string()),
]
_SCORED = [
    pa.field("label_ids", pa.list_(pa.int32())),
    pa.field("labels", pa.list_(pa.string())),
    pa.field("scores", pa.list_(pa.float32())),
]
_XYXY = pa.field("xyxy", pa.list_(BOX))

_COLUMNS: dict[Task, list[pa.Field]] = {
    Task.CLASSIFY: _SCORED,
    Task.DETECT: [*_SCORED, _XYXY],
    Task.SEGMENT: [*_SCORED, _XYXY, pa.field("masks", pa.list_(MASK))],
    Task.KEYPOINTS: [*_SCORED, _XYXY, pa.field("keypoints", pa.list_(pa.list_(POINT)))],
    Task.OCR: [*_SCORED, _XYXY],
    Task.IMAGE: [pa.field("image", pa.binary())],
}


def schema(model: Model) -> pa.Schema:
    """Columns of the model's table; findings of an image are parallel lists, best first.

    `labels` holds the class names, for OCR the words read. `masks` are COCO run-length encodings
    of the original size; `keypoints` are x, y, score; `image` is a PNG.
    """
    if model.task is Task.EMBED:
        vector = pa.list_(pa.float32(), model.dimension)
        return pa.schema([*_HEAD, pa.field("embedding", vector)])
    return pa.schema([*_HEAD, *_COLUMNS[model.task]])


def table_name(model: Model, name: str = "") -> str:
    """`embeddings/<name>` or `predictions/<name>`, as one path segment; the model's own name else.

    A job passes the name that the operator gave, so that `--model default` feeds
    `embeddings/default`.
    """
    kind = "embeddings" if model.task is Task.EMBED else "predictions"
    return f"{kind}/{segment(name or model.name)}"


def segment(name: str) -> str:
    """A model's name as one path segment: `torchvision/resnet50` -> `torchvision-resnet50`."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)


def to_table(model: Model, keys: pa.Table, results: Sequence[Result]) -> pa.Table:
    """Rows of `schema(model)`: `keys` (image_id, revision) and the result of each, in order."""
    errors = [r if isinstance(r, ImageError) else None for r in results]
    columns: dict[str, Any] = {
        "image_id": keys["image_id"],
        "revision": keys["revision"],
        "error": pa.array([e and e.code for e in errors], pa.string()),
        "error_detail": pa.array([e and e.detail for e in errors], pa.string()),
    }
    wanted = schema(model)
    for name in wanted.names[len(_HEAD) :]:
        kind = wanted.field(name).type
        if name == "embedding":
            columns[name] = _vectors(results, model.dimension or 0)
        else:
            values = [_value(model, r, name) for r in results]
            columns[name] = pa.array(values, kind)
    return pa.table(columns, schema=wanted)


def _vectors(results: Sequence[Result], dimension: int) -> pa.Array:
    """Vectors as one fixed-size list array, null where there is an error."""
    flat = np.zeros((len(results), dimension), np.float32)
    is_null = np.zeros(len(results), np.bool_)
    for i, result in enumerate(results):
        if isinstance(result, ImageError):
            is_null[i] = True
        elif isinstance(result, np.ndarray):
            flat[i] = result
    return pa.FixedSizeListArray.from_arrays(
        pa.array(flat.ravel()), dimension, mask=pa.array(is_null)
    )


def _value(model: Model, result: Result, name: str) -> Any:
    if not isinstance(result, Prediction):
        return None
    if name == "labels":
        if result.texts is not None:
            return list(result.texts)
        return [label_name(model, int(i)) for i in result.label_ids]
    if name == "image":
        return _png(result)
    values = getattr(result, name)
    return values.tolist() if isinstance(values, np.ndarray) else values


def label_name(model: Model, label_id: int) -> str:
    """The class's name, or its number where the model has none."""
    return model.labels[label_id] if 0 <= label_id < len(model.labels) else str(label_id)


def _png(result: Prediction) -> bytes | None:
    if result.image is None:
        return None
    from PIL import Image as PilImage

    buffer = io.BytesIO()
    PilImage.fromarray(result.image).save(buffer, "PNG")
    return buffer.getvalue()
