"""kill -9 of other jobs than curate: what they leave is what an undisturbed run leaves."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cvdata.storage import TEMP_PREFIX
from cvdata.workspace import Workspace
from tests.chaos.drivers import IS_FULL, Trial, finish
from tests.jobs.augmenting import labelled, result_digest
from tests.jobs.exporting import tree
from tests.jobs.flows import cvdata
from tests.tables.flows import part_digests, rows_digest

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200 if IS_FULL else 600)]
TILES = "embeddings/tests.jobs.odd_models-Tiles"
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose images are measured and whose copies are found."""
    folder = tmp_path_factory.mktemp("ready")
    photos = labelled(folder / "photos", 96)
    shutil.copyfile(photos / "train/cat/00000.jpg", photos / "train/cat/again.jpg")
    flags = ("--label-from-folder", "--split-from-folder")
    assert cvdata("ingest", photos, "--workspace", folder / "w", *flags) == 0
    measures = ("--measures", "file,geometry,pixel_digest,phash")
    assert cvdata("scan", "--workspace", folder / "w", *measures) == 0
    assert cvdata("dedup", "--workspace", folder / "w") == 0
    return folder / "w"


def _infer(folder: Path) -> tuple[object, ...]:
    model = ("--model", "tests.jobs.odd_models:Tiles", "--chunk-rows", "4")
    return ("infer", "--workspace", folder / "w", *model, "--engine", "serial")


def _inferred(folder: Path) -> object:
    workspace = Workspace(str(folder / "w"))
    assert workspace.verify() == []
    return rows_digest(workspace.read(TILES)), part_digests(workspace, TILES)


def _augment(folder: Path) -> tuple[object, ...]:
    options = ("--policy", "heavy", "--variants", "2", "--chunk-rows", "4")
    return ("augment", "--workspace", folder / "w", *options, "--engine", "serial")


def _augmented(folder: Path) -> object:
    assert Workspace(str(folder / "w")).verify() == []
    images = {n: d for n, d in tree(folder / "w/images").items() if TEMP_PREFIX not in n}
    return result_digest(folder / "w", "heavy"), images


def _export(folder: Path) -> tuple[object, ...]:
    options = ("--format", "webdataset", "--shard-rows", "4", "--encode", "png")
    where = ("--workspace", folder / "w", "--to", folder / "out")
    return ("export", *where, *options, "--encode-all", "--engine", "serial")


def _exported(folder: Path) -> object:
    return tree(folder / "out")


def _decide(folder: Path) -> tuple[object, ...]:
    return ("decide", "--workspace", folder / "w", "--engine", "serial")


def _decided(folder: Path) -> object:
    workspace = Workspace(str(folder / "w"))
    assert workspace.verify() == []
    return rows_digest(workspace.read("selection"))


@pytest.mark.parametrize(
    ("command", "state", "kills"),
    [
        pytest.param(_infer, _inferred, 15 if IS_FULL else 1, id="infer"),
        pytest.param(_augment, _augmented, 15 if IS_FULL else 1, id="augment", marks=SLOW),
        pytest.param(_export, _exported, 15 if IS_FULL else 1, id="export"),
        pytest.param(_decide, _decided, 10 if IS_FULL else 2, id="decide", marks=SLOW),
    ],
)
def test_a_killed_job_ends_the_same(
    ready: Path,
    tmp_path: Path,
    command: Callable[[Path], tuple[object, ...]],
    state: Callable[[Path], object],
    kills: int,
) -> None:
    def prepare(number: int) -> Path:
        shutil.copytree(ready, tmp_path / str(number) / "w")
        return tmp_path / str(number)

    clean = prepare(-1)
    seconds = finish(*command(clean))
    name = f"{command(clean)[0]}, serial drivers"
    Trial(name, prepare, command, state, state(clean), seconds).kill(kills)
