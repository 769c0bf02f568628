"""The chain on a bucket, in and out: the same tables as on a local folder."""

from pathlib import Path

import pytest

from cvdata.workspace import Workspace
from jobs import curate
from tests.objectstore.buckets import facts, make_photos, upload
from tests.objectstore.server import S3Server

KINDS = ("refused", "throttled", "reset", "lost", "conflict")


def _curate(source: str, workspace: str) -> None:
    config = curate.Config(
        source=source, workspace=workspace, source_name="photos", engine="serial", chunk_rows=16
    )
    curate.run(config)


@pytest.mark.usefixtures("quick_retries")
def test_a_bucket_gives_the_tables_of_a_folder_whatever_the_network_does(
    bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "photos")
    upload(photos, "in")
    _curate(str(photos), str(tmp_path / "local"))
    s3_server.faults.rates = dict.fromkeys(KINDS, 0.01)
    _curate(f"{bucket}/in", f"{bucket}/out")
    assert sum(s3_server.faults.seen.values()) >= 5, "the network was bad"
    s3_server.faults.rates = {}
    assert facts(f"{bucket}/out") == facts(str(tmp_path / "local"))
    assert Workspace(f"{bucket}/out").verify() == []


def test_credentials_are_never_logged(
    bucket: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = make_photos(tmp_path / "photos", n=8)
    upload(photos, "in")
    with caplog.at_level("DEBUG"):
        _curate(f"{bucket}/in", f"{bucket}/out")
    said = caplog.text + "".join(capsys.readouterr())
    stored = b"".join(
        Workspace(f"{bucket}/out").store.get(e.path)
        for e in Workspace(f"{bucket}/out").store.list()
        if e.path.endswith((".json", ".html"))
    )
    assert "SECRETSECRET" not in said
    assert b"SECRETSECRET" not in stored
