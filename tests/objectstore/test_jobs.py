"""The chain on a bucket, in and out: the same tables as on a local folder."""

from pathlib import Path

import boto3
import numpy as np
import pytest
from PIL import Image

from cvdata.workspace import Workspace
from jobs import curate
from tests.objectstore.server import S3Server

KINDS = ("refused", "throttled", "reset", "lost", "conflict")


def make_photos(folder: Path, n: int = 40) -> Path:
    """Distinct pictures in two classes, a copy, and two files that are none."""
    rng = np.random.default_rng(0)
    for i in range(n):
        pixels = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        path = folder / f"class{i % 2}" / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC).save(path, quality=85)
    (folder / "class0/copy.jpg").write_bytes((folder / "class0/000.jpg").read_bytes())
    (folder / "class1/empty.jpg").write_bytes(b"")
    (folder / "class1/text.jpg").write_bytes(b"no image at all")
    return folder


def _upload(folder: Path, prefix: str) -> None:
    client = boto3.client("s3")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), "pictures", f"{prefix}/{path.relative_to(folder)}")


COLUMNS = {
    "records": ["image_id", "key", "label"],
    "measures": ["image_id", "sha256", "phash", "error", "width", "laplacian_variance"],
    "issues": ["image_id", "issue", "severity", "is_flagged"],
    "duplicates": ["image_id", "method", "group_id", "is_keeper"],
}
"""What does not depend on where the files lie: revisions do."""


def _facts(url: str) -> dict[str, list[tuple[str, ...]]]:
    workspace = Workspace(url)
    return {
        name: sorted(
            tuple(str(row[c]) for c in columns) for row in workspace.read(name, columns).to_pylist()
        )
        for name, columns in COLUMNS.items()
    }


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
    _upload(photos, "in")
    _curate(str(photos), str(tmp_path / "local"))
    s3_server.faults.rates = dict.fromkeys(KINDS, 0.01)
    _curate(f"{bucket}/in", f"{bucket}/out")
    assert sum(s3_server.faults.seen.values()) >= 5, "the network was bad"
    s3_server.faults.rates = {}
    assert _facts(f"{bucket}/out") == _facts(str(tmp_path / "local"))
    assert Workspace(f"{bucket}/out").verify() == []


def test_credentials_are_never_logged(
    bucket: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = make_photos(tmp_path / "photos", n=8)
    _upload(photos, "in")
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
