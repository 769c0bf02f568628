"""What a store in the net is asked for: nothing once per image that one request could tell."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import boto3

from cvdata.workspace import Workspace
from jobs import curate
from tests.objectstore.buckets import make_photos, upload
from tests.objectstore.server import S3Server

CHEAP = ["file", "geometry", "pixel_digest", "phash"]


def _curate(source: str, workspace: str) -> None:
    config = curate.Config(
        source=source,
        workspace=workspace,
        source_name="photos",
        engine="serial",
        chunk_rows=16,
        measures=CHEAP,
        skip=["outliers", "report"],
        max_error_rate=0.5,
    )
    curate.run(config)


def _asked_for(bucket: str, s3_server: S3Server, photos: Path, name: str) -> Counter[str]:
    upload(photos, f"in/{name}")
    s3_server.asked.forget()
    _curate(f"{bucket}/in/{name}", f"{bucket}/{name}")
    return Counter(s3_server.asked.kinds)


def test_no_listing_storms(bucket: str, s3_server: S3Server, tmp_path: Path) -> None:
    """By folder, table, job and chunk, and not by image: 48 images more, in 3 chunks more."""
    few = _asked_for(bucket, s3_server, make_photos(tmp_path / "few", n=24), "few")
    many = _asked_for(bucket, s3_server, make_photos(tmp_path / "many", n=72), "many")
    assert many["LIST"] <= few["LIST"] + 3, (few, many)
    assert many["LIST"] < 150, many
    assert many["RANGE"] > few["RANGE"], "each image is read"
    s3_server.asked.forget()
    _curate(f"{bucket}/in/many", f"{bucket}/many")
    again = s3_server.asked.kinds
    assert again["LIST"] <= many["LIST"]
    assert again["RANGE"] <= many["RANGE"] - 70, "no image is read again"


def test_members_of_a_shard_are_read_by_range_and_side_by_side(
    bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "photos", n=40)
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as tar:
        for path in sorted(photos.rglob("*.jpg")):
            tar.add(path, path.name)
    boto3.client("s3").put_object(Bucket="pictures", Key="in/0.tar", Body=shard.getvalue())
    s3_server.asked.forget()
    s3_server.faults.rates = {"slow": 0.3}
    _curate(f"{bucket}/in", f"{bucket}/out")
    assert s3_server.asked.most_at_once >= 3, "several ranges are under way at once"
    assert s3_server.asked.kinds["RANGE"] >= 42, "every member is read by range"
    s3_server.faults.rates = {}
    local = tmp_path / "w"
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/0.tar").write_bytes(shard.getvalue())
    _curate(str(tmp_path / "shards"), str(local))
    columns = ["image_id", "sha256", "phash", "error"]
    found = [Workspace(w).read("measures", columns) for w in (f"{bucket}/out", str(local))]
    assert found[0].equals(found[1])


def test_parts_are_read_side_by_side(bucket: str, s3_server: S3Server, tmp_path: Path) -> None:
    upload(make_photos(tmp_path / "photos", n=40), "in-parts")
    _curate(f"{bucket}/in-parts", f"{bucket}/parts")
    assert len(Workspace(f"{bucket}/parts").files("measures")) >= 3
    s3_server.asked.forget()
    s3_server.faults.rates = {"slow": 1.0}
    assert len(Workspace(f"{bucket}/parts").read("measures", ["image_id", "sha256"])) == 43
    assert s3_server.asked.most_at_once >= 2
