"""Azurite, Microsoft's own emulator, on loopback behind the faults of server.py.

It is a Node program: `npm install -g azurite`, or CVDATA_AZURITE names its blob/main.js.
"""

import base64
import http.client
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.objectstore.server import Faults, FaultyApp, Start

ACCOUNT = "cvdata"
RAW = "cvdata.headers"
_PER_HOP = ("connection", "keep-alive", "transfer-encoding", "host")


def command() -> list[str] | None:
    """What starts Azurite here; None where it is not installed."""
    if script := os.environ.get("CVDATA_AZURITE"):
        return ["node", script]
    found = shutil.which("azurite-blob")
    return [found] if found else None


class RawHeaders(WSGIRequestHandler):
    """Hands headers on as they came: WSGI has no place for `x-ms-meta-is_directory`."""

    def make_environ(self) -> dict[str, Any]:
        return {**super().make_environ(), RAW: list(self.headers.items())}


@dataclass(frozen=True)
class Forward:
    """A WSGI application that hands requests on as they are."""

    port: int

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        n_bytes = int(environ.get("CONTENT_LENGTH") or 0)
        headers = {k: v for k, v in environ[RAW] if k.lower() not in _PER_HOP}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = environ["wsgi.input"].read(n_bytes) if n_bytes else None
        connection.request(environ["REQUEST_METHOD"], environ["REQUEST_URI"], body, headers)
        answer = connection.getresponse()
        data = answer.read()
        kept = [
            (k, v) for k, v in answer.getheaders() if k.lower() not in (*_PER_HOP, "content-length")
        ]
        length = answer.getheader("content-length") or str(len(data))
        start(f"{answer.status} {answer.reason}", [*kept, ("Content-Length", length)])
        connection.close()
        return [data]


class AzureServer:
    """Runs beside this process; `connection` is what AZURE_STORAGE_CONNECTION_STRING takes."""

    def __init__(self, azurite: list[str]) -> None:
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        options = ["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0"]
        self._azurite = subprocess.Popen(
            [*azurite, *options, "--skipApiVersionCheck", "--silent"],
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.faults = Faults()
        app = FaultyApp(Forward(self._listening_port()), self.faults)
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=RawHeaders)
        url = f"http://127.0.0.1:{self._server.server_port}/{ACCOUNT}"
        self.connection = (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
            f"BlobEndpoint={url};"
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _listening_port(self) -> int:
        assert self._azurite.stdout is not None
        for line in self._azurite.stdout:
            if "successfully listens on" in line:
                return int(line.rpartition(":")[2])
        raise RuntimeError("azurite did not come up")

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._azurite.terminate()
        self._azurite.communicate(timeout=30)
