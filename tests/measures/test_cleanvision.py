"""CleanVision's properties, straight from DEFINITIONS.md with Pillow and NumPy."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image as PilImage
from PIL import ImageFilter, ImageStat

from cvdata.image import Header, Image, open_image
from cvdata.measures import build, measure_all
from tests.kernels.pictures import Rgb, pictures

MEASURES = [build(name) for name in ("geometry", "exposure", "information", "blur")]
THRESHOLDS = {
    "dark": 0.32,
    "light": 0.05,
    "odd_aspect_ratio": 0.35,
    "low_information": 0.3,
    "blurry": 0.29,
}


def defined(rgb: Rgb) -> dict[str, float]:
    pil = PilImage.fromarray(rgb)
    r, g, b = (rgb[:, :, c].astype(np.int64) for c in range(3))
    brightness = np.sqrt(0.241 * (r * r) + 0.691 * (g * g) + 0.068 * (b * b)) / 255
    p5, p99 = np.percentile(brightness, [5, 99])
    ratio = max(pil.size) / 64
    small = pil
    if ratio > 1:
        small = pil.resize(tuple(max(int(side // ratio), 1) for side in pil.size))
    small = small.convert("L")
    edges = ImageStat.Stat(small.filter(ImageFilter.FIND_EDGES)).var[0] ** 0.5
    return {
        "dark": p99,
        "light": 1 - p5,
        "odd_aspect_ratio": min(pil.width / pil.height, pil.height / pil.width),
        "low_information": min(1, 0.1 * pil.entropy()),
        "blurry": blurry(edges, float(np.std(small.histogram()))),
    }


def blurry(edges: float, spread: float) -> float:
    std = 1 - np.exp(-0.01 * spread)
    return float(min(1 - np.exp(-0.01 * edges) + (std if std > 0.18 else 0), 1))


def measured(rgb: Rgb) -> dict[str, float]:
    image = Image(b"", Header("PNG", "RGB", rgb.shape[1], rgb.shape[0]), rgb)
    values, failures = measure_all(MEASURES, image)
    assert failures == {}
    # as stored
    stored = {name: float(np.float32(v)) for name, v in values.items() if v is not None}
    return {
        "dark": stored["brightness_p99"],
        "light": 1 - stored["brightness_p5"],
        "odd_aspect_ratio": min(stored["aspect_ratio"], 1 / stored["aspect_ratio"]),
        "low_information": min(1, 0.1 * stored["entropy"]),
        "blurry": blurry(stored["blur_edge_std"], stored["blur_histogram_std"]),
    }


def test_photographs_score_and_flag_alike(shared_data: Path) -> None:
    paths = sorted((shared_data / "imagenet_sample").glob("*.JPEG"))
    flags = differing = 0
    for path in paths:
        rgb = open_image(path.read_bytes(), name=path.name).rgb
        expected, found = defined(rgb), measured(rgb)
        assert found == pytest.approx(expected, abs=1e-4), path.name
        flags += len(THRESHOLDS)
        differing += sum((found[k] < t) != (expected[k] < t) for k, t in THRESHOLDS.items())
    assert flags == 2500
    assert differing == 0


@settings(max_examples=150, deadline=None)
@given(pictures())
def test_any_picture_scores_alike(rgb: Rgb) -> None:
    assert measured(rgb) == pytest.approx(defined(rgb), abs=1e-4)
