"""An S3 protocol server on loopback whose answers can be spoiled on purpose."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
Start = Callable[..., Any]
FAULTS = ("refused", "throttled", "reset", "lost", "conflict", "slow")


@dataclass
class Faults:
    """How often, of 1, each fault comes; seeded, and counted."""

    rates: dict[str, float] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, method: str) -> str:
        """The fault of the next request, "" for none."""
        with self.lock:
            at = self.rng.random()
            for name, rate in self.rates.items():
                if at < rate:
                    if name in ("lost", "conflict") and method not in ("PUT", "POST"):
                        return ""
                    self.seen[name] += 1
                    return name
                at -= rate
        return ""


class Reset(Exception):
    """Ends the connection without an answer."""


@dataclass
class FaultyApp:
    """moto's application, with faults before it (nothing is done) or behind it (all is done)."""

    app: Any
    faults: Faults

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        fault = self.faults.draw(environ["REQUEST_METHOD"])
        if fault in ("refused", "throttled", "conflict"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if fault == "refused":
            return _error(start, "500 Internal Server Error", "InternalError")
        if fault == "throttled":
            return _error(start, "503 Slow Down", "SlowDown")
        if fault == "conflict":
            return _error(start, "409 Conflict", "ConditionalRequestConflict")
        if fault == "reset":
            raise Reset
        if fault == "slow":
            time.sleep(0.3)
        answer = list(self.app(environ, start if fault != "lost" else _drop))
        if fault == "lost":
            raise Reset
        return answer


def _drop(*_: Any, **__: Any) -> Callable[[bytes], None]:
    return lambda _: None


def _error(start: Start, status: str, code: str) -> list[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>"
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body.encode()]


class S3Server:
    """Runs in a thread of this process; `url` is its endpoint."""

    def __init__(self) -> None:
        self.faults = Faults()
        app = FaultyApp(DomainDispatcherApplication(create_backend_app), self.faults)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
