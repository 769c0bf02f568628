"""CleanVision 0.3.7's definitions, computed here with Pillow and NumPy, on real photographs.

Grayscale is ours on purpose (pixels, not the mode string); `docs/issues.md` says how they differ.
"""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter, ImageStat

from cvdata.image import open_image
from cvdata.issues import ISSUES, Columns, context, find_issues
from cvdata.measures import build, measure_all
from cvdata.schema import image_id, measures_schema

THRESHOLDS = {
    "dark": 0.32,
    "light": 0.05,
    "odd_aspect_ratio": 0.35,
    "low_information": 0.3,
    "blurry": 0.29,
    "odd_size": 0.5,
}


def scores(image: Image.Image) -> dict[str, float]:
    """Of one image; `odd_size` holds the size."""
    width, height = image.size
    r, g, b = (np.asarray(image)[..., c].astype(int) for c in range(3))
    bright = np.sqrt(0.241 * r * r + 0.691 * g * g + 0.068 * b * b) / 255
    p5, p99 = np.percentile(bright, [5, 99])
    ratio = max(width, height) / 64
    small = (
        image.resize((max(int(width // ratio), 1), max(int(height // ratio), 1)))
        if ratio > 1
        else image
    ).convert("L")
    edges = math.sqrt(ImageStat.Stat(small.filter(ImageFilter.FIND_EDGES)).var[0])
    blur = 1 - math.exp(-0.01 * edges)
    spread = 1 - math.exp(-0.01 * float(np.std(small.histogram())))
    return {
        "dark": float(p99),
        "light": 1 - float(p5),
        "odd_aspect_ratio": min(width / height, height / width),
        "low_information": min(1.0, 0.1 * image.entropy()),
        "blurry": min(blur + (spread if spread > 0.18 else 0), 1),
        "odd_size": math.sqrt(width) * math.sqrt(height),
    }


def with_odd_size(rows: list[dict[str, float]]) -> None:
    """Replace the sizes by their scores."""
    sizes = np.array([row["odd_size"] for row in rows])
    q1, q3 = np.percentile(sizes, [25, 75])
    low, high = q1 - 3 * (q3 - q1), q3 + 3 * (q3 - q1)
    for row, size in zip(rows, sizes, strict=True):
        row["odd_size"] = 1 - min(abs(size - (low + high) / 2) / (high - low), 1)


def measured(images: dict[bytes, bytes]) -> pa.Table:
    chosen = [build(name) for name in ("geometry", "exposure", "information", "blur")]
    fields = [(field.name, field.dtype) for m in chosen for field in m.fields]
    rows = []
    for key, data in images.items():
        values, failures = measure_all(chosen, open_image(data))
        assert not failures
        rows.append({"image_id": image_id("s", key), "revision": "r", **values})
    return pa.Table.from_pylist(rows, schema=measures_schema(fields))


def compare(paths: list[Path]) -> None:
    files = {str(path).encode(): path.read_bytes() for path in paths}
    table = measured(files)
    expected = []
    for path in paths:
        with Image.open(path) as image:
            expected.append(scores(image.convert("RGB")))
    with_odd_size(expected)
    dataset = context([table])
    found = find_issues(table, None, dataset)
    flagged = {(row["image_id"], row["issue"]) for row in found.to_pylist() if row["is_flagged"]}
    ids, differ = table["image_id"].to_pylist(), []
    for issue in ISSUES:
        if issue.name not in THRESHOLDS:
            continue
        ours = 1 - issue(Columns(table), dataset)
        theirs = np.array([row[issue.name] for row in expected])
        assert np.abs(ours - theirs).max() < 1e-4, issue.name
        flags = theirs < THRESHOLDS[issue.name]
        for path, i, flag, score in zip(paths, ids, flags, theirs, strict=True):
            if ((i, issue.name) in flagged) != flag:
                differ.append((path.name, issue.name, score))
    assert len(differ) <= 0.001 * len(THRESHOLDS) * len(paths), differ


def test_planted_extremes(tmp_path: Path) -> None:
    """Each definition's bad end, beside ordinary ones: all must be flagged alike."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    y, x = np.mgrid[:240, :320]
    # Dark at the rim: Pillow's edge filter copies the outermost pixels.
    bump = 200 * (1 - np.maximum(np.abs(x / 160 - 1), np.abs(y / 120 - 1)))
    kinds = {
        "plain": texture,
        "plain2": texture[:200, :300],
        "plain3": texture[:220, :310],
        "plain4": texture[:180, :280],
        "dark": texture // 5,
        "light": 250 + texture // 64,
        "strip": texture[:40],
        "flat": np.full_like(texture, 90),
        "smooth": np.repeat(bump.astype(np.uint8)[..., None], 3, 2),
        "huge": np.tile(texture, (6, 6, 1)),
    }
    paths = []
    for name, pixels in kinds.items():
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(pixels).save(paths[-1])
    compare(paths)
    table = measured({str(p).encode(): p.read_bytes() for p in paths})
    found = find_issues(table, None, context([table]))
    names = {image_id("s", str(p).encode()): p.stem for p in paths}
    flagged = {(names[r["image_id"]], r["issue"]) for r in found.to_pylist() if r["is_flagged"]}
    for pair in (
        ("dark", "dark"),
        ("light", "light"),
        ("strip", "odd_aspect_ratio"),
        ("flat", "low_information"),
        ("smooth", "blurry"),
        ("huge", "odd_size"),
    ):
        assert pair in flagged
    assert not [issue for name, issue in flagged if name.startswith("plain")]


def test_photographs(shared_data: Path) -> None:
    compare(sorted((shared_data / "imagenet_sample").glob("*.JPEG"))[::4])


@pytest.mark.slow
def test_all_photographs(shared_data: Path) -> None:
    compare(sorted((shared_data / "imagenet_sample").glob("*.JPEG")))
