"""A made-up dataset of 1,200 photographs, small enough to build for every test session."""

import math

import numpy as np
import pyarrow as pa
import pytest

from cvdata.report import ERROR_ROWS, CommitFacts, IssueNote, ReportInput, encode_thumb
from cvdata.schema import (
    CLASS_PROFILE,
    COOCCURRENCE,
    COUNTS,
    HISTOGRAMS,
    ISSUES,
    JOINT,
    RECORDS,
    SUMMARY,
    image_id,
)

LABELS = ("heron", "lighthouse", "tram", "pineapple", "typewriter", "harbour seal")
NOTES = (
    IssueNote("dark", "Even the brightest pixels are dark.", "1 − p99 of brightness", 0.68),
    IssueNote("blurry", "Out of focus or smeared.", "1 − min(1, b + h)", 0.71, "CleanVision's."),
    IssueNote("odd_size", "Much larger or smaller than the rest.", "|s − middle| / range", 0.5),
    IssueNote("light", "Nearly white.", "5th percentile of brightness", 0.95),
    IssueNote("truncated", "The file ends early.", "1 where truncated", 0.5, is_error=True),
)
ERRORS = {"truncated": 31, "empty": 4, "not_an_image": 2}
N = 1200


def ids(n: int) -> list[bytes]:
    return [image_id("photos", key) for key in keys(n)]


def keys(n: int) -> list[bytes]:
    return [f"{LABELS[i % len(LABELS)]}/IMG_{i:05d}.jpg".encode() for i in range(n)]


def records(n: int) -> pa.Table:
    columns = {
        "image_id": ids(n),
        "revision": ["r"] * n,
        "source": ["photos"] * n,
        "key": keys(n),
        "uri": [f"/data/photos/{key.decode()}" for key in keys(n)],
    }
    absent = {field.name: [None] * n for field in RECORDS if field.name not in columns}
    return pa.table({**columns, **absent}, schema=RECORDS)


def issue_rows(counts: dict[str, int]) -> pa.Table:
    rows = [
        {
            "image_id": one,
            "revision": "r",
            "issue": issue,
            "severity": 1.0 - 0.3 * i / n,
            "is_flagged": True,
        }
        for issue, n in counts.items()
        for i, one in enumerate(ids(n))
    ]
    return pa.Table.from_pylist(rows, schema=ISSUES)


def error_rows(errors: dict[str, int]) -> pa.Table:
    rows = [
        {
            "image_id": image_id("photos", f"{code}/{i}.jpg".encode()),
            "key": f"{code}/{i}.jpg".encode(),
            "uri": f"/data/photos/{code}/{i}.jpg",
            "error": code,
            "error_detail": f"image file is {code} (12 bytes not processed)",
        }
        for code, n in errors.items()
        for i in range(n)
    ]
    return pa.Table.from_pylist(rows, schema=ERROR_ROWS)


def histogram_rows(field: str, low: float, high: float, at: float, wide: float) -> list[dict]:
    step = (high - low) / 40
    rows = []
    for i in range(40):
        middle = low + (i + 0.5) * step
        n = round(90 * math.exp(-(((middle - at) / wide) ** 2)))
        ends = {"low": low + i * step, "high": low + (i + 1) * step}
        rows.append({"scope": "all", "group": "", "field": field, **ends, "n": n})
    return rows


NUMERIC = {
    "width": (100, 2100, 640, 420),
    "height": (100, 1600, 480, 330),
    "aspect_ratio": (0.3, 3.1, 1.4, 0.4),
    "hist_r": (0, 256, 120, 80),
    "hist_g": (0, 256, 110, 70),
    "hist_b": (0, 256, 90, 70),
    "brightness_mean": (0, 1, 0.5, 0.2),
    "rms_contrast": (0, 0.5, 0.2, 0.08),
    "laplacian_variance": (0, 4000, 900, 900),
    "edge_density": (0, 0.5, 0.14, 0.09),
    "entropy": (0, 8, 7.1, 0.7),
    "size_bytes": (10_000, 900_000, 110_000, 160_000),
    "jpeg_quality": (20, 100, 92, 9),
}
CATEGORICAL = {
    "label": dict(zip(LABELS, (420, 310, 200, 140, 90, 40), strict=True)),
    "split": {"train": 960, "val": 120, "test": 120},
    "object": {"person": 812, "bird": 420, "car": 187, "boat": 90},
    "format": {"JPEG": 1100, "PNG": 90, "WEBP": 10},
    "mode": {"RGB": 1130, "L": 60, "RGBA": 10},
    "exif_make": {"Canon": 310, "NIKON CORPORATION": 220, "FUJIFILM": 45},
    "exif_month": {f"2024-{month:02d}": 20 + 7 * month for month in range(1, 13)},
    "has_gps": {"true": 240, "false": 960},
}


def tables() -> dict[str, pa.Table]:
    histograms = [row for field, shape in NUMERIC.items() for row in histogram_rows(field, *shape)]
    summary = [
        {"scope": "all", "group": "", "field": field, "statistic": statistic, "value": value}
        for field, shape in NUMERIC.items()
        for statistic, value in (("p50", float(shape[2])), ("mean", float(shape[2])), ("count", N))
    ]
    counts = [
        {"scope": "all", "group": "", "field": field, "value": value, "n": n}
        for field, values in CATEGORICAL.items()
        for value, n in values.items()
    ] + [
        {"scope": "split", "group": split, "field": "label", "value": label, "n": n // share}
        for split, share in (("train", 2), ("val", 8), ("test", 8))
        for label, n in CATEGORICAL["label"].items()
    ]
    joint = [
        {
            "scope": "all", "group": "", "field_x": "width", "field_y": "height",
            "x_low": 100 * i, "x_high": 100 * i + 100, "y_low": 100 * j, "y_high": 100 * j + 100,
            "n": round(60 * math.exp(-(((i - 6) / 3) ** 2) - (((j - 4) / 3) ** 2))),
        }
        for i in range(1, 21)
        for j in range(1, 16)
    ]  # fmt: skip
    pairs = [{"a": "bird", "b": "boat", "n": 61}, {"a": "car", "b": "person", "n": 150}]
    profile = [
        {"label": label, "field": field, "value": 3 + i, "spread": 0.4, "likeness": 0.9 - i / 5}
        for i, label in enumerate(LABELS)
        for field in ("gray_entropy", "edge_density", "background", "lighting")
    ]
    return {
        "summary": pa.Table.from_pylist(summary, schema=SUMMARY),
        "counts": pa.Table.from_pylist(counts, schema=COUNTS),
        "histograms": pa.Table.from_pylist(histograms, schema=HISTOGRAMS),
        "joint": pa.Table.from_pylist(joint, schema=JOINT),
        "cooccurrence": pa.Table.from_pylist(pairs, schema=COOCCURRENCE),
        "class_profile": pa.Table.from_pylist(profile, schema=CLASS_PROFILE),
    }


def thumbs(n: int) -> dict[bytes, bytes]:
    """Gradients of different hues and shapes, encoded as the job encodes photographs."""
    made = {}
    for i, one in enumerate(ids(n)):
        height, width = 120 + 37 * (i % 5), 120 + 53 * (i % 4)
        y, x = np.mgrid[0:height, 0:width]
        planes = [(x * (i % 3 + 1) + y * k) % 256 for k in (1, 2, i % 4)]
        made[one] = encode_thumb(np.stack(planes, axis=-1).astype(np.uint8))
    return made


@pytest.fixture(scope="session")
def data() -> ReportInput:
    counts = {"dark": 60, "blurry": 33, "odd_size": 3, "light": 0, "truncated": 31}
    return ReportInput(
        title="Photos of the coast",
        commit=CommitFacts(
            seq=4,
            job="eda",
            created="2026-11-22T01:20:00",
            config_digest="5f70bf18a0860070",
            versions={"cvdata": "0.1.0", "pillow": "13.0.0", "numpy": "2.4.0"},
            tables={"records": N, "measures": N, "issues": 127},
        ),
        n_records=N,
        n_ok=N - sum(ERRORS.values()),
        errors=ERRORS,
        error_rows=error_rows(ERRORS),
        records=records(60),
        issues=issue_rows({"dark": 60, "blurry": 33, "odd_size": 3}),
        issue_counts=counts,
        issue_notes=NOTES,
        tables=tables(),
        thumbs=thumbs(60),
    )
