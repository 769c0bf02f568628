"""Stores on loopback, empty for each test, with the environment that leads there."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import fsspec
import pytest
import s3fs

from tests.objectstore.memory import FaultyMemory
from tests.objectstore.server import Faults, S3Server

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "loopback",
    "AWS_SECRET_ACCESS_KEY": "SECRETSECRET",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Place:
    """An empty folder of a store, and the faults of its answers."""

    url: str
    faults: Faults


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket; the environment leads there."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_server.url}.items():
        monkeypatch.setenv(name, value)
    s3_server.faults.forget()
    s3_server.asked.forget()
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
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A bucket of a server that speaks Google's protocol."""
    # Not asked of emulators, which do not speak gRPC: whether the bucket is one of the newer kinds.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # read when it is imported
    import gcsfs

    from tests.objectstore.gcs import BUCKET, GcsServer

    server = GcsServer()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    server.faults.forget()
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield Place(f"gs://{BUCKET}", server.faults)
    server.faults.rates = {}
    server.stop()
    gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def azure_server() -> Iterator[Any]:
    from tests.objectstore.azure import AzureServer, command

    if (azurite := command()) is None:
        pytest.skip("no azurite: npm install -g azurite, or set CVDATA_AZURITE")
    server = AzureServer(azurite)
    yield server
    server.stop()


@pytest.fixture
def azure(azure_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A container of Azurite."""
    import adlfs

    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure_server.connection)
    azure_server.faults.forget()
    adlfs.AzureBlobFileSystem.clear_instance_cache()
    name = f"pictures-{secrets.token_hex(4)}"
    adlfs.AzureBlobFileSystem().mkdir(name)
    yield Place(f"abfs://{name}", azure_server.faults)
    azure_server.faults.rates = {}
    adlfs.AzureBlobFileSystem.clear_instance_cache()


@pytest.fixture
def memory() -> Iterator[Place]:
    """fsspec's memory store: what stands for stores without an emulator."""
    fsspec.register_implementation("faulty", FaultyMemory, clobber=True)
    FaultyMemory.faults.forget()
    FaultyMemory.store.clear()
    yield Place("faulty://pictures", FaultyMemory.faults)
    FaultyMemory.faults.rates = {}


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """The store that the test's parameter names: s3, gs, abfs or memory."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        return Place(request.getfixturevalue("bucket"), server.faults)
    fixtures = {"gs": "google", "abfs": "azure", "memory": "memory"}
    found: Place = request.getfixturevalue(fixtures[request.param])
    return found


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries, less waiting."""
    import cvdata.storage
    from cvdata.retry import Retry

    monkeypatch.setattr(cvdata.storage, "RETRY", Retry(attempts=8, base_seconds=0.02))
