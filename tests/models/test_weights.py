"""Weights files: fetched only when asked, told of, proved by their sha256, kept once."""

import hashlib
import io
import logging
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from cvdata.errors import ConfigError, StorageError
from cvdata.models.weights import DOWNLOAD_LIMIT, Weights, locate

DATA = b"numbers of a network" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
URL = "https://example.org/models/net-v1.pth"


class Answer(io.BytesIO):
    """What a server sends."""

    def __init__(self, data: bytes, length: int) -> None:
        super().__init__(data)
        self.headers = Message()
        self.headers["Content-Length"] = str(length)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URLs that were asked of a server that has one file, beside an empty cache."""
    urls: list[str] = []

    def urlopen(url: str, timeout: float) -> Any:
        urls.append(url)
        if url.endswith("gone.pth"):
            raise OSError("404")
        return Answer(DATA, DOWNLOAD_LIMIT + 1 if "huge" in url else len(DATA))

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setenv("CVDATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return urls


def test_offline_is_the_rule(asked: list[str]) -> None:
    with pytest.raises(ConfigError, match="--allow-download") as caught:
        locate(Weights(SHA256, url=URL), "net")
    assert URL in str(caught.value)
    assert asked == []


@pytest.mark.parametrize("digits", [8, 64])
def test_a_download_is_told_of_and_made_once(
    digits: int, asked: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = Weights(SHA256[:digits], url=URL)
    with caplog.at_level(logging.WARNING):
        found = locate(weights, "net", allow_download=True)
    assert f"downloading the weights of net from {URL}" in caplog.text
    assert found.path == tmp_path / "cache" / "weights" / "net-v1.pth"
    assert found.path.read_bytes() == DATA
    assert found.sha256 == SHA256
    assert locate(weights, "net") == locate(weights, "net", allow_download=True) == found
    assert asked == [URL]


@pytest.mark.parametrize(
    ("url", "sha256", "error", "words"),
    [
        (URL, "0" * 64, ConfigError, "not kept"),
        ("http://example.org/net.pth", SHA256, ConfigError, "over https only"),
        ("https://example.org/huge.pth", SHA256, ConfigError, "is larger than"),
        ("https://example.org/gone.pth", SHA256, StorageError, "could not fetch"),
    ],
)
def test_what_is_wrong_is_not_kept(
    url: str, sha256: str, error: type[Exception], words: str, asked: list[str], tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        locate(Weights(sha256, url=url), "net", allow_download=True)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_file_that_was_changed_is_refused(asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(DATA)
    weights = Weights(SHA256, path=str(path))
    assert locate(weights, "net").path == path
    path.write_bytes(DATA + b"!")
    with pytest.raises(ConfigError, match="is not the weights of net"):
        locate(weights, "net")
