"""The sections on models: numbers as they were measured, escaped, shared, within the budget."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cvdata import Workspace
from cvdata.report import ReportInput, render
from cvdata.report.model_facts import ModelFacts
from cvdata.report.models import FLIPPED, shown_hardest
from cvdata.report.models import models as sections
from cvdata.runs.report import gather
from tests.jobs.flows import cvdata
from tests.jobs.odd_judges import COLOURS
from tests.report.reading import Page


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """36 pictures of three colours, twelve of them in a wrong folder, judged twice."""
    folder = tmp_path_factory.mktemp("judged")
    names = list(COLOURS)
    for i in range(36):
        said = names[(i + (i % 3 == 0)) % 3]
        path = folder / "photos" / ("train" if i % 2 else "val") / names[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30, 40 + i, 3), COLOURS[said], np.uint8)).save(path)
    where = folder / "w"
    folders = ("--label-from-folder", "--split-from-folder")
    cvdata("ingest", folder / "photos", "--workspace", where, *folders)
    cvdata("scan", "--workspace", where, "--measures", "file")
    judge = ("infer", "--workspace", where, "--model", "tests.jobs.odd_judges:Judge")
    assert cvdata(*judge) == 0
    config = folder / "new.yaml"
    config.write_text(json.dumps({"parameters": {"weights": "b"}, "replace": True}))
    assert cvdata(*judge, "--config", config) == 0
    return Workspace(str(where))


@pytest.fixture(scope="module")
def told(judged: Workspace) -> ReportInput:
    return gather(judged, "", 48, 200)


def test_the_section_tells_what_was_committed(judged: Workspace, told: ReportInput) -> None:
    (facts,) = told.models
    rows = judged.read("metrics/tests.jobs.odd_judges-Judge").to_pylist()
    numbers = {r["metric"]: r["value"] for r in rows if r["scope"] == "all"}
    assert facts.is_current
    assert facts.summary["accuracy"] == numbers["accuracy"]
    assert facts.comparison is not None
    assert facts.comparison["numbers"]["label_flips"] == numbers["label_flips"] > 0
    assert set(facts.splits) == {"train", "val"}
    page = Page.of(render(told))
    (section,) = (e for e in page.all("section") if e.attributes["id"].startswith("model-"))
    text = " ".join(section.text.split())
    assert f"{100 * numbers['accuracy']:.1f}\u00a0%" in section.text
    assert f"{numbers['ece']:.3f}" in text
    assert "red → blue" in text or "green → red" in text
    assert "Calibration." in text
    assert "The hardest images" in text


def test_the_hardest_have_pictures_and_names(told: ReportInput) -> None:
    (facts,) = told.models
    assert len(facts.hardest) == 12, "the second weights call every green red"
    shown = shown_hardest(told.models)
    assert set(shown) <= set(told.thumbs)
    assert shown[:12] == [row["image_id"] for row in facts.hardest]
    assert shown[12:] == [row["image_id"] for row in facts.flips[:FLIPPED]]
    (section,) = sections(told)
    listing = next(iter(section.downloads.values())).splitlines()
    assert listing[0] == "key,truth,predicted,score,truth_score"
    assert len(listing) == 1 + len(facts.hardest)
    keys = {r["key"].decode() for r in told.records.to_pylist()}
    assert {line.split(",")[0] for line in listing[1:]} <= keys


def test_what_ran_since_is_an_alarm(judged: Workspace, told: ReportInput) -> None:
    assert "ran again" not in render(told)
    stale = replace(told, models=tuple(replace(m, is_current=False) for m in told.models))
    assert "ran again" in render(stale)


def test_an_image_in_which_nothing_is_found_any_more_says_so(told: ReportInput) -> None:
    (facts,) = told.models
    flip = {**facts.flips[0], "before": "red", "after": None}
    comparison = {**(facts.comparison or {}), "flips": [flip]}
    (section,) = sections(replace(told, models=(replace(facts, comparison=comparison),)))
    assert "red → nothing found" in section.html


def test_names_are_text_and_paths_stay_here(told: ReportInput) -> None:
    evil, path = "<script>alert(1)</script>", "/srv/private/photos/cat"
    (facts,) = told.models
    confusions = [{"truth": evil, "predicted": path, "n": 3, "rate": 0.5}]
    hard = [{**facts.hardest[0], "truth": evil, "predicted": path}]
    odd = replace(told, models=(replace(facts, confusions=confusions, hardest=hard),))
    assert evil not in render(odd)
    assert "&lt;script&gt;" in render(odd)
    assert path in render(odd)
    assert path not in render(odd, share=True)


@pytest.mark.parametrize(
    ("kind", "summary", "says"),
    [
        ("boxes", {"map": 0.4567, "map_50": -1.0, "ece": 0.1}, "0.457"),
        ("masks", {"mean_iou": 0.75, "mean_dice": 0.857}, "0.750"),
        ("retrieval", {"precision_at_1": 0.5, "retrieval_map": 0.25}, "50.0 %"),
        ("", {}, "no ground truth"),
    ],
)
def test_every_kind_has_its_answer(
    told: ReportInput, kind: str, summary: dict[str, float], says: str
) -> None:
    hardest = [{"image_id": b"\0" * 16, "f1": 0.2, "missed": 2, "made_up": 0, "confused": 1}]
    facts = ModelFacts(
        "predictions/x", "x", "detect", kind, 10, 1, 2, summary, hardest=hardest,
        calibration={k: [0.0] for k in ("low", "high", "n", "confidence", "accuracy")},
    )  # fmt: skip
    (section,) = sections(replace(told, models=(facts,)))
    text = " ".join(str(section.html).split())
    assert says in text
    assert "2 missed, 1 confused" in text
    assert "1 image without a truth" in text
    assert "-1" not in text, "COCO's mark for nothing of that size is no number"


def test_no_model_no_section(told: ReportInput) -> None:
    assert sections(replace(told, models=())) == []
