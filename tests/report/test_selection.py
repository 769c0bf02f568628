"""The section on what stays: numbers are the figures', names escaped, silent where undecided."""

import dataclasses
import json
from pathlib import Path

import pytest
from reading import Page

from cvdata import Workspace
from cvdata.cli import main
from cvdata.report import ReportInput, render
from cvdata.report.selection import selection
from cvdata.report.selection_facts import GroupFacts, ReasonFacts, SelectionFacts
from cvdata.runs.report_selection import gather_selection
from tests.jobs.flows import make_photos

FACTS = SelectionFacts(
    n_images=1200,
    n_kept=900,
    reasons=(
        ReasonFacts("issue:dark", 120, 100, 0),
        ReasonFacts("duplicate:any", 200, 180, 0),
        ReasonFacts("issue:noisy", 0, 0, 31),
    ),
    classes=(GroupFacts("heron", 1000, 720, 0), GroupFacts("<i>tram", 190, 170, 400)),
    splits=(GroupFacts("train", 1100, 800, 400), GroupFacts("", 100, 100, 0)),
    floors={"<b>rare": 3},
    unmet=(("one", 11, 300.0),),
    n_copies=400,
    n_led_anew=2,
    weights="inverse",
    balanced_splits=("train",),
    absent=("outliers",),
)


def page(data: ReportInput, facts: SelectionFacts | None) -> str:
    return render(dataclasses.replace(data, selection=facts))


def test_there_is_no_section_where_nothing_was_decided(data: ReportInput) -> None:
    assert selection(dataclasses.replace(data, selection=None)) == []
    assert 'id="selection"' not in page(data, None)


def test_the_numbers_are_the_facts(data: ReportInput) -> None:
    (section,) = selection(dataclasses.replace(data, selection=FACTS))
    text = " ".join(Page.of(f"<body>{section.html}</body>").text.split())
    for told in (
        "900 of 1,200 images stay, 300 (25.0 %) drop.",
        "2 groups of copies keep another image than dedup chose",
        "Floors brought back 3 of <b>rare.",
        "plans 400 augmented copies",
        "Not at its target: one (11 of 300).",
        "inverse class frequency",
        "Not there, so not used: outliers.",
    ):
        assert told in text, told
    assert "changed since" not in text
    assert section.downloads["selection-classes.csv"].splitlines() == [
        "class,images,stay,share,copies,in the end",
        "heron,1000,720,72.0\u00a0%,,720",
        "<i>tram,190,170,89.5\u00a0%,400,570",
    ]
    assert "<b>rare" not in section.html
    assert "<i>tram" not in section.html


def test_reasons_stand_in_order_of_what_they_drop(data: ReportInput) -> None:
    (section,) = selection(dataclasses.replace(data, selection=FACTS))
    places = [section.html.index(r) for r in ("duplicate:any", "issue:dark", "issue:noisy")]
    assert places == sorted(places)


def test_a_stale_selection_says_so(data: ReportInput) -> None:
    (section,) = selection(
        dataclasses.replace(data, selection=dataclasses.replace(FACTS, is_current=False))
    )
    assert "cvdata decide" in section.html
    assert "changed since" in section.html


def test_all_stay(data: ReportInput) -> None:
    (section,) = selection(dataclasses.replace(data, selection=SelectionFacts(5, 5)))
    assert "All 5 images stay." in section.html


def run(*words: object) -> None:
    assert main([*map(str, words), "--engine", "serial"]) in (0, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selected")
    make_photos(folder / "photos" / "a", range(6))
    make_photos(folder / "photos" / "b", range(6, 8), (40, 30))
    place = ("--workspace", folder / "w")
    run("ingest", folder / "photos", *place, "--label-from-folder")
    run("scan", *place, "--measures", "file,geometry")
    (folder / "rules.yaml").write_text("sql: [{name: small, where: 'width < 64'}]")
    return folder


def test_gathered_from_a_workspace(folder: Path) -> None:
    workspace = Workspace(str(folder / "w"))
    assert gather_selection(workspace) is None
    run("decide", "--workspace", folder / "w", "--config", folder / "rules.yaml")
    facts = gather_selection(workspace.refresh())
    assert facts is not None
    assert (facts.n_images, facts.n_kept, facts.is_current) == (8, 6, True)
    assert facts.reasons == (ReasonFacts("user", 2, 2, 0),)
    assert facts.classes == (GroupFacts("a", 6, 6, 0), GroupFacts("b", 2, 0, 0))
    figures = json.loads(workspace.artifact("selection.json"))
    assert figures["n_dropped"] == 2
    run("eda", "--workspace", folder / "w")
    facts = gather_selection(workspace.refresh())
    assert facts is not None
    assert not facts.is_current, "an sql rule may ask any table"
