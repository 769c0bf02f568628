"""Galleries show the worst first, tell what they leave out, and keep the page small."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reading import Page

from cvdata.report import ReportInput, encode_thumb
from cvdata.report.findings import findings, flagged_images
from cvdata.report.gallery import SHOWN, galleries
from cvdata.report.overview import overview
from cvdata.report.thumbnail import Album


def gradient(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (176, 176), (90, 40), (700, 500)])
def test_thumbnails_keep_the_ratio_and_carry_nothing(size: tuple[int, int]) -> None:
    data = encode_thumb(gradient(*size))
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    assert max(image.size) == min(176, max(size))
    height, width = size
    assert image.width / image.height == pytest.approx(width / height, rel=0.02) or 1 in image.size
    assert not image.getexif()
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_thumbnail_shows_the_image() -> None:
    rgb = gradient(300, 200)
    shown = np.asarray(Image.open(io.BytesIO(encode_thumb(rgb, 150))))
    exact = np.asarray(Image.fromarray(rgb).resize((100, 150), Image.Resampling.BOX))
    smooth = exact[20:100, 20:90].astype(float) - shown[20:100, 20:90]
    assert np.abs(smooth).mean() < 6


def test_only_reencoded_pictures_are_embedded() -> None:
    with pytest.raises(ValueError, match="re-encoded"):
        Album({b"a": b"<svg onload=alert(1)>"}).picture(b"a")


@given(st.integers(0, 40_000))
def test_an_album_never_spends_more_than_it_has(budget: int) -> None:
    thumbs = {bytes([i]): encode_thumb(gradient(20 + i, 30)) for i in range(8)}
    album = Album(thumbs, budget)
    given_out = [p for p in (album.picture(bytes([i])) for i in range(9)) if p is not None]
    assert album.spent == sum(len(p.uri) for p in given_out) <= budget


def test_the_worst_come_first(data: ReportInput) -> None:
    for section in galleries(data):
        text = Page.of(str(section.html))
        shown = [
            float(e.text[-4:]) for e in text.all("span") if e.attributes.get("class") == "severity"
        ]
        assert shown == sorted(shown, reverse=True)
        issue = section.anchor.removeprefix("issue-")
        assert 0 < len(shown) == min(SHOWN, data.issue_counts[issue])


def test_issues_that_repeat_an_error_have_no_gallery(data: ReportInput) -> None:
    assert "truncated" in data.issue_counts
    anchors = {section.anchor for section in galleries(data)}
    assert "issue-truncated" not in anchors
    assert {"issue-dark", "issue-low_information"} <= anchors


def test_a_cut_gallery_says_so(data: ReportInput) -> None:
    counts = {**data.issue_counts, "dark": 4321}
    without = dataclasses.replace(data, issue_counts=counts, thumbs={})
    html = next(s.html for s in galleries(without) if s.anchor == "issue-dark")
    text = " ".join(Page.of(f"<body>{html}</body>").text.split())
    assert "most severe of 4,321" in text
    assert "left out" in text


def test_findings_count_what_the_tables_count(data: ReportInput) -> None:
    told = {finding.anchor: finding.n for finding in findings(data)}
    assert told.pop("errors") == sum(data.errors.values()) == 2
    names = {note.name for note in data.issue_notes if not note.is_error}
    assert told == {f"issue-{k}": n for k, n in data.issue_counts.items() if k in names and n}


def test_an_image_that_lacks_a_measure_was_read(data: ReportInput) -> None:
    errors = {**data.errors, "measure_failed": 5}
    partly = dataclasses.replace(data, errors=errors, n_records=data.n_records + 5)
    told = {finding.anchor: finding.n for finding in findings(partly)}
    assert told["errors"] == 2
    assert told["error-measure_failed"] == 5
    assert "of which 2 (" in overview(partly)[0].html


def test_images_are_counted_once_however_many_issues_they_have(data: ReportInput) -> None:
    names = [note.name for note in data.issue_notes if not note.is_error]
    rows = [r for r in data.issues.to_pylist() if r["issue"] in names]
    assert flagged_images(data) == len({row["image_id"] for row in rows}) < len(rows)
    cut = dataclasses.replace(data, issues=data.issues.slice(1))
    assert flagged_images(cut) is None
    assert "flags were raised" in overview(cut)[0].html
    assert flagged_images(dataclasses.replace(cut, n_flagged=12)) == 12
