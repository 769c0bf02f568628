"""curate's sections: the later jobs' options, checked before anything runs."""

from pathlib import Path

import pytest
import yaml

from cvdata import Workspace
from jobs import curate
from tests.conftest import ROOT
from tests.jobs.flows import cvdata, make_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    make_photos(tmp_path / "photos", range(12))
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--outliers", "contamination=2"), "in outliers: contamination"),
        (("--outliers", "contaminatio=0.1"), "did you mean contamination"),
        (("--decide", '{"isues": {"blurry": "drop"}}'), "in decide: unknown option 'isues'"),
        (("--skip", "outlier"), "skip"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_listed(
    photos: Path, flags: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = photos / "w"
    assert cvdata("curate", photos / "photos", "--workspace", where, *flags) == 2
    assert message in capsys.readouterr().err
    assert not where.exists()


def test_sections_reach_their_jobs_and_what_is_skipped_is_not_there(photos: Path) -> None:
    where = photos / "w"
    flags = ("--outliers", '{"methods": ["histogram"]}', "--skip", "decide", "--skip", "report")
    assert cvdata("curate", photos / "photos", "--workspace", where, *flags) == 0
    workspace = Workspace(str(where))
    methods = set(workspace.read("outliers")["method"].to_pylist())
    assert methods == {"histogram"}
    assert not {"selection", "label_issues"} & set(workspace.head.tables)
    assert [commit.job for commit in workspace.commits()][-1] == "outliers"


def test_the_example_fits_every_job_of_the_chain() -> None:
    example = yaml.safe_load((ROOT / "jobs/configs/curate.yaml").read_text())
    config = curate.Config(source="photos", workspace="w", model="default", **example)
    assert len(curate.steps(config)) == 10
