"""What an S3 may answer: in another dialect, without conditions, that credentials expired."""

import io
import tarfile
from pathlib import Path

import boto3
import fsspec
import pytest

from cvdata.storage import Store
from cvdata.workspace import Workspace
from tests.jobs.flows import cvdata, make_photos
from tests.objectstore.server import S3Server

CHEAP = ("--measures", "file,geometry,pixel_digest")


def test_a_412_is_a_taken_name_in_any_dialect(
    bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    """MinIO's 412 does not say which condition failed, by which s3fs knows Amazon's."""
    s3_server.faults.is_terse = True
    store = Store(f"{bucket}/w")
    store.probe()
    assert store.put_new("one", b"1")
    assert not store.put_new("one", b"2")
    (tmp_path / "file").write_bytes(b"3")
    assert store.put_file("file", tmp_path / "file")
    assert not store.put_file("file", tmp_path / "file")
    assert (store.get("one"), store.get("file")) == (b"1", b"3")
    puts = s3_server.asked.kinds["PUT"]
    assert not store.put_new("one", b"2")
    assert s3_server.asked.kinds["PUT"] == puts + 1, "it is not asked again"


@pytest.mark.usefixtures("quick_retries")
def test_what_does_not_answer_in_time_is_asked_again(
    bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gives up after half a second, the store hangs on for longer."""
    patience = {"read_timeout": 0.5, "retries": {"max_attempts": 0}}
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": patience})
    store = Store(f"{bucket}/w")
    s3_server.faults.rates = {"hung": 0.3}
    for i in range(6):
        store.put_new(f"p/{i}", b"%d" % i)
        assert store.get(f"p/{i}") == b"%d" % i
    assert s3_server.faults.seen["hung"] >= 2
    s3_server.faults.rates = {}
    assert len(list(store.list())) == 6


def test_a_job_refuses_a_store_without_conditions(
    bucket: str, s3_server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path / "photos", range(3))
    s3_server.faults.is_careless = True
    where = ("--workspace", f"{bucket}/w")
    ingest = ("ingest", tmp_path / "photos", *where)
    assert cvdata(*ingest) == 2
    assert "ignores create-if-absent" in capsys.readouterr().err
    assert list(Store(f"{bucket}/w").list()) == [], "nothing is left behind"
    assert cvdata(*ingest, "--single-writer") == 0
    assert cvdata("scan", *where, *CHEAP) == 2, "that one run alone writes was promised for it only"
    assert "--single-writer" in capsys.readouterr().err
    assert cvdata("scan", *where, *CHEAP, "--single-writer") == 0
    assert len(Workspace(f"{bucket}/w").read("measures")) == 3


def test_credentials_that_expire_stop_a_run_and_are_no_bad_images(
    bucket: str, s3_server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Members of a shard are asked for by range, whose refusal says why."""
    make_photos(tmp_path / "photos", range(8))
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as tar:
        for path in sorted((tmp_path / "photos").iterdir()):
            tar.add(path, path.name)
    boto3.client("s3").put_object(Bucket="pictures", Key="in/0.tar", Body=shard.getvalue())
    where = ("--workspace", tmp_path / "w")
    assert cvdata("ingest", f"{bucket}/in", *where) == 0
    s3_server.faults.rates = {"expired": 1.0}
    assert cvdata("scan", *where, *CHEAP) == 4
    said = capsys.readouterr().err
    assert "does not take the credentials" in said
    assert list((tmp_path / "w").rglob("measures/*/part-*")) == [], "no row says access_denied"
    s3_server.faults.rates = {}
    assert cvdata("scan", *where, *CHEAP) == 0
    assert Workspace(str(tmp_path / "w")).read("measures")["error"].null_count == 8
