"""A Google Cloud Storage protocol server on loopback, with conditions and faults.

gcp-storage-emulator speaks the JSON API and ignores `ifGenerationMatch=0`, by which a name is taken
only if it is free; the real service answers 412. That answer, and the faults, are given here.
"""

import logging
import socket
import threading
import time
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.server import RequestHandler, Router
from gcp_storage_emulator.storage import Storage

from tests.objectstore.server import Faults
from tests.objectstore.serving import Serving

for name in ("api", "gcp_storage_emulator"):
    logging.getLogger(name).setLevel(logging.CRITICAL)
BUCKET = "pictures"
STATUS = {"refused": 500, "throttled": 503}


class Taken(Exception):
    """The name is in use."""


@dataclass(frozen=True)
class Exclusive:
    """A storage whose files cannot be replaced."""

    storage: Storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    def create_file(self, bucket_name: str, file_name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            self.storage.get_file_obj(bucket_name, file_name)
        except NotFound:
            return self.storage.create_file(bucket_name, file_name, *args, **kwargs)
        raise Taken(file_name)


class Conditional(RequestHandler):  # type: ignore[misc]
    """The emulator's handler behind faults, one request at a time, exclusive where asked."""

    faults: ClassVar[Faults] = Faults()
    lock: ClassVar[Any] = threading.RLock()

    def handle_one(self, method: str) -> None:
        fault = self.faults.draw(method, is_exclusive=self._is_exclusive)
        if fault in STATUS or (fault == "conflict"):
            return self._refuse(STATUS.get(fault, 409))
        if fault == "reset":
            return self._hang_up()
        if fault == "slow":
            time.sleep(0.3)
        told = self.wfile
        if fault in ("lost", "taken"):
            self.wfile = _Nowhere()
        try:
            with self.lock:
                Router(self).handle(method)
        except Taken:
            return self._answer_on(told)
        if fault == "lost":
            self._hang_up()
        if fault == "taken":
            self._answer_on(told)
        return None

    def _answer_on(self, told: Any) -> None:
        """The name is taken, whatever was heard of it before."""
        self.wfile = told
        self._answer(412)

    def do_GET(self) -> None:  # noqa: N802
        self.handle_one("GET")

    def do_POST(self) -> None:  # noqa: N802
        self.handle_one("POST")

    def do_PUT(self) -> None:  # noqa: N802
        self.handle_one("PUT")

    def do_DELETE(self) -> None:  # noqa: N802
        self.handle_one("DELETE")

    @property
    def storage(self) -> Any:
        """What is stored; it refuses to replace a file where the request says so."""
        return Exclusive(self._stored) if self._is_exclusive else self._stored

    @property
    def _is_exclusive(self) -> bool:
        return parse_qs(urlparse(self.path).query).get("ifGenerationMatch") == ["0"]

    @storage.setter
    def storage(self, stored: Storage) -> None:
        self._stored = stored

    def _refuse(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(status)

    def _answer(self, status: int) -> None:
        body = b'{"error": {"code": %d, "message": "injected"}}' % status
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.wfile = _Nowhere()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Nowhere:
    """Where an answer goes that is lost."""

    closed = False

    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is open."""


class Quiet(ThreadingHTTPServer):
    """Says nothing of connections that end early: tests end them."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing."""


class GcsServer:
    """Runs in threads of this process; `url` is its endpoint."""

    def __init__(self) -> None:
        self.faults = Conditional.faults
        self.storage = Storage(use_memory_fs=True)
        buckets.create_bucket(BUCKET, self.storage)
        serving = Serving(Quiet(("127.0.0.1", 0), partial(Conditional, self.storage)))
        self.url, self.stop = serving.url, serving.stop
