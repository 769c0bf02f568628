"""The example configs are ones that their jobs take, and the command line says what is wrong."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from cvdata.cli import JOBS, main
from cvdata.config import parse
from jobs import curate, eda, ingest
from tests.conftest import ROOT

EXAMPLES = sorted((ROOT / "jobs" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_taken_whole(path: Path) -> None:
    job = importlib.import_module(f"jobs.{path.stem}")
    source = ["photos"] if "source" in job.Config.model_fields else []
    config = parse(job.Config, [*source, "--workspace", "w", "--config", str(path)], path.stem)
    assert config.workspace == "w"
    assert job.Config.model_validate(config.model_dump(mode="json")) == config


def test_every_job_has_an_example() -> None:
    assert {p.stem for p in EXAMPLES} == set(JOBS)


@pytest.mark.parametrize("name", sorted(JOBS))
def test_help_explains_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    job = importlib.import_module(f"jobs.{name}")
    for field, info in job.Config.model_fields.items():
        assert field.replace("_", "-") in out or field.upper() in out
        assert info.description, f"{name}: {field} has no description"


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    from jobs.scan import Config

    path = tmp_path / "c.yaml"
    path.write_text("workspace: file\nmax_error_rate: 0.5\nlimits: {max_side: 10}\n")
    config = parse(Config, ["--config", str(path), "--workspace", "flag"], "scan")
    assert (config.workspace, config.max_error_rate, config.limits.max_side) == ("flag", 0.5, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_eror_rate: 1", "did you mean max_error_rate"),
        ("max_error_rate: 7", "less than or equal to 1"),
        ("- a list", "must hold options by name"),
        ("{", "is not YAML"),
    ],
)
def test_a_bad_file_says_what_to_change(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert main(["scan", "--workspace", "w", "--config", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_unknown_words_are_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curat"]) == 2
    assert "did you mean curate" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["scan", "--workspace", "w", "--chunk-row", "3"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert "did you mean --chunk-rows" in told
    assert len(told.splitlines()) == 2, "the answer is not below a page of usage"


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_job_is_a_script_as_well(name: str) -> None:
    done = subprocess.run(
        [sys.executable, f"jobs/{name}.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "--workspace" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["extra=q,w,split=val"], {"extra": "q,w", "split": "val"}),
        (["extra=q,w", "--source-options", "label=x=y"], {"extra": "q,w", "label": "x=y"}),
        (["delimiter=,"], {"delimiter": ","}),
        (["{extra: 'q,w', label: x}"], {"extra": "q,w", "label": "x"}),
        (['{"extra": "q,w"}'], {"extra": "q,w"}),
    ],
)
def test_a_mapping_on_the_command_line(words: list[str], expected: dict[str, str]) -> None:
    argv = ["src", "--workspace", "w", "--source-options", *words]
    assert parse(ingest.Config, argv, "ingest").source_options == expected
    given = parse(ingest.Config, ["s", "--workspace", "w", f"--source-options={words[0]}"], "i")
    assert given.source_options.items() <= expected.items()


def test_mappings_as_the_help_writes_them() -> None:
    argv = ["s", "--workspace", "w", "--gates.max-flagged", "{blurry: 0.05}", "--title", "{a: b}"]
    argv += ["--outliers", "{methods: [robust_z], contamination: 0.01}"]
    config = parse(curate.Config, argv, "curate")
    assert config.gates.max_flagged == {"blurry": 0.05}
    assert config.outliers == {"methods": ["robust_z"], "contamination": 0.01}
    assert config.title == "{a: b}", "text is left as it is"


@pytest.mark.parametrize(
    "words", [["--source-options", "foo"], ["--gates.max-flagged", "{blurry"], ["--issues", "dark"]]
)
def test_what_is_no_mapping_says_so(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curate", "s", "--workspace", "w", *words]) == 2
    assert "mapping" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--issues", "--issues.changes"])
def test_issues_by_flag(flag: str) -> None:
    words = ["--workspace", "w", flag, "{dark: {threshold: 0.2}, blurry: off}"]
    issues = {issue.name: issue for issue in parse(eda.Config, words, "eda").issues.issues()}
    assert issues["dark"].threshold == 0.2
    assert "blurry" not in issues
    off = parse(eda.Config, ["--workspace", "w", "--issues.changes", "dark=off"], "eda")
    assert "dark" not in {issue.name for issue in off.issues.issues()}


def test_names_that_a_shell_left_empty(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ingest", "", "--workspace", "w"], ["ingest", "s", "--workspace", ""],
                  ["status", "--workspace", ""]):  # fmt: skip
        assert main(words) == 2
        assert "at least 1 character" in capsys.readouterr().err
    assert main(["status", "--workspace", "foo://x"]) == 2
    assert "no workspace that can be opened" in capsys.readouterr().err
