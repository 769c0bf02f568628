"""A bad network and killed drivers at once: from a bucket into a bucket, the tables of a folder."""

import os
from pathlib import Path

import pytest

from cvdata.workspace import Workspace
from tests.chaos.drivers import IS_FULL, Trial, finish
from tests.objectstore.buckets import facts, make_photos, upload
from tests.objectstore.conftest import bucket, s3_server
from tests.objectstore.server import FAULTS, S3Server

__all__ = ["bucket", "s3_server"]
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(7200)]
KILLS = 15 if IS_FULL else 3
RATE = 0.05
"""Of every fault: more than every fourth answer is not what it should be."""


def test_a_bad_network_and_killed_drivers_change_nothing(
    bucket: str,
    s3_server: S3Server,
    tmp_path: Path,
) -> None:
    photos = make_photos(tmp_path / "photos")
    upload(photos, "in")
    options = ("--source-name", "photos", "--chunk-rows", "8", "--max-error-rate", "0.5")
    job = ("curate", *options, "--measures", "file,geometry,pixel_digest,phash,sharpness")

    def command(folder: Path) -> tuple[object, ...]:
        where = ("--workspace", f"{bucket}/{folder.name}", "--engine", "serial")
        return (*job, f"{bucket}/in", *where)

    def state(folder: Path) -> object:
        rates, s3_server.faults.rates = s3_server.faults.rates, {}
        assert Workspace(f"{bucket}/{folder.name}").verify() == []
        found = facts(f"{bucket}/{folder.name}")
        s3_server.faults.rates = rates
        return found

    finish(*job, photos, "--workspace", tmp_path / "local", "--engine", "serial")
    wanted = facts(str(tmp_path / "local"))
    s3_server.faults.rates = dict.fromkeys(FAULTS, RATE)
    env = dict(os.environ)
    seconds = finish(*command(Path("clean")), env=env)
    assert state(Path("clean")) == wanted
    name = "curate from a bad bucket into it, serial drivers"
    trial = Trial(name, lambda n: Path(f"w{n}"), command, state, wanted, seconds, env)
    trial.kill(KILLS)
    seen = ", ".join(f"{n} {kind}" for kind, n in sorted(s3_server.faults.seen.items()))
    n_asked = sum(s3_server.asked.kinds.values())
    assert sum(s3_server.faults.seen.values()) > n_asked / 10
    print(f"faults of the store: {seen}; of {n_asked} requests", flush=True)
