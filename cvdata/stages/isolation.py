"""Dangerous work in a child process: a decoder that dies, hangs or devours memory costs one image.

`Sandbox(factory).map(items)` is `map(factory(), …)` in another process: in order, pipelined, with
the same values, and with an `ImageError` in the place of each image that its decoder did not
survive. docs/decode.md says who is blamed for what.
"""

import atexit
import contextlib
import itertools
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from cvdata.errors import ImageError
from cvdata.stages.isolation_process import Child, Confinement
from cvdata.stages.isolation_run import Run, SandboxBug

__all__ = ["Confinement", "Sandbox", "SandboxBug", "close_shared", "shared_sandbox"]

T = TypeVar("T")
Item = tuple[bytes, str]
Factory = Callable[[], Callable[[bytes, str], T]]

_ISOLATED_IMAGES = 64


class Sandbox(Generic[T]):
    """A child process that holds the callable which `factory` makes, and a line to it.

    `factory` is pickled and must be importable by name; it runs once in each child. An image gets
    `timeout` after `time_limit_seconds`; `out_of_memory` or `decoder_crashed` when that happens
    again alone in a fresh child, so that a stray kill from outside never makes a bad row. A fresh
    child comes every `images_per_process` images: 64 where the limits isolate, else never. Results
    are plain data, arrays, `Header`, `Image` and what `result_types` names. One thread at a time;
    an abandoned `map` ends its child.
    """

    def __init__(
        self,
        factory: Factory[T],
        *,
        limits: Confinement = Confinement(),
        images_per_process: int | None = None,
        result_types: Sequence[type] = (),
    ) -> None:
        self._factory = pickle.dumps(factory)
        self._limits = limits
        self._types = tuple(result_types)
        self._images_per_process = images_per_process or (
            _ISOLATED_IMAGES if limits.isolate else None
        )
        self._numbers = itertools.count(2)
        self._child: Child | None = self._fresh()

    def _fresh(self) -> Child:
        return Child(self._factory, self._limits, self._types)

    @property
    def pid(self) -> int | None:
        """Process id of the child, None when there is none just now."""
        return None if self._child is None else self._child.pid

    def map(self, items: Iterable[Item]) -> Iterator[T | ImageError]:
        """The callable's result for each (data, name), in order, or the `ImageError` of that image.

        Raises `SandboxBug` at an image whose callable raised anything else, `StorageError` when
        children die before they do anything.
        """
        run = Run(iter(items), self)
        try:
            yield from run
        finally:
            if run.is_unfinished:
                self.close()

    def child(self) -> Child:
        """The child at work, a new one where there is none."""
        if self._child is None:
            self._child = self._fresh()
        return self._child

    def room(self) -> int | None:
        """How many more images the child at work may be sent; None for any number."""
        quota = self._images_per_process
        return None if quota is None else max(0, quota - self.child().sent)

    def number(self) -> int:
        """The number of the next image; never used twice."""
        return next(self._numbers)

    def close(self) -> None:
        """End the child. The sandbox stays usable: the next `map` starts another."""
        if self._child is not None:
            self._child.close()
            self._child = None


_lock = threading.Lock()
_idle: dict[tuple[Any, ...], list[Sandbox[Any]]] = {}


@contextlib.contextmanager
def shared_sandbox(
    factory: Factory[T],
    *,
    limits: Confinement = Confinement(),
    images_per_process: int | None = None,
    result_types: Sequence[type] = (),
) -> Iterator[Sandbox[T]]:
    """A sandbox from those that this process keeps, so that chunks share a child.

    Two threads at once get one each. Kept children end with the process.
    """
    key = (os.getpid(), pickle.dumps(factory), limits, images_per_process, tuple(result_types))
    with _lock:
        kept = _idle.get(key)
        sandbox: Sandbox[T] | None = kept.pop() if kept else None
    if sandbox is None:
        sandbox = Sandbox(
            factory,
            limits=limits,
            images_per_process=images_per_process,
            result_types=result_types,
        )
    try:
        yield sandbox
    finally:
        with _lock:
            _idle.setdefault(key, []).append(sandbox)


@atexit.register
def close_shared() -> None:
    """End every kept child of this process."""
    with _lock:
        for key, sandboxes in _idle.items():
            if key[0] == os.getpid():
                for sandbox in sandboxes:
                    sandbox.close()
        _idle.clear()
