"""A bucket for each test, and clean S3 connections."""

from collections.abc import Iterator

import pytest

boto3 = pytest.importorskip("boto3")
s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.objectstore.server import S3Server  # noqa: E402


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket; the environment leads there."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "SECRETSECRET",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server.url,
    }.items():
        monkeypatch.setenv(name, value)
    s3_server.faults.rates, s3_server.faults.seen = {}, type(s3_server.faults.seen)()
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="pictures")
    yield "s3://pictures"
    s3_server.faults.rates = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="pictures"):
        for item in page.get("Contents", []):
            client.delete_object(Bucket="pictures", Key=item["Key"])
    client.delete_bucket(Bucket="pictures")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries, less waiting."""
    import cvdata.storage
    from cvdata.retry import Retry

    monkeypatch.setattr(cvdata.storage, "RETRY", Retry(attempts=8, base_seconds=0.02))
