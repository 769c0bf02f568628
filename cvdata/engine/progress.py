"""How far a run is: a bar on a terminal, a line in the log every ten seconds elsewhere."""

import logging
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cvdata.recording import Live, recorder

log = logging.getLogger("cvdata")
LINE_EVERY_SECONDS = 10.0


class ProgressBar:
    """Rows done of `total`, rows/s, errors, time left. A context manager."""

    def __init__(self, what: str, total: int, unit: str = "images", n_chunks: int = 0) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.live = Live(what, unit, total, total_chunks=n_chunks)
        self.n_done = self.n_errors = 0
        self.started = self._last = time.monotonic()
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> "ProgressBar":
        for each in recorder().each():
            each.live = self.live
        console = Console(stderr=True)
        if console.is_terminal and self.total:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(f"{self.unit} · {{task.fields[rate]}} · {{task.fields[errors]}} errors"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(self.what, total=self.total, rate="–", errors=0)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in recorder().each():
            each.live = None
        if self._bar is not None:
            self._bar.stop()
        if kind is None and self.total:
            log.info(self.line(), extra=self.live.to_json())

    @property
    def rate(self) -> float:
        """Rows a second since the start."""
        return self.n_done / max(1e-9, time.monotonic() - self.started)

    def advance(self, n_rows: int, n_errors: int = 0) -> None:
        """Count finished rows."""
        self.n_done += n_rows
        self.n_errors += n_errors
        self.live.done, self.live.errors = self.n_done, self.n_errors
        self.live.n_chunks += 1
        if self._bar is not None:
            rate = f"{self.rate:,.0f}/s"
            self._bar.update(self._task, completed=self.n_done, rate=rate, errors=self.n_errors)
        elif time.monotonic() - self._last >= LINE_EVERY_SECONDS:
            self._last = time.monotonic()
            log.info(self.line(), extra=self.live.to_json())

    def line(self) -> str:
        """The state in one line."""
        left = (self.total - self.n_done) / self.rate if self.n_done else float("nan")
        tail = f", {left:,.0f} s left" if self.n_done < self.total and self.n_done else ""
        total = f" of {self.total:,}" if self.total else ""  # a listing does not know how many
        return (
            f"{self.what}: {self.n_done:,}{total} {self.unit}, "
            f"{self.rate:,.0f}/s, {self.n_errors:,} errors{tail}"
        )
