"""A made-up wide table: measures joined with label, split, source and boxes."""

import numpy as np
import pyarrow as pa

from cvdata.eda.fields import IMAGE_FIELDS
from cvdata.schema import BOX, ID

DERIVED = {"megapixels", "aspect_ratio", "n_boxes"}
LABELS = ("heron", "tram", "harbour seal", "typewriter", "pineapple")


def fixed(values: np.ndarray, dtype: type) -> pa.Array:
    """(N, n) -> fixed-size lists."""
    flat = pa.array(values.astype(dtype).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def boxes(rng: np.random.Generator, n: int) -> pa.Array:
    """0 to 4 boxes an image, some without area; a tenth of the images not annotated."""
    k = rng.integers(0, 5, n)
    m = int(k.sum())
    corner, side = rng.uniform(0, 300, (m, 2)), rng.uniform(-2, 120, (m, 2))
    xyxy = fixed(np.concatenate([corner, corner + side], axis=1), np.float32)
    labels = pa.array(rng.choice(["person", "car", "bird", "boat"], m), mask=rng.random(m) < 0.05)
    items = pa.StructArray.from_arrays([labels, xyxy], fields=list(BOX))
    offsets = pa.array(np.r_[0, np.cumsum(k)], pa.int32(), mask=np.r_[rng.random(n) < 0.1, False])
    return pa.ListArray.from_arrays(offsets, items)


def wide(n: int, seed: int = 0) -> pa.Table:
    """Random facts in every column that is summarised; a tenth of the rows are errors."""
    rng = np.random.default_rng(seed)
    failed, label = rng.random(n) < 0.1, rng.integers(0, len(LABELS), n)
    columns = {
        "image_id": pa.array([rng.bytes(16) for _ in range(n)], ID),
        "error": pa.array(
            np.where(failed, "truncated", "measure_failed"), mask=rng.random(n) < 0.5
        ),
        "label": pa.array(np.array(LABELS)[label], mask=rng.random(n) < 0.1),
        "split": pa.array(rng.choice(["train", "val"], n)),
        "source": pa.array(rng.choice(["a", "b"], n)),
        "width": pa.array(rng.choice([640, 480, 1024, 333], n), pa.int32()),
        "height": pa.array(rng.choice([640, 480, 768], n), pa.int32()),
        "boxes": boxes(rng, n),
        "format": pa.array(rng.choice(["JPEG", "PNG"], n)),
        "mode": pa.array(rng.choice(["RGB", "L"], n)),
        "is_gray": pa.array(rng.random(n) < 0.2),
        "has_gps": pa.array(rng.random(n) < 0.1),
        "exif_orientation": pa.array(rng.integers(1, 9, n), pa.int32(), mask=rng.random(n) < 0.5),
        "exif_datetime": pa.array(
            rng.choice(["2020:01:02 10:00:00", "2021:11:30 23:59:59", "0000:00:00 00:00:00"], n),
            mask=rng.random(n) < 0.5,
        ),
        "exif_model": pa.array(rng.choice(["EOS 5D", "D70"], n), mask=rng.random(n) < 0.5),
        "lbp_hist": fixed(rng.dirichlet(np.ones(10), n), np.float32),
        "background_lab": fixed(label[:, None] * 12.0 + rng.normal(size=(n, 3)), np.float32),
        "dominant_colors": fixed(rng.integers(0, 256, (n, 9)), np.uint8),
    }
    for channel in "rgb":
        columns[f"hist_{channel}"] = fixed(rng.dirichlet(np.ones(16), n), np.float32)
    for field in IMAGE_FIELDS:
        if field.name not in DERIVED and field.name not in columns:
            values = rng.uniform(field.edges[0], field.edges[-1], n)
            columns[field.name] = pa.array(values.astype(np.float32), mask=rng.random(n) < 0.05)
    return pa.table(columns)
