"""Exports and copies in a bucket: the bytes of a local folder, whatever the network does."""

from pathlib import Path

import boto3
import pytest

from cvdata.workspace import Workspace
from tests.jobs.augmenting import augment, labelled
from tests.jobs.exporting import Tree, boxed_workspace, export, ingest, tree
from tests.objectstore.server import S3Server

KINDS = ("refused", "throttled", "reset", "lost", "conflict")


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of 60 images with boxes in two splits."""
    return boxed_workspace(tmp_path_factory.mktemp("boxed"))


def fetched(prefix: str, to: Path) -> Tree:
    """Digests of everything below a prefix of the bucket, by path."""
    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="pictures", Prefix=prefix):
        for item in page.get("Contents", []):
            path = to / item["Key"].removeprefix(f"{prefix}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file("pictures", item["Key"], str(path))
    return tree(to)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("kind", ["webdataset", "yolo", "parquet"])
def test_an_export_to_a_bucket_is_that_of_a_folder(
    kind: str, boxed: Path, bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    words = ("--shard-rows", "8")
    assert export(boxed, tmp_path / "local", kind, *words) == 0
    s3_server.faults.rates = dict.fromkeys(KINDS, 0.01)
    code = export(boxed, f"{bucket}/set", kind, *words)
    s3_server.faults.rates = {}
    if code:  # a stream that was cut is no answer to wait for: the next run goes on
        assert code == 4
        assert export(boxed, f"{bucket}/set", kind, *words) == 0
    assert fetched("set", tmp_path / "remote") == tree(tmp_path / "local")


@pytest.mark.usefixtures("quick_retries")
def test_an_export_goes_on_after_an_outage(
    boxed: Path,
    bucket: str,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Some chunks, then nothing answers: exit 4; the next run writes the rest and no more."""
    from cvdata.runs.export_task import ExportTask

    words = ("--shard-rows", "8")
    assert export(boxed, tmp_path / "local", "yolo", *words) == 0
    done, call = [], ExportTask.__call__

    def cut_off(self: ExportTask, chunk: object) -> object:
        if len(done) == 3:
            s3_server.faults.rates = {"refused": 1.0}
        done.append(call(self, chunk))  # type: ignore[arg-type]
        return done[-1]

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(ExportTask, "__call__", cut_off)
    assert export(boxed, f"{bucket}/set", "yolo", *words) == 4
    assert "failed" in capsys.readouterr().err
    monkeypatch.setattr(ExportTask, "__call__", call)
    s3_server.faults.rates = {}
    s3_server.asked.forget()
    assert export(boxed, f"{bucket}/set", "yolo", *words) == 0
    n_images = len(list((tmp_path / "local").rglob("*.jpg")))
    assert s3_server.asked.kinds["PUT"] < 2 * n_images, "finished chunks are found"
    assert fetched("set", tmp_path / "remote") == tree(tmp_path / "local")


@pytest.mark.usefixtures("quick_retries")
def test_copies_in_a_bucket_are_those_of_a_folder(
    bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    """Workspace on disk, copies in the bucket, answers lost; then exported into the bucket."""
    labelled(tmp_path / "photos", 12)
    made = {}
    for name, output in (("local", str(tmp_path / "made")), ("remote", f"{bucket}/made")):
        where = tmp_path / name
        ingest(tmp_path / "photos", where, "--label-from-folder")
        s3_server.faults.rates = dict.fromkeys(KINDS, 0.02 if name == "remote" else 0.0)
        words = ("--policy", "light", "--variants", "2", "--output", output)
        assert augment(where, *words) == 0
        s3_server.faults.rates = {}
        rows = Workspace(str(where)).read("augmented/light", ["image_id", "sha256", "uri"])
        made[name] = {row["image_id"]: row["sha256"] for row in rows.to_pylist()}
        assert all(row["uri"].startswith(output) for row in rows.to_pylist())
    assert made["remote"] == made["local"]
    assert len(made["local"]) == 18, "nine training images, twice"
    for name in ("local", "remote"):
        to = f"{bucket}/out-{name}"
        words = ("--augmented", "light")
        assert export(tmp_path / name, to, "webdataset", *words) == 0
    local, remote = (fetched(f"out-{n}", tmp_path / f"out-{n}") for n in ("local", "remote"))
    assert {k: v for k, v in local.items() if k.endswith(".tar")} == {
        k: v for k, v in remote.items() if k.endswith(".tar")
    }
