"""CleanVision, run by itself beside us, on photographs: the same scores and flags.

Set CVDATA_CLEANVISION to the Python of a virtual environment that has cleanvision 0.3.7.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cvdata import Workspace
from tests.jobs.flows import cvdata

ISSUES = ("dark", "light", "odd_aspect_ratio", "low_information", "blurry", "odd_size")
SCRIPT = """
import sys, json
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues(n_jobs=1, verbose=False)
frame = lab.issues
names = json.loads(sys.argv[2])
print("RESULT" + json.dumps({
    str(path): {n: [float(row[n + "_score"]), bool(row["is_" + n + "_issue"])] for n in names}
    for path, row in frame.iterrows()
}))
"""


def test_scores_and_flags_are_cleanvisions(shared_data: Path, tmp_path: Path) -> None:
    python = os.environ.get("CVDATA_CLEANVISION")
    if not python:
        pytest.skip("CVDATA_CLEANVISION names no Python that has cleanvision")
    photos = shared_data / "imagenet_sample"
    theirs = _theirs(python, photos)
    where = tmp_path / "w"
    cvdata("ingest", photos, "--workspace", where)
    cvdata("scan", "--workspace", where)
    config = tmp_path / "eda.yaml"
    config.write_text("issues: {keep: 0}\n")
    cvdata("eda", "--workspace", where, "--config", config)
    ours = _ours(Workspace(str(where)))
    assert set(ours) == set(theirs)
    gray = _gray_files(Workspace(str(where)))
    n_flags = n_same = 0
    for path, scores in theirs.items():
        for issue, (score, is_flagged) in scores.items():
            severity, mine = ours[path].get(issue, (0.0, False))
            n_flags += 1
            n_same += mine == is_flagged
            # On files stored as grey, CleanVision's entropy is that of one channel, ours of RGB.
            if not (issue == "low_information" and path in gray):
                assert abs((1 - severity) - score) < 1e-4, (path, issue)
    assert n_same >= 0.999 * n_flags


def _theirs(python: str, photos: Path) -> dict[str, dict[str, tuple[float, bool]]]:
    done = subprocess.run(
        [python, "-c", SCRIPT, str(photos), json.dumps(ISSUES)],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT"))
    found: dict[str, dict[str, tuple[float, bool]]] = json.loads(line.removeprefix("RESULT"))
    return {Path(path).name: scores for path, scores in found.items()}


def _named(workspace: Workspace, rows: pa.Table) -> list[str]:
    keys = workspace.read("records", ["image_id", "key"])
    names = dict(zip(keys["image_id"].to_pylist(), keys["key"].to_pylist(), strict=True))
    return [names[i].decode() for i in rows["image_id"].to_pylist()]


def _ours(workspace: Workspace) -> dict[str, dict[str, tuple[float, bool]]]:
    found: dict[str, dict[str, tuple[float, bool]]] = {}
    for name in _named(workspace, workspace.read("records", ["image_id"])):
        found[name] = {}
    rows = workspace.read("issues")
    for name, row in zip(_named(workspace, rows), rows.to_pylist(), strict=True):
        found[name][row["issue"]] = (float(np.float32(row["severity"])), row["is_flagged"])
    return found


def _gray_files(workspace: Workspace) -> set[str]:
    rows = workspace.read("measures", ["image_id", "mode"])
    names = _named(workspace, rows)
    return {n for n, mode in zip(names, rows["mode"].to_pylist(), strict=True) if mode == "L"}
