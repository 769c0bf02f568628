"""Seconds by step of the work of one thread: what a chunk cost, without a word in its way."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class _Local(threading.local):
    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.inside: list[float] = []


_local = _Local()


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Count the block's seconds under `step`, less those of steps timed within it."""
    started = time.perf_counter()
    _local.inside.append(0.0)
    try:
        yield
    finally:
        took = time.perf_counter() - started
        _local.seconds[step] += took - _local.inside.pop()
        if _local.inside:
            _local.inside[-1] += took


def taken() -> dict[str, float]:
    """Seconds by step of this thread since it was last asked."""
    found = dict(_local.seconds)
    _local.seconds.clear()
    return found
