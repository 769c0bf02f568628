"""Gates count what the tables hold, pass at their limit, and fail where nobody looked."""

from pathlib import Path

import pytest

from cvdata import Workspace
from cvdata.config import Gates
from cvdata.errors import ConfigError
from cvdata.runs.gates import Checked, check_gates, refuse_unknown
from cvdata.sample import Truth

LESS = 1e-9


@pytest.fixture(scope="module")
def counted(decided: tuple[Path, Truth]) -> tuple[Workspace, dict[str, float]]:
    """The workspace, and each value counted row by row."""
    workspace = Workspace(str(decided[0] / "w"))
    n = workspace.tables()["records"]
    rows = {
        name: workspace.read(name).to_pylist() for name in ("issues", "duplicates", "selection")
    }
    dark = {r["image_id"] for r in rows["issues"] if r["issue"] == "dark" and r["is_flagged"]}
    values = {
        "max_bad": sum(e is not None for e in workspace.read("measures")["error"].to_pylist()) / n,
        "max_flagged:dark": len(dark) / n,
        "max_copies": len({r["image_id"] for r in rows["duplicates"] if not r["is_keeper"]}) / n,
        "max_leaks": float(len(workspace.read("leaks"))),
        "min_kept": sum(r["keep"] for r in rows["selection"]) / n,
    }
    assert min(values.values()) > 0
    return workspace, values


def _gates(limits: dict[str, float]) -> Gates:
    plain = {k: v for k, v in limits.items() if ":" not in k}
    flagged = {k.partition(":")[2]: v for k, v in limits.items() if ":" in k}
    return Gates.model_validate({**plain, "max_flagged": flagged})


def _by_name(found: list[Checked]) -> dict[str, Checked]:
    return {gate.name: gate for gate in found}


def test_a_gate_passes_at_its_limit(counted: tuple[Workspace, dict[str, float]]) -> None:
    workspace, values = counted
    found = _by_name(check_gates(workspace, _gates(values)))
    assert {name: gate.value for name, gate in found.items()} == pytest.approx(values)
    assert not [gate.line() for gate in found.values() if gate.is_failed]


def test_a_gate_fails_beyond_its_limit(counted: tuple[Workspace, dict[str, float]]) -> None:
    workspace, values = counted
    less = {k: v + LESS if k == "min_kept" else v - LESS for k, v in values.items()}
    less["max_leaks"] = values["max_leaks"] - 1
    found = check_gates(workspace, _gates(less))
    assert {gate.name for gate in found if gate.is_failed} == set(values)


def test_what_nobody_looked_for_fails(
    counted: tuple[Workspace, dict[str, float]], tmp_path: Path
) -> None:
    found = check_gates(counted[0], _gates({"max_flagged:no_such_issue": 1.0}))
    assert [(gate.value, gate.is_failed) for gate in found] == [(None, True)]
    empty = check_gates(Workspace(str(tmp_path)), _gates({**counted[1], "min_kept": 0.0}))
    assert {gate.name for gate in empty if gate.is_failed} == set(counted[1])
    found = check_gates(counted[0], Gates(min_metrics={"nothing:accuracy": 0.1}))
    assert [gate.is_failed for gate in found] == [True]


def test_an_issue_that_flags_nothing_is_none_of_the_images(
    counted: tuple[Workspace, dict[str, float]],
) -> None:
    (found,) = check_gates(counted[0], _gates({"max_flagged:box_outside": 0.0}))
    assert (found.value, found.is_failed) == (0.0, False)


@pytest.mark.parametrize("wrong", [{"min_metrics": {"accuracy": 1}}, {"drift_limits": {"x": 1}}])
def test_what_could_never_be_checked_is_refused(wrong: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ConfigError):
        refuse_unknown(Gates.model_validate(wrong))
