"""The sections of doubted labels and of the map: counted, seen once, hostile names harmless."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from reading import Page

from cvdata.report import CommitFacts, ReportInput, render
from cvdata.report.label_facts import LabelFacts, MapFacts
from cvdata.report.labels import labels, shown_labels
from cvdata.report.map import embedding_map
from cvdata.schema import LABEL_ISSUES, MAP

HOSTILE = "<script>alert(1)</script>"


def row(image_id: bytes, method: str, rank: int, suggested: str = "tram") -> dict[str, object]:
    return {
        "image_id": image_id,
        "revision": "1",
        "method": method,
        "label": HOSTILE,
        "suggested": suggested,
        "score": 1 - rank / 100,
        "rank": rank,
        "is_flagged": True,
        "explanation": "{}",
    }


@pytest.fixture
def doubtful(data: ReportInput) -> ReportInput:
    ids = list(data.thumbs)[:3]
    rows = [row(i, m, n) for m in ("consensus", "knn") for n, i in enumerate(ids, start=1)]
    rows.append(row(list(data.thumbs)[3], "knn", 4))
    learnt = {"accuracy": 0.9, "n_learnt": 49, "n_classes": 3, "n_rare_images": 2}
    facts = LabelFacts(
        {"consensus": 3, "knn": 4},
        {"consensus": 5, "knn": 6},
        {"embeddings": learnt},
        pa.Table.from_pylist(rows, LABEL_ISSUES),
        ((HOSTILE, "tram", 3),),
        is_current=False,
    )
    points = {
        "image_id": ids,
        "revision": ["1"] * 3,
        "x": [-1.0, 0.0, 1.0],
        "y": [1.0, 0.0, -1.0],
        "is_fitted": [True] * 3,
    }
    names = ("tram", HOSTILE, None)
    drawn = MapFacts("default", 100, pa.table(points, MAP), names, (False, True, False))
    return dataclasses.replace(data, labels=facts, maps=(drawn,))


def test_numbers_are_told_and_an_image_stands_once(doubtful: ReportInput) -> None:
    (section,) = labels(doubtful)
    assert "3 images (6.1" in section.html
    assert "2 images of rare classes were not judged" in section.html
    assert "cvdata labels" in section.html, "stale tables are said"
    assert section.html.count("<img") == 4
    assert len(shown_labels(doubtful.labels)) == len(set(shown_labels(doubtful.labels))) == 4
    assert section.downloads["label-issues.csv"].count("\n") == 8


def test_the_map_has_every_point_and_ring(doubtful: ReportInput) -> None:
    (section,) = embedding_map(doubtful)
    paths = [part for part in section.html.split("<path") if 'd="M' in part]
    assert sum(part.count("z") for part in paths if "f-" in part.split('"')[1]) >= 3
    assert sum("s-accent" in part for part in paths) == 1
    assert "3 of 100 images" in section.html


def test_hostile_names_and_pages_stay_whole(doubtful: ReportInput) -> None:
    page = render(doubtful)
    assert HOSTILE not in page
    Page(page)


def test_silent_where_nothing_ran(data: ReportInput) -> None:
    assert labels(data) == []
    assert embedding_map(data) == []
    assert shown_labels(None) == []


def test_a_large_map_stays_small() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    ids = [rng.bytes(16) for _ in range(n)]
    xy = rng.uniform(-1, 1, (2, n)).astype(np.float32)
    table = pa.table([ids, ["1"] * n, xy[0], xy[1], [True] * n], schema=MAP)
    facts = MapFacts("default", n, table, ("a",) * n, (False,) * n)
    data = ReportInput("t", CommitFacts(1, "map", ""), n, n, maps=(facts,))
    assert len(embedding_map(data)[0].html) < 150_000
