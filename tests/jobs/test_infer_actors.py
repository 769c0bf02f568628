"""The model apart from the decode: actors give what tasks give, and lose nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from cvdata import Workspace
from cvdata.engine.actors import pool_size
from cvdata.errors import ConfigError, ErrorCode, ImageError
from cvdata.models.base import Geometry, Prepared
from cvdata.schema import image_id
from cvdata.stages.base import Resources
from cvdata.stages.prepared import PREPARED, pack, unpack
from tests.conftest import ROOT
from tests.jobs.flows import cvdata, make_photos

TILES = "embeddings/tests.jobs.odd_models-Tiles"
MODEL = ("--model", "tests.jobs.odd_models:Tiles", "--max-error-rate", "0.5")
APART = (*MODEL, "--pipeline", "actors")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, one broken, one that crashes the sandbox, one that the model fails on."""
    folder = tmp_path_factory.mktemp("actors") / "photos"
    make_photos(folder, range(50))
    (folder / "broken.jpg").write_bytes((folder / "00000.jpg").read_bytes()[:500])
    for name, colour in (("red", (255, 0, 0)), ("green", (0, 255, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (64, 48), colour).save(folder / f"00010-{name}.jpg", quality=95)
    return folder


def _rows(where: Path) -> dict[bytes, tuple]:
    workspace = Workspace(str(where))
    assert workspace.verify() == []
    keys = workspace.read("records", ["image_id", "key"])["key"].to_pylist()
    rows = workspace.read(TILES).to_pylist()
    assert len(rows) == len(keys), "every record has its row"
    return {key: (row["error"], row["embedding"]) for key, row in zip(keys, rows, strict=True)}


def _infer(photos: Path, where: Path, *words: object, engine: str = "serial") -> dict[bytes, tuple]:
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("infer", "--workspace", where, *words, engine=engine) == 3
    return _rows(where)


@pytest.mark.usefixtures("ray_up")
def test_actors_give_the_rows_of_a_loop(photos: Path, tmp_path: Path) -> None:
    plain = _infer(photos, tmp_path / "plain", *MODEL)
    codes = {key: error for key, (error, _) in plain.items() if error}
    assert codes == {
        b"broken.jpg": "truncated",
        b"00010-red.jpg": "model_failed",
        b"00010-green.jpg": "decoder_crashed",
        b"00010-blue.jpg": "model_failed",
    }
    assert _infer(photos, tmp_path / "apart", *APART, "--chunk-rows", "16") == plain
    options = (*APART, "--chunk-rows", "16", "--workers", "2")
    assert _infer(photos, tmp_path / "ray", *options, engine="ray") == plain
    names = [
        sorted(part.path for part in Workspace(str(tmp_path / w)).head.tables[TILES].parts)
        for w in ("apart", "ray")
    ]
    assert names[0] == names[1], "a chunk is the same part wherever it was run"
    assert len(names[0]) == 4


@pytest.mark.usefixtures("ray_up")
def test_scan_runs_its_model_apart_too(photos: Path, tmp_path: Path) -> None:
    plain = _infer(photos, tmp_path / "plain", *MODEL)
    scan = ("--measures", "file,geometry", "--model", MODEL[1], "--max-error-rate", "0.5")
    for name, words, engine in (
        ("tasks", ("--encoder.pipeline", "tasks"), "serial"),
        ("ray", ("--encoder.pipeline", "actors", "--chunk-rows", "16"), "ray"),
    ):
        where = tmp_path / name
        cvdata("ingest", photos, "--workspace", where)
        assert cvdata("scan", "--workspace", where, *scan, *words, engine=engine) == 3
        assert _rows(where) == plain
    measures = [Workspace(str(tmp_path / n)).read("measures") for n in ("tasks", "ray")]
    assert measures[0].equals(measures[1]), "where the model runs moves no measure"


@pytest.mark.usefixtures("ray_up")
def test_an_actor_killed_in_the_midst_of_a_batch_loses_nothing(
    photos: Path, tmp_path: Path
) -> None:
    plain = _infer(photos, tmp_path / "plain", *MODEL)
    mark = tmp_path / "killed"
    config = tmp_path / "infer.yaml"
    config.write_text(json.dumps({"parameters": {"kill_once": str(mark)}}))
    options = (*APART, "--chunk-rows", "9", "--config", config)
    found = _infer(photos, tmp_path / "w", *options, engine="ray")
    assert mark.exists(), "an actor was killed"
    assert found == plain


def test_memory_that_runs_out_in_an_actor_loses_nothing(photos: Path, tmp_path: Path) -> None:
    plain = _infer(photos, tmp_path / "plain", *MODEL)
    config = tmp_path / "infer.yaml"
    config.write_text(json.dumps({"parameters": {"room": 3}, "batch_size": 16}))
    assert _infer(photos, tmp_path / "w", *APART, "--config", config) == plain


def test_a_killed_run_goes_on_where_it_was(photos: Path, tmp_path: Path) -> None:
    where = tmp_path / "w"
    plain = _infer(photos, tmp_path / "plain", *MODEL)
    cvdata("ingest", photos, "--workspace", where)
    options = ("--workspace", where, "--chunk-rows", "16", *APART)
    strict = [word if word != "0.5" else "0.01" for word in options]
    assert cvdata("infer", *strict) == 6
    parts = sorted((where / TILES).rglob("*.parquet"))
    assert len(parts) == 4, "finished parts are kept"
    parts[0].unlink()
    before = {p: p.stat().st_mtime_ns for p in parts[1:]}
    assert cvdata("infer", *options) == 3
    assert {p: p.stat().st_mtime_ns for p in parts[1:]} == before
    assert _rows(where) == plain


def test_prepared_rows_come_back_as_they_were() -> None:
    rng = np.random.default_rng(0)
    shapes = [(3, 5), (4, 4), (3, 5), (7, 1)]
    results: list[Prepared | ImageError] = [
        Prepared(
            rng.integers(0, 256, (h, w, 3), np.uint8), Geometry(w * 9, h * 9, 0.5, 0.25, 1, -2)
        )
        for h, w in shapes
    ]
    results.insert(2, ImageError(ErrorCode.TRUNCATED, "cut"))
    ids = pa.array([image_id("s", bytes([i])) for i in range(5)], pa.binary(16))
    rows = pack(pa.table({"image_id": ids, "revision": list("abcde")}), results)
    assert rows.schema == PREPARED
    for table in (rows, pa.concat_tables([rows.slice(0, 2), rows.slice(2)])):
        for ours, theirs in zip(unpack(table), results, strict=True):
            if isinstance(theirs, ImageError):
                assert (ours.code, ours.detail) == (theirs.code, theirs.detail)
            else:
                np.testing.assert_array_equal(ours.pixels, theirs.pixels)
                assert ours.geometry == theirs.geometry


class _Stage:
    def __init__(self, cpus: float, gpus: float, asked: int = 0) -> None:
        self.device, self.n_devices, self.resources = Resources(cpus, gpus), asked, Resources(1.0)


CPUS, ONE, TWO = {"CPU": 8.0}, {"CPU": 4.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("stage", "nodes", "n"),
    [
        (_Stage(1, 1), [CPUS, ONE, TWO], 3),
        (_Stage(1, 0.5), [CPUS, ONE, TWO], 6),
        (_Stage(1, 0.25), [{"CPU": 2.0, "GPU": 1.0}], 1),
        (_Stage(1, 1, 2), [CPUS, ONE, TWO], 2),
        (_Stage(1, 0), [{"CPU": 2.0}], 1),
        (_Stage(1, 0, 5), [{"CPU": 4.0}], 3),
        (_Stage(4, 1), [{"CPU": 4.0, "GPU": 4.0}, CPUS], 1),
    ],
)
def test_a_pool_leaves_room_for_what_feeds_it(stage: _Stage, nodes: list, n: int) -> None:
    assert pool_size(stage, nodes) == n  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "nodes", [[{"CPU": 1.0, "GPU": 1.0}], [CPUS], [{"GPU": 1.0}, {"CPU": 1.0}]]
)
def test_a_pool_that_would_wait_for_ever_is_refused(nodes: list) -> None:
    with pytest.raises(ConfigError, match="add a node"):
        pool_size(_Stage(1, 1), nodes)  # type: ignore[arg-type]


LOGICAL = """
import os, sys
import ray
from cvdata.cli import main
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False,
         object_store_memory=128 * 2**20)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("gpus", "n_actors"), [("1", 2), ("0.5", 3)])
def test_actors_are_placed_on_logical_gpus(
    photos: Path, tmp_path: Path, gpus: str, n_actors: int
) -> None:
    plain = _infer(photos, tmp_path / "plain", *MODEL)
    config, where, log = tmp_path / "infer.yaml", tmp_path / "w", tmp_path / "log"
    log.mkdir()
    config.write_text(json.dumps({"parameters": {"log": str(log)}}))
    cvdata("ingest", photos, "--workspace", where)
    words = ("infer", "--workspace", where, *MODEL, "--gpus", gpus, "--chunk-rows", "4")
    words = (*words, "--config", config, "--engine", "ray")
    done = subprocess.run(
        [sys.executable, "-c", LOGICAL, *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=240, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert _rows(where) == plain
    seen = [path.read_text().split() for path in log.iterdir()]
    assert len(seen) == n_actors
    assert {device for device, _ in seen} == {"auto"}
    assert {gpu for _, gpu in seen} == {"0", "1"}, "both GPUs are used"
