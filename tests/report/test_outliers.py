"""The section of outliers: counted, shown with a reason, listed in full; silent about nothing."""

import dataclasses
import json

import pyarrow as pa
import pytest
from reading import Page

from cvdata.report import ReportInput, render
from cvdata.report.findings import findings
from cvdata.report.outlier_facts import OUTLIER_ROWS, OutlierFacts, OutlierMethod
from cvdata.report.outliers import outliers, reason, shown_outliers
from cvdata.report.sharing import without_paths

REASONS = {
    "robust_z": ({"measures": [{"name": "mean_r", "z": 12.5}]}, "Mean r, z 12.5"),
    "knn": ({"score": 0.9, "usual": 0.5, "neighbors": []}, "0.9, usually 0.5"),
    "objects": ({"objects": [{"label": "yak", "other_images": 0}]}, "yak: in 0 other images"),
    "consensus": ({"flagged_by": ["knn", "lof"]}, "by 2 methods"),
    "kmeans": ({"cluster": {"is_rare": True, "name": "rare cluster 3"}}, "rare cluster 3"),
    "reconstruction": (
        {"errors": [{"name": "whole_luma_error", "z": 5.0}]},
        "Whole luma error, z 5",
    ),
}


@pytest.fixture
def strange(data: ReportInput) -> ReportInput:
    ids = list(data.thumbs)[:4]
    rows = [
        {"method": m, "image_id": i, "rank": n, "score": 9 - n, "explanation": json.dumps(told)}
        for m, (told, _) in REASONS.items()
        for n, i in enumerate(ids, start=1)
    ]
    methods = [OutlierMethod(m, 49, 4, 2, 0.5, 0.8) for m in REASONS]
    methods.append(OutlierMethod("lof", left_out="left out: no embeddings"))
    facts = OutlierFacts(
        tuple(methods), 49, 49, 2, "embeddings/default", 12, 0.8, 0.97, (("3: <cells>", 4),),
        pa.Table.from_pylist(rows, schema=OUTLIER_ROWS),
    )  # fmt: skip
    return dataclasses.replace(data, outliers=facts)


@pytest.mark.parametrize("method", REASONS)
def test_a_reason_is_few_words(method: str) -> None:
    told, expected = REASONS[method]
    assert reason(method, json.dumps(told)) == expected
    assert reason(method, None)


def test_the_section_counts_shows_and_lists(strange: ReportInput) -> None:
    (section,) = outliers(strange)
    page = Page.of(f"<body>{section.html}</body>")
    text = " ".join(page.text.replace("\u00a0", " ").split())
    assert "4 images (8.2 %) are unlike the others" in text
    assert "left out: no embeddings" in text
    assert "12 dimensions" in text
    for _, expected in REASONS.values():
        assert expected in text
    assert section.html.count("<img") == 4 * len(REASONS)
    assert len(section.downloads["outliers.csv"].splitlines()) == 1 + 4 * len(REASONS)
    assert set(shown_outliers(strange.outliers)) == set(list(strange.thumbs)[:4])
    assert ("Outliers", 4) in [(f.title, f.n) for f in findings(strange)]
    assert "&lt;cells&gt;" in render(strange)


def test_where_nobody_looked_the_section_says_so(data: ReportInput) -> None:
    (section,) = outliers(data)
    assert "cvdata outliers" in section.html
    assert "Outliers" not in [f.title for f in findings(data)]


def test_a_stale_section_says_so(strange: ReportInput) -> None:
    assert strange.outliers is not None
    stale = dataclasses.replace(strange.outliers, is_current=False)
    (section,) = outliers(dataclasses.replace(strange, outliers=stale))
    assert "has changed since" in section.html


def test_no_path_is_shared(strange: ReportInput) -> None:
    assert strange.outliers is not None
    label = "/srv/private/photos/cells"
    row = {
        "method": "kmeans", "image_id": next(iter(strange.thumbs)), "rank": 1, "score": 1.0,
        "explanation": json.dumps({"cluster": {"is_rare": True, "name": f"mostly '{label}'"}}),
    }  # fmt: skip
    rows = pa.Table.from_pylist([row], schema=OUTLIER_ROWS)
    facts = dataclasses.replace(strange.outliers, rows=rows, clusters=((label, 3),))
    shared = without_paths(dataclasses.replace(strange, outliers=facts)).outliers
    assert shared is not None
    assert "/srv" not in repr(shared.clusters) + repr(shared.rows.to_pylist())
