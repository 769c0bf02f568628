"""kill -9 of dedup at any moment: the next run ends with the tables of an undisturbed one.

`CVDATA_CHAOS=full` kills 60 runs; `make chaos` sets it.
"""

import shutil
from pathlib import Path

import pytest

from cvdata.sample import make_sample
from cvdata.workspace import Workspace
from tests.chaos.drivers import IS_FULL, Trial, finish
from tests.jobs.flows import cvdata
from tests.tables.flows import rows_digest

KILLS = {"local": 40 if IS_FULL else 2, "shuffle": 20 if IS_FULL else 1}
TABLES = ("pairs", "duplicates", "leaks", "conflicts", "successions", "deduplicated")

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200 if IS_FULL else 600)]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A measured workspace whose copies nobody has looked for."""
    folder = tmp_path_factory.mktemp("kills")
    make_sample(folder / "photos", size="small")
    flags = ("--label-from-folder", "--split-from-folder")
    cvdata("ingest", folder / "photos", "--workspace", folder / "w", *flags)
    more = ("--measures", "file,geometry,pixel_digest,phash", "--max-error-rate", "0.5")
    assert cvdata("scan", "--workspace", folder / "w", *more) in (0, 3)
    return folder / "w"


def _state(where: Path) -> dict[str, object]:
    workspace = Workspace(str(where))
    assert workspace.verify() == []
    found = {name: rows_digest(workspace.read(name)) for name in TABLES}
    return {**found, "figures": workspace.artifact("dedup.json")}


@pytest.mark.parametrize("search", list(KILLS))
def test_a_killed_dedup_ends_the_same(scanned: Path, tmp_path: Path, search: str) -> None:
    def prepare(number: int | str) -> Path:
        shutil.copytree(scanned, tmp_path / str(number))
        return tmp_path / str(number)

    def command(folder: Path) -> tuple[object, ...]:
        return ("dedup", "--workspace", folder, "--engine", "serial", "--search", search)

    finish(*command(prepare("first")))  # it may compile kernels, which are then kept
    clean = prepare("clean")
    seconds = finish(*command(clean))
    name = f"dedup, {search}, serial drivers"
    Trial(name, prepare, command, _state, _state(clean), seconds).kill(KILLS[search])
