"""A small dataset made here, taken through the real chain: decode, measure, issues, summary."""

import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from cvdata.eda import summarize
from cvdata.errors import ImageError
from cvdata.image import open_image
from cvdata.issues import ISSUES, context, find_issues
from cvdata.measures import DEFAULT_MEASURES, build, measure_all
from cvdata.report import ERROR_ROWS, CommitFacts, IssueNote, ReportInput, encode_thumb, render
from cvdata.schema import RECORDS, image_id, measures_schema

LABELS = ("heron", "tram", "harbour seal")
ROOT = "/srv/private/photos"
LONG = ("summary", "counts", "histograms", "joint", "cooccurrence", "class_profile")


@dataclass(frozen=True)
class File:
    key: bytes
    data: bytes
    label: str
    split: str


def jpeg(rgb: np.ndarray, month: int) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    exif[0x0110] = "EOS 20D"
    exif[0x0132] = f"2024:{month:02d}:01 12:00:00"
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=90, exif=exif)
    return out.getvalue()


def files() -> list[File]:
    """Textures of three kinds in two splits; one dark, one flat, one cut short, one empty."""
    rng = np.random.default_rng(7)
    made = []
    for i in range(48):
        kind = i % len(LABELS)
        height, width = 60 + 4 * (i % 7), 80 + 8 * (i % 5)
        y, x = np.mgrid[0:height, 0:width]
        wave = 110 + 90 * np.sin((x * (kind + 1) + y) / (4 + kind))
        rgb = np.stack([wave, wave * 0.8, 200 - wave * 0.7], -1) + rng.normal(
            0, 9, (height, width, 3)
        )
        rgb = rgb.clip(0, 255) * (0.15 if i == 5 else 1.0)
        data = jpeg(rgb.astype(np.uint8), 1 + i % 12)
        key = f"{LABELS[kind]}/IMG_{i:04d}.jpg".encode()
        made.append(File(key, data, LABELS[kind], "train" if i % 4 else "test"))
    flat = jpeg(np.full((64, 64, 3), 128, np.uint8), 3)
    return [
        *made,
        File(b"tram/flat.jpg", flat, "tram", "train"),
        File(b"tram/cut.jpg", made[0].data[:900], "tram", "train"),
        File(b"tram/empty.jpg", b"", "tram", "test"),
    ]


def tables(some: list[File]) -> tuple[pa.Table, pa.Table, dict[bytes, bytes]]:
    """Records, measures, thumbnails."""
    chosen = [build(name) for name in DEFAULT_MEASURES]
    columns = [(field.name, field.dtype) for measure in chosen for field in measure.fields]
    records, measures, thumbs = [], [], {}
    for file in some:
        one = image_id("photos", file.key)
        row: dict[str, object] = {"image_id": one, "revision": "r"}
        try:
            image = open_image(file.data, name=file.key.decode())
        except ImageError as error:
            row.update(error=str(error.code), error_detail=error.detail)
        else:
            row.update(measure_all(chosen, image)[0])
            thumbs[one] = encode_thumb(image.rgb)
        measures.append(row)
        records.append(
            {
                "image_id": one,
                "revision": "r",
                "source": "photos",
                "key": file.key,
                "uri": f"{ROOT}/{file.key.decode()}",
                "split": file.split,
                "label": file.label,
                "boxes": [
                    {"label": file.label, "xyxy": [2.0, 2.0, 30.0, 40.0]},
                    {"label": "sky", "xyxy": [0.0, 0.0, 60.0, 20.0]},
                ],
            }
        )
    return (
        pa.Table.from_pylist(records, schema=RECORDS),
        pa.Table.from_pylist(measures, schema=measures_schema(columns)),
        thumbs,
    )


def tally(column: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()}


@pytest.fixture(scope="session")
def data() -> ReportInput:
    """51 files, two of which cannot be read."""
    records, measures, thumbs = tables(files())
    issues = find_issues(measures, records, context([measures]))
    wide = measures
    for column in ("source", "split", "label", "boxes"):
        wide = wide.append_column(RECORDS.field(column), records[column])
    summary = summarize(wide)
    flagged = issues.filter(issues["is_flagged"])
    failed = measures.filter(pc.is_valid(measures["error"]))
    named = failed.select(["image_id", "error", "error_detail"]).join(
        records.select(["image_id", "key", "uri"]), "image_id"
    )
    return ReportInput(
        title="Photos of the coast",
        commit=CommitFacts(
            seq=4,
            job="eda",
            created="2026-11-22T01:20:00",
            config_digest="5f70bf18a0860070",
            versions={"cvdata": "0.1.0", "pillow": "13.0.0"},
            tables={"records": records.num_rows, "issues": issues.num_rows},
        ),
        n_records=records.num_rows,
        n_ok=measures.num_rows - failed.num_rows,
        errors=tally(failed["error"]),
        error_rows=named.select(ERROR_ROWS.names).cast(ERROR_ROWS),
        records=records,
        issues=flagged,
        issue_counts=tally(flagged["issue"]),
        issue_notes=tuple(
            IssueNote(i.name, i.doc, i.definition, i.threshold, i.reason, i.columns == ("error",))
            for i in ISSUES
        ),
        tables={name: getattr(summary, name) for name in LONG},
        answers=summary.answers,
        thumbs=thumbs,
    )


@pytest.fixture(scope="session")
def page(data: ReportInput) -> str:
    return render(data)
