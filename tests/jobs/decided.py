"""The small sample, everything found in it, decided; shared by the tests of decide."""

import shutil
from os import fsdecode
from pathlib import Path

from cvdata import Workspace, schema
from cvdata.sample import Truth, make_sample
from tests.jobs.flows import cvdata

RULES = """
issues: {blurry: drop, low_information: drop, dark: ignore}
floors: {other: 1}
sql:
  - {name: icons, where: "width < 64 OR height < 64"}
  - {name: strips, where: "aspect_ratio > 2", action: warn}
"""


def make_decided(folder: Path) -> tuple[Path, Truth]:
    """`photos`, `w` and `rules.yaml` in `folder`."""
    truth = make_sample(folder / "photos", size="small")
    flags = ("--label-from-folder", "--split-from-folder")
    assert cvdata("ingest", folder / "photos", "--workspace", folder / "w", *flags) == 0
    assert cvdata("scan", "--workspace", folder / "w", "--max-error-rate", "0.3") in (0, 3)
    assert cvdata("eda", "--workspace", folder / "w") == 0
    assert cvdata("dedup", "--workspace", folder / "w") == 0
    (folder / "rules.yaml").write_text(RULES)
    assert decide(folder) == 0
    return folder, truth


def decide(folder: Path, *flags: object, engine: str = "serial") -> int:
    rules = ("--config", folder / "rules.yaml")
    return cvdata("decide", "--workspace", folder / "w", *rules, *flags, engine=engine)


def chosen(folder: Path) -> dict[str, dict[str, object]]:
    """Selection by the key as the truth writes it, with the record beside."""
    workspace = Workspace(str(folder / "w"))
    assert workspace.read("selection").schema.equals(schema.SELECTION)
    rows = workspace.read("selection").to_pylist()
    records = {r["image_id"]: r for r in workspace.read("records").to_pylist()}
    return {fsdecode(records[r["image_id"]]["key"]): records[r["image_id"]] | r for r in rows}


def copied(decided: tuple[Path, Truth], tmp_path: Path) -> Path:
    """A copy of the workspace, to change."""
    shutil.copytree(decided[0] / "w", tmp_path / "w")
    shutil.copy(decided[0] / "rules.yaml", tmp_path)
    return tmp_path
