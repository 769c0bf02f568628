"""An S3 protocol server on loopback whose answers can be spoiled on purpose."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.objectstore.serving import Serving

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
Start = Callable[..., Any]
Head = tuple[tuple[Any, ...], dict[str, Any]]
FAULTS = ("refused", "throttled", "reset", "lost", "conflict", "taken", "slow")
HUNG_SECONDS = 1.5
"""How long a request that hangs is held, before its connection is closed without an answer."""
REFUSALS = {
    "refused": ("500 Internal Server Error", "InternalError"),
    "throttled": ("503 Slow Down", "SlowDown"),
    "conflict": ("409 Conflict", "ConditionalRequestConflict"),
    "expired": ("400 Bad Request", "ExpiredToken"),
}
"""Nothing is done, and the answer says so."""


@dataclass
class Faults:
    """How often, of 1, each fault comes; seeded, and counted."""

    rates: dict[str, float] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_terse: bool = False
    """A 412 does not say which condition failed: so answers MinIO, and not Amazon."""
    is_careless: bool = False
    """Conditions are not looked at: as old stores did."""

    def forget(self) -> None:
        """No faults, the same ones again, none counted."""
        self.rates, self.rng, self.seen = {}, random.Random(0), Counter()
        self.is_terse = self.is_careless = False

    def draw(self, method: str, *, is_exclusive: bool = False) -> str:
        """The fault of the next request, "" for none; `taken` comes to exclusive writes alone."""
        with self.lock:
            at = self.rng.random()
            for name, rate in self.rates.items():
                if at < rate:
                    if name in ("lost", "conflict") and method not in ("PUT", "POST"):
                        return ""
                    if name == "taken" and not is_exclusive:
                        return ""
                    if name == "expired" and method == "HEAD":
                        return ""  # an answer to it has no body to say why
                    self.seen[name] += 1
                    return name
                at -= rate
        return ""


@dataclass
class Asked:
    """What was asked for: requests by kind, and how many ranges were being read at once."""

    kinds: Counter[str] = field(default_factory=Counter)
    now: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def noted(self, environ: dict[str, Any]) -> Iterator[None]:
        """Count this request while it is answered."""
        is_range = "HTTP_RANGE" in environ
        with self.lock:
            self.kinds[kind_of(environ)] += 1
            self.now += is_range
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            yield
        finally:
            with self.lock:
                self.now -= is_range

    def forget(self) -> None:
        """Begin anew."""
        with self.lock:
            self.kinds, self.now, self.most_at_once = Counter(), 0, 0


def kind_of(environ: dict[str, Any]) -> str:
    """GET, RANGE, PUT, HEAD, DELETE, POST, or LIST, which S3 bills like a write."""
    method = str(environ["REQUEST_METHOD"])
    if method == "GET" and "list-type" in environ.get("QUERY_STRING", ""):
        return "LIST"
    return "RANGE" if method == "GET" and "HTTP_RANGE" in environ else method


class Reset(Exception):
    """Ends the connection without an answer."""


@dataclass
class FaultyApp:
    """moto's application, with faults before it (nothing is done) or behind it (all is done)."""

    app: Any
    faults: Faults
    asked: Asked = field(default_factory=Asked)
    conditional: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        with self.asked.noted(environ):
            return self._answer(environ, start)

    def _answer(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if self.faults.is_careless:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        is_exclusive = "HTTP_IF_NONE_MATCH" in environ
        fault = self.faults.draw(environ["REQUEST_METHOD"], is_exclusive=is_exclusive)
        if fault in REFUSALS:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return _error(start, *REFUSALS[fault])
        if fault == "reset":
            raise Reset
        if fault == "slow":
            time.sleep(0.3)
        if fault == "hung":
            time.sleep(HUNG_SECONDS)
            raise Reset
        answer, head = self._done(environ, is_exclusive=is_exclusive)
        if fault == "lost":
            raise Reset
        if fault == "taken" or (self.faults.is_terse and head[0][0].startswith("412")):
            return _error(start, "412 Precondition Failed", "PreconditionFailed")
        start(*head[0], **head[1])
        return answer

    def _done(self, environ: dict[str, Any], *, is_exclusive: bool) -> tuple[list[bytes], Head]:
        """moto's answer: its body, and what it would begin it with."""
        begun: list[Head] = []

        def note(*args: Any, **more: Any) -> Callable[[bytes], None]:
            begun.append((args, more))
            return lambda _: None

        # moto looks whether a name is free and takes it in two steps; S3 does both at once.
        with self.conditional if is_exclusive else nullcontext():
            body = list(self.app(environ, note))
        return body, begun[-1]


def _error(start: Start, status: str, code: str) -> list[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>"
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body.encode()]


class S3Server:
    """Runs in a thread of this process; `url` is its endpoint."""

    def __init__(self) -> None:
        self.faults = Faults()
        app = FaultyApp(DomainDispatcherApplication(create_backend_app), self.faults)
        self.asked = app.asked
        serving = Serving(make_server("127.0.0.1", 0, app, threaded=True))
        self.url, self.stop = serving.url, serving.stop
