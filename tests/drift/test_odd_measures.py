"""Measures that are null or infinite on a side: they count as missing, and nothing breaks."""

import json
from pathlib import Path

import numpy as np
import pytest

from cvdata.cli import main
from tests.outliers.making import workspace_of

N = 60


@pytest.mark.parametrize("turned", [False, True])
def test_null_and_infinite_measures_are_missing_values(tmp_path: Path, turned: bool) -> None:
    """Of one side all, of the other few or none; both ways round."""
    usual, few = np.random.default_rng(0).normal(0, 1, N), np.arange(N) < 3
    nothing, infinite = np.full(N, np.nan), np.full(N, np.inf)
    sides = {
        "a": {"same": usual, "null": nothing, "inf": np.where(few, np.inf, usual)},
        "b": {"same": usual, "null": usual, "inf": infinite},
    }
    for name, measures in sides.items():
        workspace_of(tmp_path / name, None, None, measures)
    names = [str(tmp_path / n) for n in (("b", "a") if turned else ("a", "b"))]
    written = tmp_path / "d.json", tmp_path / "d.html"
    flags = ("--json-file", str(written[0]), "--html", str(written[1]))
    assert main(["drift", *names, *flags]) == 8
    found = json.loads(written[0].read_text())
    alarms = {(c["name"], c["statistic"]) for c in found["checks"] if c["is_alarm"]}
    assert alarms == {("null", "psi"), ("inf", "psi")}
    assert "same" in written[1].read_text()
