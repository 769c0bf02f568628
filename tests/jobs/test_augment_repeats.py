"""The same bytes: any engine, workers, chunks and order; killed and resumed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cvdata.runs.augment_chunks import merged_of, records_of
from cvdata.runs.augment_plan import TASKS, Choice, Held, wanted_copies
from cvdata.stages.augment import Augment, Gallery, Recipe
from cvdata.stages.augmenter import Making
from cvdata.workspace import Workspace
from tests.conftest import ROOT
from tests.jobs.augmenting import augment, copies, ingested, labelled, result_digest
from tests.jobs.flows import cvdata

POLICY = """
policy: all
operations:
- horizontal_flip
- rotate: {p: 0.7}
- elastic: {p: 0.5}
- hue
- gaussian_noise
- iso_noise
- gaussian_blur
- motion_blur
- jpeg
- random_erasing
- mosaic: {p: 0.5}
- mixup: {p: 0.7}
- cutmix
- augmix: {p: 0.4}
"""


def _config(tmp_path: Path) -> Path:
    path = tmp_path / "all.yaml"
    path.write_text(POLICY)
    return path


@pytest.mark.usefixtures("ray_up")
def test_engines_workers_and_chunks_change_nothing(tmp_path: Path) -> None:
    labelled(tmp_path / "photos", 24)
    found = set()
    runs = [("serial", 1, 0), ("serial", 1, 5), ("ray", 1, 7), ("ray", 2, 64), ("ray", 4, 3)]
    for engine, workers, rows in runs:
        where = ingested(tmp_path, 24, f"{engine}{workers}-{rows}")
        options = ("--config", _config(tmp_path), "--variants", 2)
        more = ("--workers", workers, "--chunk-rows", rows)
        assert augment(where, *options, *more, engine=engine) == 0
        found.add(result_digest(where, "all"))
        assert len(copies(where, "all")) == 36
        assert Workspace(str(where)).verify() == []
    assert len(found) == 1


def test_the_order_of_tasks_changes_nothing(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    workspace = Workspace(str(where))
    recipe = Recipe(Making("mosaic"), seed=3)
    tasks = wanted_copies(workspace, recipe, Choice(variants=3), Held()).tasks
    with workspace.change("none", {}) as change:
        images = records_of(change, workspace.read("records")["image_id"].combine_chunks())
        change.cancel()
    assert not len(merged_of(workspace))
    stage = Augment(recipe, Gallery(workspace.store, "images/mosaic"))
    found = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(tasks))
        shuffled = tasks.take(pa.array(order))
        mixed = images.take(pa.array(np.random.default_rng(seed).permutation(len(images))))
        rows = stage(shuffled, mixed.combine_chunks())
        assert rows["image_id"].to_pylist() == shuffled["image_id"].to_pylist()
        found.append(rows.sort_by("image_id").to_pylist())
    assert found[0] == found[1] == found[2]
    assert tasks.schema == TASKS


SCRIPT = "import sys; from cvdata.cli import main; sys.exit(main())"


def _start(where: Path, config: Path, engine: str) -> "subprocess.Popen[bytes]":
    words = ["augment", "--workspace", where, "--config", config, "--variants", "4"]
    flags = ["--engine", engine, "--workers", "2", "--chunk-rows", "8"]
    store = ["--object-store-bytes", str(128 * 1024**2)]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, words), *flags, *store],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _kill_once_it_works(where: Path, config: Path, engine: str, n_parts: int) -> int:
    """Kill the driver and all its processes once some parts are written; how many there were."""
    process = _start(where, config, engine)
    parts: list[Path] = []
    while process.poll() is None and len(parts) < n_parts:
        time.sleep(0.02)
        parts = list(where.glob("augmented/all/*/part-*.parquet"))
    is_alive = process.poll() is None
    if is_alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert is_alive, "the run ended before it could be killed"
    return len(parts)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "engine", ["serial", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.chaos])]
)
def test_killed_and_resumed(tmp_path: Path, engine: str) -> None:
    """What a killed run finished is kept; the rest is made; nothing differs."""
    config = _config(tmp_path)
    whole = ingested(tmp_path, 32, "whole")
    assert augment(whole, "--config", config, "--variants", 4) == 0
    where = ingested(tmp_path, 32)
    for n_parts in (1, random.Random(engine).randint(3, 6)):
        assert _kill_once_it_works(where, config, engine, n_parts)
    assert "augmented/all" not in Workspace(str(where)).tables()
    kept = {p: p.stat().st_mtime_ns for p in where.glob("augmented/all/*/part-*.parquet")}
    assert len(kept) >= 3
    assert augment(where, "--config", config, "--variants", 4, "--chunk-rows", 8) == 0
    made = Workspace(str(where)).head.stats["n_made"]
    assert made <= 96 - 8 * len(kept)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert result_digest(where, "all") == result_digest(whole, "all")
    assert Workspace(str(where)).verify() == []
    assert len(list((where / "images").rglob("*.jpg"))) == len(
        list((whole / "images").rglob("*.jpg"))
    )


def test_two_sources_and_one_are_alike_but_for_ids(tmp_path: Path) -> None:
    """A copy does not depend on which other images there are."""
    where = ingested(tmp_path)
    augment(where)
    more = tmp_path / "more"
    labelled(more, 40)
    flags = ("--label-from-folder", "--split-from-folder", "--source-name", "second")
    cvdata("ingest", more, "--workspace", where, *flags)
    before = {r["image_id"]: r["sha256"] for r in copies(where).to_pylist()}
    augment(where, "--refresh")
    after = {r["image_id"]: r["sha256"] for r in copies(where).to_pylist()}
    assert len(after) == 9 + 30
    assert {k: after[k] for k in before} == before
